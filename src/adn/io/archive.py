"""Unpacks untrusted zip and tar archives safely."""

from __future__ import annotations

import errno
import gzip
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from adn.errors import InputError

MAX_TOTAL_BYTES = 8 * 2**30  # uncompressed; the largest head CT study is far below
MAX_ENTRIES = 50_000
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    IndexError,
    OverflowError,
    RuntimeError,  # NotImplementedError among them
    ValueError,
)
_KEPT_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".dcm")


def extract(path: Path, folder: Path) -> list[Path]:
    """Write the archive's files into `folder` as numbered files (known suffixes kept), and return them in order.

    Archived names never become paths, so nothing can land outside `folder`. Raises InputError if the archive is broken,
    encrypted or far too large, if a name points outside the folder, or if it holds links.
    """
    what = (
        "needed a zip with DICOM files, but the archive is damaged, or compressed in an unknown way; "
        "copy it again or give the unpacked folder."
    )
    with _explained(path, what), zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _check(path, members)
        return [_write(path, archive, member, folder, i) for i, member in enumerate(members) if _wanted(member)]


def check(path: Path, max_bytes: int = MAX_TOTAL_BYTES, max_files: int = MAX_ENTRIES, max_ratio: int = 1000) -> None:
    """Raise InputError for a zip that `extract` would refuse or that exceeds the given limits. Unpacks nothing.

    max_ratio: unpacked bytes per archive byte; 2 to 5 for head CTs, hundreds or more for decompression bombs.
    """
    with _explained(path), zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _check(path, members)
    total = sum(member.file_size for member in members)
    if len(members) > max_files or total > max_bytes or total > max_ratio * path.stat().st_size:
        raise InputError(
            f"the archive unpacks to more than {max_files} files, {max_bytes // 2**20} MiB or {max_ratio} "
            "times its size; give the head CT alone.",
            path,
        )


def named_files(path: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """Yield each file of a zip or tar (compressed or not): its archived name and its bytes, in the archive's order.

    Never build a path from the name. Raises InputError as `extract` does; a tar is checked while it is read, so the
    files before a fault have been yielded already.
    """
    with _explained(path):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
                _check(path, members)
                for member in filter(_wanted, members):
                    with archive.open(member) as stream:
                        yield PurePosixPath(member.filename.replace("\\", "/")), stream
        else:
            yield from _tar_files(path)


@contextmanager
def _explained(
    path: Path, what: str = "the archive is damaged, or compressed in an unknown way; copy it again."
) -> Iterator[None]:
    """Turn whatever zipfile, tarfile and their decompressors raise on broken data into InputError."""
    try:
        yield
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(what, path) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # a disk error, not one from bzip2 or a negative seek
            raise
        raise InputError(what, path) from error


def _tar_files(path: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    total = 0
    with tarfile.open(path, "r|*") as archive:
        for count, member in enumerate(archive):
            total += member.size
            _check_sizes(path, count, total)
            if member.isdir():
                continue
            _check_name(path, member.name, link=member.issym() or member.islnk())
            stream = archive.extractfile(member) if member.isfile() and member.size else None
            if stream is not None and _kept_name(member.name):
                yield PurePosixPath(member.name), stream


def _check(path: Path, members: list[zipfile.ZipInfo]) -> None:
    _check_sizes(path, len(members), sum(member.file_size for member in members))
    for member in members:
        _check_name(path, member.filename, link=stat.S_ISLNK(member.external_attr >> 16))
        if member.flag_bits & 0x1:
            raise InputError("the archive is encrypted; unpack it and give the folder.", path)


def _check_sizes(path: Path, count: int, total: int) -> None:
    if count > MAX_ENTRIES or total > MAX_TOTAL_BYTES:
        raise InputError(
            f"the archive unpacks to more than {MAX_TOTAL_BYTES // 2**30} GiB or {MAX_ENTRIES} files; "
            "give the unpacked folder of the head CT alone.",
            path,
        )


def _check_name(path: Path, name: str, *, link: bool) -> None:
    name = name.replace("\\", "/")
    if name.startswith("/") or ":" in name[:2] or ".." in PurePosixPath(name).parts:
        raise InputError("the archive holds a file that would end up outside its folder; it was not read.", path)
    if link:
        raise InputError("the archive holds a symbolic link; give the unpacked folder instead.", path)


def _wanted(member: zipfile.ZipInfo) -> bool:
    return member.file_size > 0 and _kept_name(member.filename)


def _kept_name(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" not in parts and not parts[-1].startswith(".")


def _write(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, index: int) -> Path:
    name = PurePosixPath(member.filename).name.lower()
    suffix = next((known for known in _KEPT_SUFFIXES if name.endswith(known)), "")
    target = folder / f"{index:06d}{suffix}"
    with archive.open(member) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 2**20)  # zipfile stops at the size stated in the zip's directory
    if target.stat().st_size != member.file_size:
        raise InputError("the archive is damaged (a file is shorter than stated); copy it again.", path)
    return target
