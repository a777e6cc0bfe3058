"""Archives' files where they lie, listed one by one: below a folder, or in object storage (`s3://bucket/folder`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from adn.errors import InputError
from adn.results import RESULT_FILE

HEAD_BYTES = 2**16  # the start of a DICOM file, enough to identify its study
_ADDRESS = re.compile(r"(?P<store>(?P<kind>[a-z][a-z0-9+.-]+)://[^/]+)/*(?P<key>.*)", re.I)
_STORES = {"s3", "gs", "az"}
_PAGE = 1000  # files listed per request to object storage


@dataclass(frozen=True)
class File:
    """place: path or address. name: path relative to the archive's folder, with slashes. stamp: changes with it."""

    place: str
    name: str
    stamp: str


def is_address(place: str) -> bool:
    """Whether a place is in object storage. Raises InputError for an unknown kind of address."""
    match = _ADDRESS.fullmatch(place)
    if match and match["kind"].lower() not in _STORES:
        raise InputError(f"needed an address that begins with {', '.join(sorted(_STORES))}, as in s3://bucket.", place)
    return match is not None


def is_table(place: str) -> bool:
    """Whether a place is a CSV."""
    return place.lower().endswith(".csv") and Path(place).is_file()


def is_archive(place: str) -> bool:
    """Whether a place can only be many scans: an address, a table, a BIDS data set."""
    return is_address(place) or is_table(place) or (Path(place) / "dataset_description.json").is_file()


def files_below(place: str, skip: Path | None = None) -> Iterator[File]:
    """All files below a folder or address, as they are listed, except hidden ones and adn's result folders.

    skip: another folder to leave out. Raises InputError where the place cannot be listed.
    """
    if is_address(place):
        return _stored(place)
    if not Path(place).is_dir():
        raise InputError("no such folder; check the name.", place)
    return _local(os.path.abspath(place), "", str(skip.resolve()) if skip else "")


def first_bytes(place: str) -> bytes:
    """The beginning of a file. Raises OSError or InputError."""
    if is_address(place):
        store, key = _store(place)
        return bytes(_with_clear_errors(place, _obstore().get_range, store, key, start=0, end=HEAD_BYTES))
    with open(place, "rb") as stream:
        return stream.read(HEAD_BYTES)


def brought(places: tuple[str, ...], folder: Path) -> Path:
    """A path for `open_scan`: a single local file or folder as it is, otherwise `folder`, with the files put in it."""
    if len(places) == 1 and not is_address(places[0]):
        return Path(places[0])
    for number, place in enumerate(places):
        name = PurePosixPath(place).name
        target = folder / (f"{number:06d}{Path(name).suffix}" if len(places) > 1 else name)
        if is_address(place):
            _fetch(place, target)
        else:
            target.symlink_to(os.path.abspath(place))
    return target if len(places) == 1 else folder


def _local(folder: str, below: str, skip: str) -> Iterator[File]:
    if os.path.exists(os.path.join(folder, RESULT_FILE)) or os.path.realpath(folder) == skip:
        return
    inner = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.name)
                elif entry.is_file():
                    facts = entry.stat()
                    yield File(entry.path, f"{below}{entry.name}", f"{facts.st_size} {facts.st_mtime_ns}")
    except OSError as error:
        raise InputError(f"cannot be listed ({error.strerror}); check its permissions.", folder) from error
    for name in sorted(inner):
        yield from _local(os.path.join(folder, name), f"{below}{name}/", skip)


def _stored(place: str) -> Iterator[File]:
    match = _ADDRESS.fullmatch(place)
    assert match
    store, prefix = _store(place)
    pages = iter(_obstore().list(store, prefix=prefix or None, chunk_size=_PAGE))
    while page := _with_clear_errors(place, next, pages, None):
        for one in page:
            key = one["path"]
            name = key[len(prefix) :].lstrip("/")
            if not any(part.startswith(".") for part in name.split("/")):
                stamp = f"{one['size']} {one['last_modified'].timestamp():.0f}"
                yield File(f"{match['store']}/{key}", name, stamp)


def _fetch(place: str, target: Path) -> None:
    store, key = _store(place)
    with target.open("wb") as file:
        for block in _with_clear_errors(place, _obstore().get, store, key).stream(2**22):
            file.write(block)


def _store(place: str) -> tuple[Any, str]:
    """The bucket of an address, configured by the environment (AWS_ACCESS_KEY_ID and so on), and the key in it."""
    match = _ADDRESS.fullmatch(place)
    assert match
    return _bucket(match["store"]), match["key"].rstrip("/")


@lru_cache(maxsize=8)
def _bucket(address: str) -> Any:
    _obstore()
    from obstore.store import from_url

    return _with_clear_errors(address, from_url, address)


def _with_clear_errors(place: str, ask: Any, *args: Any, **options: Any) -> Any:
    """What the storage returns; its errors become InputError."""
    try:
        return ask(*args, **options)
    except Exception as error:  # obstore raises its own classes, FileNotFoundError and PermissionError
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"object storage did not give it ({reason}); check address and credentials.", place) from error


def _obstore() -> Any:
    try:
        import obstore
    except ImportError as error:
        raise InputError("Object storage needs obstore: pip install 'adn-stroke[archive]'.") from error
    return obstore
