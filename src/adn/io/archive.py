"""Zip archives from outside, taken apart without trusting them."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from adn.errors import InputError

MAX_TOTAL_BYTES = 8 * 2**30  # uncompressed; the largest head CT study is far below
MAX_ENTRIES = 50_000
_KEPT_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".dcm")


def extract(path: Path, folder: Path) -> list[Path]:
    """Write the archive's files into `folder` under plain numbers (known suffixes kept), and return them in order.

    Archived names never become paths, so nothing can land outside `folder`. Raises InputError for a broken or
    encrypted archive, for one that tries to leave its folder or holds links, and for one that is far too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check(path, members)
            return [_write(path, archive, member, folder, i) for i, member in enumerate(members) if _wanted(member)]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError) as error:
        raise InputError(
            f"{path}: needed a zip with DICOM files, but the archive is broken or packed in an unknown way; "
            "copy it again or give the unpacked folder."
        ) from error


def _check(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_ENTRIES or sum(member.file_size for member in members) > MAX_TOTAL_BYTES:
        raise InputError(
            f"{path}: the archive unpacks to more than {MAX_TOTAL_BYTES // 2**30} GiB or {MAX_ENTRIES} files; "
            "give the unpacked folder of the head CT alone."
        )
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or ":" in name[:2] or ".." in PurePosixPath(name).parts:
            raise InputError(f"{path}: the archive holds a file that would land outside its folder; it was not read.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f"{path}: the archive holds a symbolic link; give the unpacked folder instead.")
        if member.flag_bits & 0x1:
            raise InputError(f"{path}: the archive is encrypted; unpack it and give the folder.")


def _wanted(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename).parts
    return member.file_size > 0 and "__MACOSX" not in parts and not parts[-1].startswith(".")


def _write(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, index: int) -> Path:
    name = PurePosixPath(member.filename).name.lower()
    suffix = next((known for known in _KEPT_SUFFIXES if name.endswith(known)), "")
    target = folder / f"{index:06d}{suffix}"
    with archive.open(member) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 2**20)  # zipfile stops at the size its directory states
    if target.stat().st_size != member.file_size:
        raise InputError(f"{path}: the archive is broken (a file is shorter than stated); copy it again.")
    return target
