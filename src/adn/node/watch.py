"""A watched folder: scans that are put into it become cases as if they had been sent to a node.

WORK/watched.json                which files were taken, by digests of their paths, and the names of their studies

A file is taken once it has not changed for a while: a NIfTI, NRRD or zip is a scan; DICOM images are grouped by study.
Files are never changed or removed. A file already taken is not read again unless its size or time changes.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from adn.errors import AdnError, InputError
from adn.io.atomic import atomic_path
from adn.io.names import case_name, is_dicom, scan_suffix
from adn.node.intake import Intake, NoRoomError, identify, key_of
from adn.server.problems import ProblemError

LEDGER = "watched.json"
SETTLE_S = 5.0
_UNWRITTEN_S = 2.0  # between writes: a crash forgets as much, which is taken again even if its results have left
log = logging.getLogger(__name__)


class TakenFile(BaseModel):
    """A file that was taken. stamp: its size and time then. study: `Record.study` of its case, or ''."""

    stamp: str
    study: str = ""


class _Ledger(BaseModel):
    files: dict[str, TakenFile] = {}
    names: dict[str, str] = {}  # of results, by study


class Watch:
    """Scans a folder again and again. settle_s: a file that has not changed for this long is complete.

    Raises InputError where results would be taken for scans.
    """

    def __init__(self, folder: Path, out: Path, intake: Intake, work: Path, settle_s: float = SETTLE_S) -> None:
        if not folder.is_dir():
            raise InputError("needs to be an existing folder.", folder)
        if out.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                "is inside the watched folder, so results would be mistaken for scans; choose another folder.", out
            )
        self.folder, self.intake, self.settle_s = folder.resolve(), intake, settle_s
        self._path = work / LEDGER
        self._ledger = _read(self._path)
        self._seen: dict[str, tuple[str, float]] = {}  # stamp, and when it last changed
        self._next = 0.0

    def named(self, study: str) -> str:
        """The name of a study's results: that of the file or folder it came from, numbered if that is taken."""
        return self._ledger.names.get(study, study)

    def look(self) -> None:
        """Take the files that have settled; those that cannot be taken now are tried again next time."""
        began = time.monotonic()
        if began < self._next:
            return
        changed, written = False, began
        for path in _files(self.folder):
            try:
                changed |= self._consider(path)
            except (NoRoomError, ProblemError):
                break  # the queue is full; a later look goes on here
            except (AdnError, OSError) as error:
                log.warning("a watched file could not be taken yet (%s)", type(error).__name__)
            if changed and time.monotonic() - written >= _UNWRITTEN_S:
                self._write()
                changed, written = False, time.monotonic()
        if changed:
            self._write()
        self._next = time.monotonic() + 4 * (time.monotonic() - began)  # a large network share is not scanned all day

    def _write(self) -> None:
        with atomic_path(self._path) as temporary:
            temporary.write_text(self._ledger.model_dump_json() + "\n", encoding="utf-8")

    def _consider(self, path: Path) -> bool:
        """Take a file if it is new and complete; returns whether the ledger has changed."""
        file = key_of(os.path.relpath(path, self.folder))
        facts = path.stat()
        stamp = f"{facts.st_size} {facts.st_mtime_ns}"
        known = self._ledger.files.get(file)
        if known and known.stamp == stamp:
            return False
        before = self._seen.get(file)
        if before is None or before[0] != stamp:
            self._seen[file] = stamp, time.monotonic()
            return False
        if time.monotonic() - before[1] < self.settle_s:
            return False
        self._ledger.files[file] = TakenFile(stamp=stamp, study=self._take(path, file))
        del self._seen[file]
        return True

    def _take(self, path: Path, file: str) -> str:
        """Hand over a file; returns the study it belongs to, or '' if it is not a scan."""
        if is_dicom(path):
            data = path.read_bytes()
            try:
                found = identify(data)
            except ValueError:
                log.warning("a watched DICOM file cannot be read and was left out")
                return ""
            if found is None:
                return ""
            study = key_of(found[0])
            self._name(study, path)
            if not self.intake.has_images(study):  # it grew after its results had left: all of it is taken again
                own = [name for name, one in self._ledger.files.items() if one.study == study]
                for name in own:
                    del self._ledger.files[name]
            self.intake.take(data, *found)
            return study
        if not scan_suffix(path) or scan_suffix(path) in (".nhdr", ".mhd"):  # those two are only half of a scan
            return ""
        self._name(file, path)
        self.intake.take_file(path, file)
        return file

    def _name(self, study: str, path: Path) -> None:
        names = self._ledger.names
        if study not in names:
            name, taken = case_name(path), {other.lower() for other in names.values()}
            numbered = (f"{name}_{number}" for number in range(2, len(taken) + 3))
            names[study] = name if name.lower() not in taken else next(n for n in numbered if n.lower() not in taken)


def _files(folder: Path) -> Iterator[Path]:
    """All files of a folder and its subfolders, except hidden ones, in a fixed order."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)


def _read(path: Path) -> _Ledger:
    try:
        return _Ledger.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return _Ledger()
