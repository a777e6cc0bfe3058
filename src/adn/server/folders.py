"""Result folders as the API describes them: their numbers, files and layers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from adn.errors import InputError
from adn.io.digest import file_sha256
from adn.results import RESULT_FILE
from adn.server import layers as views
from adn.server.corrections import corrections
from adn.server.models import Case, File, Record

_MEDIA_TYPES = {
    ".nii.gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".dcm": "application/dicom",
}
_TITLES = {
    "report.html": "Report",
    RESULT_FILE: "Numbers",
    "infarct_seg.dcm": "Infarct as DICOM SEG",
    "infarct_sr.dcm": "Volume and side as DICOM SR",
}


def describe(record: Record, folder: Path, read_only: bool) -> Case:
    """Everything that the API says about a case. folder: for its results, whether it exists or not."""
    results, files, layers, corrected = None, [], [], []
    if record.state == "done":
        try:
            results = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
            names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
            files = [_file(folder / name) for name in names]
            layers = views.layers(names, results)
            corrected = corrections(folder)
        except (OSError, ValueError):  # deleted meanwhile, or by hand
            results, files, layers, corrected = None, [], [], []
    shown = record.model_dump(
        include=set(Case.model_fields) - {"results", "files", "layers", "corrections", "read_only"}
    )
    return Case(**shown, results=results, files=files, layers=layers, corrections=corrected, read_only=read_only)


def result_folders(paths: Sequence[Path]) -> list[Path]:
    """The result folders among the given paths or up to two levels below. Raises InputError where there is none."""
    found: dict[Path, None] = {}
    for path in paths:
        here = [path / RESULT_FILE, *sorted(path.glob(f"*/{RESULT_FILE}")), *sorted(path.glob(f"*/*/{RESULT_FILE}"))]
        results = [file.parent for file in here if file.is_file() and not file.parent.name.startswith(".")]
        if not results:
            raise InputError("needed a result folder of adn predict, or one that holds some, but found none.", path)
        found.update(dict.fromkeys(results))
    return list(found)


def media_type(name: str) -> str:
    """The media type for a file's suffix."""
    return next((kind for suffix, kind in _MEDIA_TYPES.items() if name.endswith(suffix)), "application/octet-stream")


def _file(path: Path) -> File:
    about = path.stat()
    return File(
        name=path.name,
        title=_title(path.name),
        bytes=about.st_size,
        sha256=_digest(path, about.st_size, about.st_mtime_ns),
        media_type=media_type(path.name),
    )


def _title(name: str) -> str:
    stem = name.removesuffix(views.SUFFIX)
    if match := re.fullmatch(r"corrected_(\d+)(\.json)?", stem):
        return f"Infarct, corrected {match[1]}{': numbers' if match[2] else ''}"
    look = views.LOOKS.get(stem.removeprefix(views.ALIGNED))
    if look is None:
        return _TITLES.get(name, name)
    return f"{look.title}, aligned" if stem.startswith(views.ALIGNED) else look.title


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, changed: int) -> str:
    """A file's digest; size and change time are part of the cache key."""
    return file_sha256(path)
