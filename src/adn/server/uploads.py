"""Uploads: the type is recognised from the content, and file names are discarded."""

from __future__ import annotations

import math
import shutil
import struct
import zlib
from pathlib import Path
from typing import IO, Literal

from starlette.datastructures import UploadFile

from adn.errors import InputError
from adn.io import archive
from adn.server.cases import UPLOAD
from adn.server.models import Limits
from adn.server.problems import ProblemError

Kind = Literal["nifti", "dicom", "zip"]
_FILES: dict[str, str] = {"nifti": "scan.nii", "nifti.gz": "scan.nii.gz", "zip": "scan.zip"}
_NIFTI_SIZES = {348: (344, b"n+1\0"), 540: (4, b"n+2\0")}
_GZIP = b"\x1f\x8b"
_NEEDED = "needed one head CT: a NIfTI file (.nii, .nii.gz), the DICOM files of a series, or a .zip of either"


def store(files: list[UploadFile], staged: Path, limits: Limits) -> Kind:
    """Put one scan under `staged`/UPLOAD and return its kind. Raises ProblemError 415 or 413 if it is not accepted.

    Files that are not DICOM are left out of a DICOM folder, because viewers and notes often lie beside the images.
    """
    kinds = [(file, kind_of(file.file)) for file in files]
    target = staged / UPLOAD
    target.mkdir()
    images = [file for file, kind in kinds if kind == "dicom"]
    others = [(file, kind) for file, kind in kinds if kind not in ("dicom", None)]
    if len(others) > 1 or (others and images):
        raise ProblemError(
            415, f"This upload holds several scans or archives, but a case {_NEEDED}. Send them one at a time."
        )
    if images:
        (target / "dicom").mkdir()
        for number, file in enumerate(images):
            _copy(file, target / "dicom" / f"{number:06d}.dcm")
        return "dicom"
    if not others:
        raise ProblemError(415, f"This upload holds no scan: it {_NEEDED}.")
    file, kind = others[0]
    assert kind is not None
    if kind != "zip" and nifti_bytes(file.file) > limits.unpacked_mb * 2**20:
        raise ProblemError(413, f"This NIfTI file holds more than {limits.unpacked_mb} MiB: no head CT is that large.")
    _copy(file, target / _FILES[kind])
    if kind == "zip":
        check_zip(target / _FILES[kind], limits)
        return "zip"
    return "nifti"


def kind_of(stream: IO[bytes]) -> str | None:
    """'nifti', 'nifti.gz', 'zip', 'dicom', or None for anything else. Reads only the beginning."""
    head = _head(stream)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if _nifti_order(_unpacked(head)):
        return "nifti.gz" if head[:2] == _GZIP else "nifti"
    old_style = len(head) >= 8 and head[:2] == b"\x08\x00" and head[3] == 0  # DICOM from before the preamble
    return "dicom" if head[128:132] == b"DICM" or old_style else None


def check_zip(path: Path, limits: Limits) -> None:
    """Raise ProblemError unless it is safe to unpack: no path outside its folder, no links, no encryption, no bomb."""
    try:
        archive.check(path, limits.unpacked_mb * 2**20, limits.files, limits.unpacked_ratio)
    except InputError as error:
        raise ProblemError(415, f"This zip was not accepted: {error.what}") from error


def nifti_bytes(stream: IO[bytes]) -> int:
    """Size of a NIfTI file's voxels according to its header, in bytes; a reader unpacks no more than that."""
    head = _unpacked(_head(stream))
    order = _nifti_order(head)
    if order is None:
        return 0
    first, bits, sides = ("h", 72, 40) if int.from_bytes(head[:4], order) == 348 else ("q", 14, 16)
    sign = "<" if order == "little" else ">"
    count, *sizes = struct.unpack_from(f"{sign}8{first}", head, sides)
    (bits_each,) = struct.unpack_from(f"{sign}h", head, bits)
    return math.prod(max(size, 1) for size in sizes[: max(0, min(count, 7))]) * bits_each // 8


def _head(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    head = stream.read(64 * 1024)
    stream.seek(0)
    return head


def _unpacked(head: bytes) -> bytes:
    """The first bytes, decompressed if they are gzip; b'' if the gzip data are damaged."""
    if head[:2] != _GZIP:
        return head
    try:
        return zlib.decompressobj(31).decompress(head, 1024)
    except zlib.error:
        return b""


def _nifti_order(head: bytes) -> Literal["little", "big"] | None:
    """Byte order of a single-file NIfTI-1 or -2; None for anything else."""
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        place = _NIFTI_SIZES.get(int.from_bytes(head[:4], order))
        if place and head[place[0] : place[0] + 4] == place[1]:
            return order
    return None


def _copy(file: UploadFile, target: Path) -> None:
    with target.open("xb") as sink:
        shutil.copyfileobj(file.file, sink, 2**20)
