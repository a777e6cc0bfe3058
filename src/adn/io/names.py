"""Case names: derived from the file name, safe as folder names, and unique."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".zip")
_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")
_NAMELESS = {"ct", "dicom"}  # generic names, used inside a folder that carries the case's name


def case_name(path: Path | str) -> str:
    """A scan's name: the file name without suffixes, the folder of a DICOM file, or the folder itself.

    A scan named just ct or dicom takes the name of its parent folder.

    >>> case_name("scans/sub-01.nii.gz"), case_name("scans/sub-02/ct.nii.gz")
    ('sub-01', 'sub-02')
    """
    return safe_name(_stem(_named(path)))


def _named(path: Path | str) -> Path:
    """The file or folder that gives the scan its name."""
    path = Path(os.path.abspath(path))
    if path.is_file() and (path.suffix.lower() in _DICOM_SUFFIXES or is_dicom(path)):
        path = path.parent
    return path.parent if _stem(path).lower() in _NAMELESS and path.parent.name else path


def _stem(path: Path) -> str:
    suffix = scan_suffix(path) if not path.is_dir() else ""
    return path.name[: len(path.name) - len(suffix)]


def case_names(paths: Sequence[Path | str]) -> list[str]:
    """One name per scan, in order; names that clash are prefixed with the parent folder and, if needed, numbered.

    Names that differ only in case count as clashing, because they do on some file systems.

    >>> case_names(["a/head.nii.gz", "b/Head.nii.gz"])
    ['a_head', 'b_Head']
    """
    names = [case_name(path) for path in paths]
    clashing = _clashing(names)
    names = [
        f"{safe_name(_parent(path))}_{name}" if name.lower() in clashing else name
        for name, path in zip(names, paths, strict=True)
    ]
    clashing = _clashing(names)
    taken = {name.lower() for name in names} - clashing
    return [_numbered(name, taken) if name.lower() in clashing else name for name in names]


def scan_suffix(path: Path | str) -> str:
    """The suffix that marks a file as a scan, in lower case; '' if it has none."""
    return next((suffix for suffix in _SUFFIXES if Path(path).name.lower().endswith(suffix)), "")


def is_dicom(path: Path) -> bool:
    """Whether the file has the DICOM preamble."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _numbered(name: str, taken: set[str]) -> str:
    number = 1
    while f"{name}_{number}".lower() in taken:
        number += 1
    taken.add(f"{name}_{number}".lower())
    return f"{name}_{number}"


def _clashing(names: list[str]) -> set[str]:
    return {name for name, count in Counter(name.lower() for name in names).items() if count > 1}


def _parent(path: Path | str) -> str:
    return _named(path).parent.name


def safe_name(name: str) -> str:
    """Turn a text into a folder name made of Latin letters, digits, dots, dashes and underscores."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-") or "scan"
