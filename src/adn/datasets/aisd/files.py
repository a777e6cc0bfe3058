"""Lists AISD's files by case, from PNG trees, DICOM trees, zips and tar files in any mixture."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.io.archive import named_files
from adn.io.atomic import atomic_folder

UNPACKED = ".unpacked"  # inside the destination, on the same disk; removed when the import is done
_CASE = re.compile(r"(?<!\d)\d{7}(?!\d)")
_ARCHIVE = re.compile(r"(\.tar\.gz|\.tgz|\.tar|\.zip)$", re.I)
_KINDS = (("mask", re.compile(r"masks?\b", re.I)), ("image", re.compile(r"(image|img)s?\b", re.I)))

log = logging.getLogger(__name__)


@dataclass
class CaseFiles:
    """Files of one case. images, masks: slice number → PNG. problems: sentences about files that were ignored."""

    case: str
    images: dict[int, Path] = field(default_factory=dict)
    masks: dict[int, Path] = field(default_factory=dict)
    dicom: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_aisd(source: Path, destination: Path) -> dict[str, CaseFiles]:
    """List AISD's cases below `source`, by their seven digits; archives are unpacked into the destination first.

    Whether a PNG is an image or a mask follows from a parent folder or archive of that name, so a doubled inner folder
    does no harm. Raises InputError for a broken or unsafe archive, and if nothing of AISD is found.
    """
    if not source.is_dir():
        raise InputError("needed the folder with AISD's image, mask and dicom downloads; check the name.", source)
    cases: dict[str, CaseFiles] = {}
    for path in _files(source, destination):
        name = PurePosixPath(path.relative_to(source).as_posix())
        if _ARCHIVE.search(path.name):
            unpacked = _unpack(path, destination / UNPACKED)
            for inner in sorted(unpacked.rglob("*")):
                if inner.is_file():
                    _file_under(cases, inner, PurePosixPath(inner.relative_to(unpacked).as_posix()))
        else:
            _file_under(cases, path, name)
    if not any(case.masks for case in cases.values()):
        raise InputError(
            "needed AISD's downloads (image and mask folders or zips with <id>/000.png, dicom-*.tar.gz), "
            "but there is no mask/<id>/*.png; give the folder that holds them.",
            source,
        )
    return dict(sorted(cases.items()))


def read_png(path: Path) -> NDArray[np.uint8]:
    """Grey levels or label values of a PNG, (rows, columns). Raises InputError for colour and damaged files."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            data = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError("the PNG is truncated or damaged; copy it again", path.name) from error
    if data.ndim == 3:  # grey saved as colour: all channels but opacity are equal
        colours = data[..., : 3 if data.shape[2] > 2 else 1]
        if (colours != colours[..., :1]).any():
            raise InputError("needed a grey PNG, but it is in colour", path.name)
        data = colours[..., 0]
    if data.dtype == bool:
        data = data.astype(np.uint8)
    if data.ndim != 2 or data.dtype != np.uint8:
        raise InputError(f"needed an 8-bit PNG, but it holds {data.dtype}", path.name)
    return data


def _files(source: Path, destination: Path) -> Iterator[Path]:
    """All regular files in a fixed order, following linked folders, without hidden ones and the destination."""
    seen = {destination.resolve()}
    for folder, names, files in os.walk(source, followlinks=True):
        here = Path(folder)
        names[:] = sorted(n for n in names if not n.startswith(".") and (here / n).resolve() not in seen)
        seen |= {(here / name).resolve() for name in names}  # a link to a parent folder would loop forever
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _unpack(archive: Path, work: Path) -> Path:
    """Unpack what belongs to AISD as <kind>/<id>/<number>; an existing folder is complete and is reused.

    Names are built here from seven digits and a number, so nothing can land outside the folder.
    """
    target = work / f"{_ARCHIVE.sub('', archive.name)}-{archive.stat().st_size}"
    if target.is_dir():
        return target
    log.info("unpacking %s", archive)
    with atomic_folder(target) as partial:
        for count, (name, stream) in enumerate(named_files(archive)):
            place = _place(PurePosixPath(_ARCHIVE.sub("", archive.name)) / name)
            if place is None:
                continue
            kind, case, number = place
            inner = f"{kind}/{case}/{number:03d}.png" if kind != "dicom" else f"{kind}/{case}/{count:06d}.dcm"
            if (partial / inner).exists():  # the second of a doubled folder: keep both, apart
                inner = f"again/{inner}"
            (partial / inner).parent.mkdir(parents=True, exist_ok=True)
            with (partial / inner).open("wb") as sink:
                shutil.copyfileobj(stream, sink, 2**20)
    return target


def _place(name: PurePosixPath) -> tuple[str, str, int] | None:
    """('image' | 'mask' | 'dicom', case, slice number) parsed from a name; None if it does not belong to AISD."""
    found = [match.group() for part in name.parts[:-1] for match in _CASE.finditer(part)]
    if not found:
        return None
    if name.suffix.lower() == ".png" and name.stem.isdigit():
        kinds = [kind for part in reversed(name.parts[:-1]) for kind, pattern in _KINDS if pattern.match(part)]
        return (kinds[0], found[-1], int(name.stem)) if kinds else None
    if name.suffix.lower() == ".dcm" or (not name.suffix and "CT" in name.parts):
        return "dicom", found[-1], 0
    return None


def _file_under(cases: dict[str, CaseFiles], path: Path, name: PurePosixPath) -> None:
    place = _place(name)
    if place is None:
        return
    kind, case, number = place
    files = cases.setdefault(case, CaseFiles(case))
    if kind == "dicom":
        files.dicom.append(path)
        return
    found = files.masks if kind == "mask" else files.images
    if found.setdefault(number, path) != path and path.read_bytes() != found[number].read_bytes():
        files.problems.append(f"{kind} {number:03d}.png is there twice and differs; the first one was used")
