"""Finds the files of the published archive, unpacked.

    [dataset/]{train,val,test}/<study>/metadata.json
    [dataset/]{train,val,test}/<study>/<slice>/raw.dcm, image.npz (key `image`), mask.npz (key `mask`)

mask: 0 background, 1 core, 2 penumbra, with the rows and columns of the image. Two independent public readers of the
archive agree on this. Folder names say nothing about the order of slices. metadata.json (age, sex, NIHSS, time) is
never opened.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.io.text import letters

PARTS = {"train": "train", "val": "validation", "test": "test"}  # names of the archive's folders
CORE, PENUMBRA = 1, 2
_DEEPEST = 3  # maximum number of folder levels between the given folder and the parts


@dataclass(frozen=True)
class SliceFiles:
    """The folder of one slice, and its files by name."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name, by which reports refer to the slice."""
        return letters(self.folder.name)

    @property
    def raw(self) -> Path:
        """The slice as the scanner wrote it, with HU and position."""
        return self.folder / "raw.dcm"

    @property
    def image(self) -> Path:
        """Its pixels alone."""
        return self.folder / "image.npz"

    @property
    def mask(self) -> Path:
        """Core and penumbra."""
        return self.folder / "mask.npz"


@dataclass(frozen=True)
class StudyFiles:
    """One study. case: its unique name in the import. part: 'train', 'validation' or 'test'."""

    case: str
    part: str
    slices: tuple[SliceFiles, ...]


def find_studies(source: Path, destination: Path) -> list[StudyFiles]:
    """Every study below `source`, sorted by part and name; names that occur in two parts are prefixed with the part.

    Raises InputError if there are none, or two copies of the archive.
    """
    if not source.is_dir():
        raise InputError("needed the folder with CPAISD's train, val and test; check the name.", source)
    root = _root(source, destination)
    found = [(PARTS[folder.name], study) for folder in _folders(root) if folder.name in PARTS
             for study in _folders(folder)]  # fmt: skip
    names = [study.name for _, study in found]
    studies = [
        StudyFiles(
            letters(study.name if names.count(study.name) == 1 else f"{part}-{study.name}"),
            part,
            tuple(SliceFiles(folder) for folder in _folders(study)),
        )
        for part, study in found
    ]
    order = list(PARTS.values())
    return sorted(studies, key=lambda study: (order.index(study.part), len(study.case), study.case))


def read_array(path: Path, key: str) -> NDArray:
    """Read one slice's numeric array, (rows, columns). Raises InputError, giving the file name without its folder."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array = arrays[key]
    except FileNotFoundError as error:
        raise InputError(f"{path.name} is absent") from error
    except KeyError as error:
        raise InputError(f"{path.name} holds no array '{key}'") from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name} is truncated or damaged") from error
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise InputError(f"{path.name} holds {array.dtype} of {array.shape}, needed numbers in rows and columns")
    return array


def read_labels(files: SliceFiles, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A slice's labels: 0, `CORE`, `PENUMBRA`. Raises InputError for other values or a size unlike the image's."""
    array = read_array(files.mask, "mask")
    if array.shape != shape:
        sides = ("×".join(map(str, size)) for size in (array.shape, shape))
        raise InputError("mask.npz has {} pixels, its image {}".format(*sides))
    unknown = [f"{value:g}" for value in np.unique(array).tolist() if value not in (0, CORE, PENUMBRA)]
    if unknown:
        raise InputError(f"mask.npz holds {', '.join(unknown[:4])}; only 0, 1 (core) and 2 (penumbra) are known")
    return array.astype(np.uint8)


def _root(source: Path, destination: Path) -> Path:
    """The folder that holds the parts: `source` or one inside it."""
    roots = []
    for folder, names, _ in os.walk(source):
        here = Path(folder)
        names[:] = sorted(name for name in names if not name.startswith((".", "__")))
        names[:] = [name for name in names if (here / name).resolve() != destination.resolve()]
        if PARTS.keys() & set(names):
            roots.append(here)
            names.clear()
        elif len(here.relative_to(source).parts) >= _DEEPEST:
            names.clear()
    if not roots:
        raise InputError(
            "needed CPAISD, unpacked (train/<study>/<slice>/raw.dcm and mask.npz; so val and test), but there is no "
            "folder train, val or test; give the folder that holds them.",
            source,
        )
    if len(roots) > 1:
        raise InputError(f"needed one copy of CPAISD, but there are {roots[0]} and {roots[1]}; give one.", source)
    return roots[0]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
