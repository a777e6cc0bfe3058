"""Reads NIfTI (any axis order, obliquity, scaling) and writes it (atomically, on exactly the given grid)."""

from __future__ import annotations

import gzip
import logging
import struct
import zlib
from pathlib import Path
from typing import IO, Any, cast

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import DTypeLike, NDArray

from adn.errors import InputError
from adn.io.atomic import atomic_path
from adn.remarks import Remark
from adn.space.geometry import SAME_VOXEL, FiledPlace, Grid
from adn.space.units import MM_PER_UNIT
from adn.space.volume import Volume

GZIP_MAGIC = b"\x1f\x8b"
MAX_VOXELS = 2**29  # 512 × 512 × 2048; more cannot be a head CT, only a damaged header or a decompression bomb
MOST_BEHIND_MB = 64  # maximum size of data after the voxels, where there should be none
COMPRESS_LEVEL = 1  # maps are mostly zero and scans noisy: higher levels cost seconds and save 5 %
try:  # same format and size in a fifth of the time, but no wheels for uncommon processors
    from isal.igzip import IGzipFile as GzipWriter
except ImportError:
    from gzip import GzipFile as GzipWriter
_KNOWN_CODES = set(range(6))  # valid codes of sform and qform
_HEADER_SIZES = {348: nib.Nifti1Image, 540: nib.Nifti2Image}
_UNITS = {0: "mm", 1: "m", 2: "mm", 3: "um"}  # by the lower three bits of xyzt_units; 0: not stated
APART_MM = 0.3  # qform and sform may differ by this; single-precision quaternions account for a third of it
_ROUNDING_MM = 1e-6  # shift from reorienting a grid and back
_SIZE_SHARE = 1e-3  # share by which voxel sizes may differ from the sform's
_PLACE_FIELDS = (
    "pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip


def read_volume(path: Path | str, dtype: DTypeLike = np.float32, unit: str = "HU") -> Volume:
    """Read one 3D volume (4D with a single volume is squeezed) in the file's own axis order, scaling applied.

    Raises InputError, naming the file, for anything that is not one readable 3D volume.
    """
    return load(Path(path), dtype, unit)[0]


def load(path: Path, dtype: DTypeLike = np.float32, unit: str = "HU") -> tuple[Volume, list[Remark]]:
    """The same as `read_volume`, with remarks on the orientation recorded in the file."""
    logging.getLogger("nibabel.global").setLevel(logging.ERROR)  # otherwise it prints header warnings to stderr
    try:
        with _open(path) as stream:
            image_class = _image_class(path, stream)
            header = image_class.header_class.from_fileobj(stream, check=False)  # checking turns sizes of 0 into 1
            stream.seek(0)
            image = image_class.from_stream(stream)
            shape = _shape_3d(path, image.shape)
            with np.errstate(all="ignore"):
                data = _values(path, image, dtype)
            _read_to_end(stream)
    except (EOFError, zlib.error, gzip.BadGzipFile, struct.error) as error:
        raise InputError(
            "needed a complete .nii.gz, but the compressed data is truncated or damaged; copy the file again.", path
        ) from error
    except (HeaderDataError, ImageFileError, ValueError, TypeError, OverflowError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"needed a complete NIfTI file, but it is truncated or damaged ({_one_line(error)}); copy it again.", path
        ) from error
    data = _owned(data.reshape(shape))
    grid, remarks = _placed(path, shape, header, image)
    return Volume(data, grid, unit), remarks


def _owned(data: NDArray) -> NDArray:
    """The data if it owns its memory, else a copy, since it may be mapped from the file.

    The file's memory order is kept, because later steps read and write in it.
    """
    owner = data
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return data if owner.flags.owndata and data.flags.writeable else np.array(data, order="K")


def _read_to_end(stream: IO[bytes]) -> None:
    """Read to the end of a gzip stream, where its checksum is verified. Raises EOFError if that is far away."""
    for _ in range(MOST_BEHIND_MB):
        if not stream.read(2**20):
            return
    raise EOFError


def _open(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed if the content (not the name) is gzip."""
    with path.open("rb") as stream:
        compressed = stream.read(2) == GZIP_MAGIC
    return cast(IO[bytes], gzip.open(path, "rb")) if compressed else path.open("rb")


def _image_class(path: Path, stream: IO[bytes]) -> Any:
    head = stream.read(348)
    stream.seek(0)
    sizes = (int.from_bytes(head[:4], order) for order in ("little", "big"))
    image_class = next((_HEADER_SIZES[size] for size in sizes if size in _HEADER_SIZES), None)
    single = b"n+1" in head[344:348] or b"n+2" in head[4:8]
    if image_class is None or not single:
        raise InputError(
            "needed a CT as a single NIfTI file (.nii, .nii.gz), but the content is not NIfTI; "
            "convert the scan again, or give the DICOM folder.",
            path,
        )
    return image_class


def _shape_3d(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    sides = [int(side) for side in shape]
    if len(sides) > 3 and int(np.prod(sides[3:])) != 1:
        raise InputError(
            f"needed one 3D volume, but the file holds {int(np.prod(sides[3:]))} volumes "
            f"({'×'.join(map(str, sides))}); save the non-contrast volume alone.",
            path,
        )
    if len(sides) < 3 or min(sides) < 1 or int(np.prod(sides[:3], dtype=object)) > MAX_VOXELS:
        raise InputError(f"needed a 3D volume, but its shape is {'×'.join(map(str, sides))}.", path)
    return sides[0], sides[1], sides[2]


def _values(path: Path, image: Any, dtype: DTypeLike) -> NDArray:
    stored = image.get_data_dtype()
    if stored.fields is not None or stored.kind not in "iufb":
        raise InputError(f"needed one number per voxel (HU), but the file holds {stored} (colour or complex).", path)
    return np.asarray(image.dataobj, dtype=dtype)


def _placed(path: Path, shape: tuple[int, int, int], header: Any, image: Any) -> tuple[Grid, list[Remark]]:
    """The grid in mm, and remarks on it. header: as stored, uncorrected."""
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    if not {sform_code, qform_code} <= _KNOWN_CODES:
        raise InputError(
            f"needed an orientation that all readers understand, but the header's sform_code {sform_code} or "
            f"qform_code {qform_code} is unknown to the standard; write the image again.",
            path,
        )
    stored = np.array(header["pixdim"][1:4], np.float64)
    sizes = np.abs(stored)
    if not sform_code and not (np.isfinite(stored) & (stored > 0)).all():  # readers disagree on negative ones
        listed = " × ".join(f"{size:g}" for size in stored)
        raise InputError(
            f"needed the size of a voxel, but the header says {listed}, and adn does not guess. Write the "
            "image again with its voxel size.",
            path,
        )
    unit = _unit(path, header)
    affine = np.eye(4) if image.affine is None else np.array(image.affine, np.float64)
    affine[:3] *= MM_PER_UNIT[unit]
    try:
        grid = Grid(shape, affine)
    except InputError as error:
        raise InputError(error.what, path) from error
    remarks = [] if unit == "mm" else [Remark("unit_of_length", {"unit": {"m": "metres", "um": "micrometres"}[unit]})]
    agree = unit == "mm"
    if not sform_code and not qform_code:
        agree = False
        remarks.append(Remark("orientation_unrecorded", {"format": "nifti", "axes": grid.axes}))
    elif sform_code:
        other = _qform(image, MM_PER_UNIT[unit]) if qform_code else None
        ratio = sizes * MM_PER_UNIT[unit] / grid.spacing_mm
        sizes_agree = bool((np.abs(ratio - 1) < _SIZE_SHARE).all())
        agree &= sizes_agree and (other is None or grid.voxels_apart(other) <= SAME_VOXEL)
        remarks += _disagreement(grid, other, sizes_agree)
    if agree:
        return grid, remarks
    fields = {name: np.array(header[name]) for name in _PLACE_FIELDS}
    return Grid(shape, affine, FiledPlace(grid.affine, fields)), remarks


def _unit(path: Path, header: Any) -> str:
    """The unit of length; mm if none is given, since much software omits it."""
    code = int(header["xyzt_units"]) & 7
    if code not in _UNITS:
        raise InputError(
            f"needed a voxel size in metres, millimetres or micrometres, but the header's unit is unknown "
            f"(xyzt_units {code}); write the image again in millimetres.",
            path,
        )
    return _UNITS[code]


def _qform(image: Any, mm: float) -> NDArray[np.float64] | None:
    """The qform's affine in mm; None if its numbers do not form a rotation."""
    try:
        qform = np.array(image.header.get_qform(coded=False), np.float64)
    except (HeaderDataError, ValueError):
        return None
    qform[:3] *= mm
    return qform if np.isfinite(qform).all() and abs(np.linalg.det(qform)) > 0 else None


def _disagreement(grid: Grid, qform: NDArray[np.float64] | None, sizes_agree: bool) -> list[Remark]:
    """How the rest of the header disagrees with the sform, the one that is used."""
    if qform is not None and (apart := grid.mm_apart(qform)) > APART_MM:
        mirrored = bool(np.linalg.det(qform[:3, :3]) * np.linalg.det(grid.affine[:3, :3]) < 0)
        return [Remark("orientations_disagree", {"apart_mm": apart, "mirrored": mirrored})]
    return [] if sizes_agree else [Remark("voxel_sizes_disagree")]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def write_volume(volume: Volume, path: Path | str) -> None:
    """Write `.nii.gz` (or `.nii`) on exactly the volume's grid and in its dtype; the file appears whole or not at all.

    The sform holds the affine (code 1), and so does the qform if a rotation with spacing can express it. If the grid
    came from a file whose header readers interpret differently, that header's fields are kept (`FiledPlace`). Boolean
    masks become uint8. Raises OutputError if the file cannot be written.
    """
    path = Path(path)
    data = volume.data
    if data.dtype == bool:
        data = data.astype(np.uint8)
    image = nib.Nifti1Image(data, None)
    header = cast(Any, image.header)
    header.set_data_dtype(data.dtype)
    header.set_zooms(volume.grid.spacing_mm)
    header.set_xyzt_units("mm")
    header["descrip"] = b"adn: research use only"
    filed = volume.grid.filed
    if filed is not None and np.allclose(filed.affine, volume.grid.affine, rtol=0, atol=_ROUNDING_MM):
        for name, value in filed.fields.items():
            header[name] = value
    else:
        _set_forms(image, volume.grid.affine)
    with atomic_path(path) as temporary, temporary.open("xb") as raw:
        if path.suffix != ".gz":
            image.to_stream(raw)
            return
        with GzipWriter(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=COMPRESS_LEVEL) as stream:
            image.to_stream(cast(Any, stream))


def _set_forms(image: Any, affine: NDArray[np.float64]) -> None:
    try:
        image.set_qform(affine, code=1, strip_shears=False, update_affine=False)
    except HeaderDataError:  # sheared (gantry tilt): a quaternion cannot express it
        image.set_qform(None, code=0, update_affine=False)
    image.set_sform(affine, code=1)
