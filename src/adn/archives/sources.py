"""The scans of an archive: below a folder, in a table, in a BIDS data set, in DICOM studies, in object storage."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Protocol

from adn.archives.places import File, files_below, first_bytes, is_address, is_archive, is_table
from adn.datasets.layouts import BIDS_CT, LABELS
from adn.errors import AdnError, InputError
from adn.io.digest import sha256
from adn.io.names import case_name, safe_name, scan_suffix
from adn.io.text import table_rows

COLUMNS = ("path", "scan", "ct")  # columns of a table that may name the scans; the first one present is used
_NAMES = ("case", "name")
_HALF = (".nhdr", ".mhd")  # the voxels lie in another file
_OTHERS = (".json", ".csv", ".tsv", ".txt", ".md", ".html", ".png", ".jpg", ".pdf", ".xml")  # no need to look inside
_STUDY_AND_SERIES = 0x0020000E
_AT_ONCE = 32  # files read at once to look inside
_KEY = 16  # hexadecimal digits of a study's digest


@dataclass(frozen=True)
class Found:
    """A scan. name: preferred name of its case. study: its study in the index, if it consists of many files."""

    name: str
    scan: str
    study: str = ""


class Studies(Protocol):
    """An index of DICOM files, kept on disk."""

    def known(self, file: File) -> bool:
        """Whether the index has this version of the file."""
        ...

    def keep(self, file: File, study: str) -> None:
        """Record which study a file belongs to; '': none of interest."""
        ...

    def studies(self) -> Iterator[tuple[str, str, str]]:
        """Each study with the first and last of its files' places, in sorted order."""
        ...


def find_scans(places: list[str], index: Studies, out: Path) -> Iterator[Found | None]:
    """Each scan as it is found, with None in between where searching takes a while; DICOM last, once all is read.

    places: each a folder, an address (`s3://bucket/folder`), a CSV with a column `path`, or a scan's file. out: not
    searched. In a BIDS data set only `*_ct.nii.gz` are scans; elsewhere files named like label images are skipped.
    """
    for place in places:
        if is_table(place):
            yield from _of_table(Path(place))
        elif not is_address(place) and Path(place).is_file():
            yield Found(case_name(place), place)
        else:
            yield from _below(place, index, out)
    for study, first, last in index.studies():
        folder = _common(first, last)
        inside = next((name for place in places if (name := _relative(folder, place))), "")
        yield Found(safe_name(inside.replace("/", "_")) if inside else f"study-{study}", folder, study)


def _below(place: str, index: Studies, out: Path) -> Iterator[Found | None]:
    bids = not is_address(place) and is_archive(place)
    unknown: list[File] = []
    for file in files_below(place, out):
        name = PurePosixPath(file.name).name
        suffix = scan_suffix(name)
        if bids:
            yield Found(BIDS_CT.sub("", name), file.place) if BIDS_CT.search(name) else None
        elif suffix:
            label = name[: -len(suffix)].lower() in LABELS
            yield None if label or suffix in _HALF else Found(_name(file.name, suffix), file.place)
        else:
            if not name.lower().endswith(_OTHERS) and not index.known(file):
                unknown.append(file)
            if len(unknown) == _AT_ONCE:
                _look_inside(unknown, index)
                unknown = []
            yield None
    _look_inside(unknown, index)


def _look_inside(files: list[File], index: Studies) -> None:
    """Record the files' studies; all are read at once, because remote storage is slow to answer."""
    if files:
        with ThreadPoolExecutor(len(files)) as readers:
            heads = list(readers.map(_head, [file.place for file in files]))
        for file, head in zip(files, heads, strict=True):
            index.keep(file, study_of(head))


def _head(place: str) -> bytes:
    with suppress(AdnError, OSError):
        return first_bytes(place)
    return b""


def _name(name: str, suffix: str) -> str:
    """A name from the path below the archive's folder; a scan called just ct takes its folder's name."""
    parts = name[: -len(suffix)].split("/")
    return safe_name("_".join(parts[:-1] if len(parts) > 1 and parts[-1].lower() == "ct" else parts))


def study_of(head: bytes) -> str:
    """A digest of a CT image's study, from its first bytes; '' for any other or unreadable file."""
    from pydicom import config
    from pydicom.filereader import read_partial

    if head[128:132] != b"DICM" and head[:2] != b"\x08\x00":
        return ""
    try:
        with config.disable_value_validation():  # changes the whole process, so not safe in threads
            data = read_partial(BytesIO(head), lambda tag, vr, length: tag > _STUDY_AND_SERIES, force=True)
        return sha256(str(data.StudyInstanceUID))[:_KEY] if data.get("Modality") == "CT" else ""
    except Exception:  # pydicom raises many kinds on damaged bytes
        return ""


def _of_table(path: Path) -> Iterator[Found]:
    columns, rows = table_rows(path)
    column = next((name for name in COLUMNS if name in columns), None)
    if column is None:
        raise InputError(
            f"needed a column {' or '.join(COLUMNS)} that names the scans, but the columns are: "
            f"{', '.join(columns) or 'none'}.",
            path,
        )
    for line, cells in rows:
        place = cells[column]
        if not place:
            raise InputError(f"line {line}: column '{column}' is empty; name the scan or remove the line.", path)
        scan = place if is_address(place) else str(path.parent / place)
        name = next((cells[name] for name in _NAMES if cells.get(name)), "")
        yield Found(safe_name(name) if name else case_name(scan), scan)


def _common(first: str, last: str) -> str:
    """The folder that holds all files between the two."""
    parts = zip(first.split("/")[:-1], last.split("/")[:-1], strict=False)
    shared = []
    for one, other in parts:
        if one != other:
            break
        shared.append(one)
    return "/".join(shared)


def _relative(folder: str, place: str) -> str:
    root = place.rstrip("/") if is_address(place) else str(Path(place).absolute())
    return folder[len(root) + 1 :] if folder.startswith(f"{root}/") else ""
