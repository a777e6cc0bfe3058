"""NIfTI in (any axis order, obliquity, scaling) and out (atomic, on exactly the grid given)."""

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
from adn.space.geometry import Grid
from adn.space.volume import Volume

GZIP_MAGIC = b"\x1f\x8b"
MAX_VOXELS = 2**29  # 512 × 512 × 2048; more is no head CT, but a damaged header or a decompression bomb
COMPRESS_LEVEL = 1  # maps are mostly zero, scans are noise: higher levels cost seconds and save 5 %
try:  # the same format and size in a fifth of the time; it has no wheel for rare processors
    from isal.igzip import IGzipFile as GzipWriter
except ImportError:
    from gzip import GzipFile as GzipWriter
_HEADER_SIZES = {348: nib.Nifti1Image, 540: nib.Nifti2Image}


def read_volume(path: Path | str, dtype: DTypeLike = np.float32, unit: str = "HU") -> Volume:
    """Read one 3D volume (4D with a single volume is squeezed) in the file's own axis order, scaling applied.

    Raises InputError, naming the file, for anything that is not one readable 3D volume.
    """
    return load(Path(path), dtype, unit)[0]


def load(path: Path, dtype: DTypeLike = np.float32, unit: str = "HU") -> tuple[Volume, list[Remark]]:
    """As `read_volume`, with remarks on the orientation the file records."""
    logging.getLogger("nibabel.global").setLevel(logging.ERROR)  # its header remarks go to stderr otherwise
    try:
        with _open(path) as stream:
            image = _image_class(path, stream).from_stream(stream)
            shape = _shape_3d(path, image.shape)
            with np.errstate(all="ignore"):
                data = _values(path, image, dtype)
            stream.read(1)  # reaches the end of a gzip stream, where its checksum is tested
    except (EOFError, zlib.error, gzip.BadGzipFile, struct.error) as error:
        raise InputError(
            "needed a complete .nii.gz, but the compressed data is truncated or damaged; copy the file again.", path
        ) from error
    except (HeaderDataError, ImageFileError, ValueError, TypeError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"needed a complete NIfTI file, but it is truncated or damaged ({_one_line(error)}); copy it again.", path
        ) from error
    # A copy, because the data may be mapped from the file; in the file's order, in which later steps read and write.
    data = np.array(data.reshape(shape), order="K")
    return Volume(data, _grid(path, shape, image.affine), unit), _remarks(image)


def _open(path: Path) -> IO[bytes]:
    """The bytes, decompressed where the content (not the name) says so."""
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


def _grid(path: Path, shape: tuple[int, int, int], affine: NDArray | None) -> Grid:
    try:
        return Grid(shape, np.eye(4) if affine is None else affine)
    except InputError as error:
        raise InputError(error.what, path) from error


def _remarks(image: Any) -> list[Remark]:
    sform, sform_code = image.header.get_sform(coded=True)
    try:
        qform, qform_code = image.header.get_qform(coded=True)
    except (HeaderDataError, ValueError):
        qform, qform_code = None, 0
    if not sform_code and not qform_code:
        return [Remark("orientation_unrecorded", {"format": "nifti"})]
    handedness = [np.linalg.det(form[:3, :3]) for form in (sform, qform) if form is not None]
    if sform_code and qform_code and min(handedness) < 0 < max(handedness):
        return [Remark("orientations_disagree")]
    return []


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def write_volume(volume: Volume, path: Path | str) -> None:
    """Write `.nii.gz` (or `.nii`) on exactly the volume's grid, keeping its dtype; the file appears whole or never.

    The sform holds the affine (code 1), the qform too where a rotation with spacing can express it. Masks of bool
    become uint8. Raises OutputError where the file cannot be written.
    """
    path = Path(path)
    data = volume.data.astype(np.uint8) if volume.data.dtype == bool else volume.data
    image = nib.Nifti1Image(data, None)
    header = cast(Any, image.header)
    header.set_data_dtype(data.dtype)
    header.set_zooms(volume.grid.spacing_mm)
    header.set_xyzt_units("mm")
    header["descrip"] = b"adn: research use only"
    try:
        image.set_qform(volume.grid.affine, code=1, strip_shears=False, update_affine=False)
    except HeaderDataError:  # sheared (gantry tilt): a quaternion cannot say it
        image.set_qform(None, code=0, update_affine=False)
    image.set_sform(volume.grid.affine, code=1)
    with atomic_path(path) as temporary, temporary.open("xb") as raw:
        if path.suffix != ".gz":
            image.to_stream(raw)
            return
        with GzipWriter(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=COMPRESS_LEVEL) as stream:
            image.to_stream(cast(Any, stream))
