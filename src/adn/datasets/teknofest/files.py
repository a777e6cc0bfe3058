"""Finds the files of the public download: folders DICOM, PNG, OVERLAY or masks, with files named by a number."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError

_FOLDERS = {"dicom": "dicom", "png": "png", "overlay": "overlay", "mask": "mask", "masks": "mask"}
_OTHER_PART = re.compile(r"kanama|h(a)?emor+hag|bleed|inme ?_?-?yok|non-?_? ?stroke|no-?_? ?stroke|normal")
_CHROMA = 40  # of 255 levels: more colour than a grey picture has


@dataclass(frozen=True)
class SliceFiles:
    """Files of one slice. name: its number. overlay: the picture with the infarct in colour."""

    name: str
    dicom: Path
    mask: Path | None = None
    overlay: Path | None = None


def find_slices(source: Path, destination: Path) -> list[SliceFiles]:
    """Every slice below `source` that has DICOM, sorted by number; bleeds and heads without stroke are skipped.

    Masks and overlays are looked for beside the DICOM folder. Raises InputError if there is no DICOM, or a number
    occurs twice.
    """
    if not source.is_dir():
        raise InputError(f"{source}: needed the folder with the data set's DICOM and OVERLAY folders; check the name.")
    found: dict[str, SliceFiles] = {}
    for folder, kinds in _places(source, destination):
        by_kind = {kind: _by_number(path) for kind, path in kinds.items()}
        for number, dicom in by_kind["dicom"].items():
            if number in found:
                raise InputError(
                    f"{folder}: slice {number} is there twice ({found[number].dicom} and {dicom}); give one copy."
                )
            mask, overlay = (by_kind.get(kind, {}).get(number) for kind in ("mask", "overlay"))
            found[number] = SliceFiles(number, dicom, mask, overlay)
    if not found:
        raise InputError(
            f"{source}: needed the ischemia part of the TEKNOFEST-2021 stroke data set, unpacked (DICOM/<number>.dcm, "
            "OVERLAY/<number>.png), but there is no folder DICOM with numbered files; give the folder that holds it."
        )
    return sorted(found.values(), key=lambda one: (len(one.name), one.name))


def read_mask(files: SliceFiles, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
    """The outline of a slice, uint8 0 or 1; None if there is no file. Raises InputError if the size differs.

    Infarct is what lies above 0 in a mask, or what is coloured in an overlay.
    """
    path = files.mask or files.overlay
    if path is None:
        return None
    from PIL import Image

    try:
        with Image.open(path) as image:
            colours = np.asarray(image.convert("RGB")).astype(np.int16)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path.name}: the picture is truncated or damaged; copy it again.") from error
    if colours.shape[:2] != shape:
        size = "×".join(map(str, colours.shape[:2]))
        raise InputError(f"{path.name}: needed the {shape[0]}×{shape[1]} pixels of its DICOM, but it has {size}.")
    marked = colours.max(2) > 0 if files.mask else colours.max(2) - colours.min(2) >= _CHROMA
    return marked.astype(np.uint8)


def _places(source: Path, destination: Path) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Folders that contain a folder DICOM, with their subfolders by kind; parts other than ischemia are left out."""
    for folder, names, _ in os.walk(source):
        here = Path(folder)
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".")
            and not _OTHER_PART.search(_plain(name))
            and (here / name).resolve() != destination.resolve()
        )
        kinds = {_FOLDERS[_plain(name)]: here / name for name in names if _plain(name) in _FOLDERS}
        if "dicom" in kinds:
            yield here, kinds


def _plain(name: str) -> str:
    """Lower case without diacritics, so that Turkish letters do not matter."""
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()


def _by_number(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.iterdir()) if path.stem.isdigit() and path.is_file()}
