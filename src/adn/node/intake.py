"""Incoming studies on disk: one folder each, one file per image, until a study is complete and becomes a case.

FOLDER/<study>/<instance>.dcm    an image as received; both names are digests of UIDs, so they reveal nobody's name
FOLDER/<study>/study.json        which images were handed over, and to which case (`Handed`)

An image is acknowledged once it is on disk. A study is complete when no association that sent to it is open and nothing
has arrived for a while, or when it has waited too long. Images sent twice count once; a study that grows is handed over
again.
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from adn.errors import AdnError
from adn.io.atomic import atomic_path, copy_file, link_file, remove_file, remove_folder, sweep
from adn.io.digest import file_sha256, sha256
from adn.io.names import scan_suffix
from adn.server.cases import UPLOAD, Cases
from adn.server.jobs import Jobs
from adn.server.models import FINAL, Record

INCOMING = "incoming"  # in the node's folder
STUDY = "study.json"
_GONE = ("failed", "cancelled")  # sending such a study again asks for another try
_IMAGES = "CT"  # the modality taken; anything else in a study is left out
_TAGS = ("StudyInstanceUID", "SOPInstanceUID", "Modality")
_KEY = 24  # hexadecimal digits of a digest in a name
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IntakeLimits:
    """What is accepted. quiet_s, longest_s: a study is complete after this long without a new image, or in all.

    images, megabytes: per study. studies: incoming at once. free_mb: to be left free on the disk.
    """

    quiet_s: float = 20.0
    longest_s: float = 900.0
    images: int = 5000
    megabytes: int = 4096
    studies: int = 200
    free_mb: int = 500


class NoRoomError(AdnError):
    """An image cannot be taken now; its sender may try again."""


class Handed(BaseModel):
    """What was handed over of a study. images: name → digest of its bytes. case: the one made of them."""

    model_config = ConfigDict(frozen=True)
    images: dict[str, str] = {}
    case: str = ""


@dataclass
class _Study:
    """The state of a study while the node runs; times are from `time.time`."""

    first: float
    last: float
    megabytes: float = 0.0
    images: int = 0
    open: set[int] = field(default_factory=set)  # associations that sent to it


def identify(data: bytes) -> tuple[str, str] | None:
    """Study and instance UID of a CT image; None for any other object. Raises ValueError if it cannot be read."""
    from pydicom import dcmread

    try:
        header = dcmread(io.BytesIO(data), stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
        study, instance = str(header.StudyInstanceUID), str(header.SOPInstanceUID)
        modality = header.get("Modality")
    except Exception as error:
        raise ValueError(type(error).__name__) from error
    if not study or not instance:
        raise ValueError("without UIDs")
    return (study, instance) if modality == _IMAGES else None


def key_of(uid: str) -> str:
    """A name for a UID, from which the UID cannot be recovered."""
    return sha256(uid)[:_KEY]


class Intake:
    """All incoming studies. cases, jobs: complete ones are handed over to these. pictures: key images are wanted.

    withdrawn: tries to withdraw a case; True if none of its results has left yet, and then none will.
    """

    def __init__(
        self,
        folder: Path,
        cases: Cases,
        jobs: Jobs,
        limits: IntakeLimits | None = None,
        *,
        pictures: bool = True,
        withdrawn: Callable[[Record], bool] = lambda record: record.state != "done",
    ) -> None:
        self.folder, self.cases, self.jobs, self.pictures = folder, cases, jobs, pictures
        self.withdrawn = withdrawn
        self.limits = limits or IntakeLimits()
        self._lock = threading.RLock()
        self._coming: dict[str, _Study] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._recover()

    def take_file(self, path: Path, key: str) -> Record | None:
        """Make a case of a file that is a whole scan, known as `key`. None if one with the same bytes exists already.

        Raises ProblemError where no case can be taken now, OutputError, OSError.
        """
        with self._lock:
            content = file_sha256(path)
            earlier = self._cases_of(key)
            if any(one.content == content and one.state not in _GONE for one in earlier):
                return None
            self._withdraw(key, earlier)
            with self.cases.staging() as scratch:
                upload = scratch / "case" / UPLOAD
                upload.mkdir(parents=True)
                copy_file(path, upload / f"scan{scan_suffix(path)}")
                kind = "zip" if path.suffix.lower() == ".zip" else "nifti"
                return self.cases.add(scratch / "case", kind, False, study=key, content=content)

    def take(self, data: bytes, study_uid: str, instance_uid: str, association: int = 0) -> None:
        """Store one image; it is on disk when this returns. Raises NoRoomError, OutputError."""
        key, name = key_of(study_uid), f"{key_of(instance_uid)}.dcm"
        with self._lock:
            path = self.folder / key / name
            if path.is_file() and self.handed(key).images.get(name) == sha256(data):
                return  # sent again; if its file is gone, it is stored again, in case the study has grown
            study = self._room_for(key, len(data) / 2**20)
            before = path.stat().st_size / 2**20 if path.is_file() else None
            with atomic_path(path, make_folder=True) as temporary, temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            study.megabytes += len(data) / 2**20 - (before or 0.0)
            study.images += before is None
            study.last = time.time()
            if association:
                study.open.add(association)

    def has_images(self, key: str) -> bool:
        """True if any images of a study are here."""
        return any((self.folder / key).glob("*.dcm"))

    def ended(self, association: int) -> None:
        """Record that an association is over, however it ended."""
        with self._lock:
            for study in self._coming.values():
                study.open.discard(association)

    def waiting(self) -> int:
        """How many studies are incoming."""
        with self._lock:
            return len(self._coming)

    def due(self) -> list[str]:
        """Studies that are complete."""
        with self._lock:
            return [key for key, study in self._coming.items() if self._whole(study)]

    def hand_over(self, key: str) -> Record | None:
        """Make a case of a study, replacing an unfinished one of fewer images. None if there is nothing new.

        Also None if an image has arrived since the study was complete. Raises ProblemError where no case can be taken
        now; the study then keeps waiting. Even if killed at any point, it is handed over once: a case already made of
        the same images is found again.
        """
        with self._lock:
            if not self._whole(self._coming[key]):
                return None
            folder, handed = self.folder / key, self.handed(key)
            files = sorted(folder.glob("*.dcm"))
            images = {path.name: file_sha256(path) for path in files}
            record = None
            if not images.items() <= handed.images.items():
                content = sha256(*(f"{name} {digest}" for name, digest in images.items()))
                earlier = self._cases_of(key)
                record = next((one for one in earlier if one.content == content), None)
                if record is None or record.state in _GONE:
                    self._withdraw(key, earlier)
                    record = self._as_case(key, content, files)
                if handed.images.keys() - images.keys():
                    log.warning("case %s: made only of late images; the earlier ones are gone", record.id)
                _write(Handed(images=handed.images | images, case=record.id), folder)
            del self._coming[key]
            return record

    def forget_images(self, key: str) -> None:
        """Remove a study's images but remember them; not while more are arriving or one is still needed."""
        with self._lock:
            files = list((self.folder / key).glob("*.dcm"))
            if files and key not in self._coming and all(one.state in FINAL for one in self._cases_of(key)):
                for path in files:
                    remove_file(path)

    def forget(self, key: str) -> None:
        """Remove everything known about a study; not while more of it is arriving or a case of it is left."""
        with self._lock:
            if key not in self._coming and not self._cases_of(key):
                remove_folder(self.folder / key)

    def handed(self, key: str) -> Handed:
        """What was handed over of a study to a case that still counts: nothing if the case failed or was deleted."""
        found = _read(self.folder / key)
        stands = any(one.id == found.case and one.state not in _GONE for one in self._cases_of(key))
        return found if stands else Handed()

    def _cases_of(self, key: str) -> list[Record]:
        return [one for one in self.cases.records() if one.study == key]

    def _whole(self, study: _Study) -> bool:
        now, limits = time.time(), self.limits
        return (not study.open and now - study.last >= limits.quiet_s) or now - study.first >= limits.longest_s

    def _withdraw(self, key: str, records: Sequence[Record]) -> None:
        """Delete the cases whose results nobody has, since new ones replace them.

        First record their images as not handed over; otherwise a crash in between would lose the study.
        """
        for one in records:
            if one.state in _GONE or self.withdrawn(one):
                if _read(self.folder / key).case == one.id:
                    _write(Handed(), self.folder / key)
                self.jobs.delete(one)

    def _room_for(self, key: str, megabytes: float) -> _Study:
        limits, study = self.limits, self._coming.get(key)
        if shutil.disk_usage(self.folder).free < (limits.free_mb + megabytes) * 2**20:
            raise NoRoomError("The disk is nearly full; free some space.")
        if study is None:
            if len(self._coming) >= limits.studies:
                raise NoRoomError(f"{limits.studies} studies are being received already.")
            kept = list((self.folder / key).glob("*.dcm"))
            now = time.time()
            study = self._coming[key] = _Study(now, now, sum(p.stat().st_size for p in kept) / 2**20, len(kept))
        if study.images >= limits.images or study.megabytes + megabytes > limits.megabytes:
            raise NoRoomError(f"A study may have {limits.images} images and {limits.megabytes} MB.")
        return study

    def _as_case(self, key: str, content: str, files: list[Path]) -> Record:
        with self.cases.staging() as scratch:
            upload = scratch / "case" / UPLOAD / "dicom"
            upload.mkdir(parents=True)
            for number, path in enumerate(files):
                link_file(path, upload / f"{number:06d}.dcm")  # no second copy on the disk
            return self.cases.add(
                scratch / "case", "dicom", True, study=key, content=content, dicom_pictures=self.pictures
            )

    def _recover(self) -> None:
        """Take up studies that a stop or a crash left here; they are complete after a quiet time from now.

        Images of a case that is gone are removed, too: a user deleted it.
        """
        now = time.time()
        for folder in self.folder.iterdir():
            if not folder.is_dir():
                continue
            sweep(folder, owned=True)
            files, handed = list(folder.glob("*.dcm")), _read(folder)
            if _newer_images(files, handed, folder / STUDY):
                size = sum(path.stat().st_size for path in files) / 2**20
                self._coming[folder.name] = _Study(now, now, size, len(files))
            elif not handed.case or not (self.cases.folder or folder).joinpath(handed.case).exists():
                remove_folder(folder)


def _newer_images(files: Sequence[Path], handed: Handed, written: Path) -> bool:
    """True if one of the files was not handed over, or arrived again afterwards."""
    if {path.name for path in files} - handed.images.keys():
        return True
    return any(path.stat().st_mtime_ns >= written.stat().st_mtime_ns for path in files)


def _read(folder: Path) -> Handed:
    try:
        return Handed.model_validate_json((folder / STUDY).read_bytes())
    except (OSError, ValidationError):
        return Handed()


def _write(handed: Handed, folder: Path) -> None:
    with atomic_path(folder / STUDY) as temporary:
        temporary.write_text(handed.model_dump_json() + "\n", encoding="utf-8")
