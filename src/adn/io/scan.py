"""`open_scan`: reads a head CT from any supported file or folder as a checked `Scan`, or refuses with a clear error."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.errors import AdnError, InputError, OutputError
from adn.io import archive, dicom, itk, nifti
from adn.io.atomic import explain_write_error, scratch_folder
from adn.io.choice import choose
from adn.io.head_ct import check_grid, check_values
from adn.io.names import case_name, is_dicom
from adn.io.series import Header, Series, files_below
from adn.remarks import Remark
from adn.results import Scan
from adn.space.volume import Volume

FILL_HU = -1024.0  # lowest value of a 12-bit CT; assigned to unmeasured voxels
UNMEASURED_HU = -1100.0  # no measured voxel is lower, not even noise in air
_IMAGE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


class _Reading(NamedTuple):
    volume: Volume
    source: str
    unmeasured: NDArray[np.bool_] | None
    remarks: list[Remark]


def open_scan(path: Path | str, *, series: str | None = None) -> Scan:
    """Read a head CT: NIfTI, NRRD or MetaImage (or the only one in a folder or .zip), or DICOM as file, folder or .zip.

    series: SeriesInstanceUID, series number or part of a description, for DICOM with several series. Returns float32
    HU in the file's own axis order, finite everywhere; unmeasured voxels (padding) are −1024 HU and marked. Raises
    InputError, naming the file, if it is not a readable head CT.
    """
    from adn.io.upright import turned_remarks  # its imports are slow
    from adn.io.vessels import enhanced_remarks

    path = Path(path)
    try:
        reading = _read(path, series)
    except AdnError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(explain_write_error(error)) from error
        reason = error.strerror or type(error).__name__
        raise InputError(f"cannot be read ({reason}); check its permissions and the disk.", path) from error
    if series is not None and reading.source != "dicom":
        raise InputError(f"`series` chooses among DICOM series, but this is {reading.source}; leave it out.", path)
    volume, padding, filled = _fill(reading, str(path))
    remarks = [*reading.remarks, *filled, *check_grid(volume.grid, str(path))]
    check_values(volume, None if padding is None else ~padding, str(path))
    remarks += turned_remarks(volume)
    if all(remark.kind != "contrast_recorded" for remark in remarks):
        remarks += enhanced_remarks(volume)
    mask = None if padding is None else volume.with_data(padding.astype(np.uint8), "label")
    return Scan(case_name(path), volume, reading.source, mask, tuple(remarks))


@contextmanager
def open_series(path: Path | str, *, series: str | None = None) -> Iterator[Series]:
    """Yield the DICOM series that `open_scan` would read; its files are available until the end of the block.

    Raises InputError if there is none.
    """
    path = Path(path)
    if _zipped(path):
        with _unpacked(path) as (headers, _):
            yield choose(headers, path, series)[0]
    else:
        yield choose(dicom.headers_at(path, series), path, series)[0]


def _read(path: Path, series: str | None) -> _Reading:
    if path.is_dir():
        return _read_folder(path, series)
    if not path.is_file():
        raise InputError("no such file or folder; check the name.", path)
    with path.open("rb") as stream:
        head = stream.read(8)
    if not head:
        raise InputError("needed a head CT, but the file is empty; copy it again.", path)
    if _zipped(path):
        return _read_zip(path, series)
    if is_dicom(path) or path.suffix.lower() in (".dcm", ".ima"):
        return _Reading(*_dicom_order(dicom.load(path, wanted=series)))
    return _read_image(path, head)


def _read_folder(path: Path, series: str | None) -> _Reading:
    """Read a DICOM series, or the only image file."""
    headers = dicom.headers_at(path, series)
    images = [] if headers else [file for file in files_below(path) if file.name.lower().endswith(_IMAGE_SUFFIXES)]
    if len(images) > 1:
        listed = ", ".join(str(file.relative_to(path)) for file in images[:3]) + (", …" if len(images) > 3 else "")
        ending = next(end for end in reversed(_IMAGE_SUFFIXES) if images[0].name.lower().endswith(end))
        raise InputError(
            f"needed one head CT, but it holds {len(images)} image files ({listed}) and no DICOM; name the scans "
            f"themselves, as in {images[0].parent / f'*{ending}'}.",
            path,
        )
    if images:
        with images[0].open("rb") as stream:
            head = stream.read(8)
        return _read_image(images[0], head)
    return _Reading(*_dicom_order(dicom.load_headers(headers, path, wanted=series)))


def _read_image(path: Path, head: bytes) -> _Reading:
    if head[:4] == itk.NRRD_MAGIC or path.suffix.lower() in (".nrrd", ".nhdr", ".mha", ".mhd"):
        volume, remarks = itk.load(path)
        return _Reading(volume, "nrrd" if head[:4] == itk.NRRD_MAGIC else "metaimage", None, remarks)
    if head[:2] == nifti.GZIP_MAGIC or path.name.lower().endswith((".nii", ".nii.gz")):
        volume, remarks = nifti.load(path)
        return _Reading(volume, "nifti", None, remarks)
    if head[:2] == b"\x08\x00":  # old-style DICOM without a preamble
        return _Reading(*_dicom_order(dicom.load(path)))
    raise InputError(
        "needed a head CT as .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd, a DICOM file, folder or .zip, but the "
        "content is none of these.",
        path,
    )


def _read_zip(path: Path, series: str | None) -> _Reading:
    try:
        with _unpacked(path) as (headers, images):
            if headers:
                return _Reading(*_dicom_order(dicom.load_headers(headers, path, wanted=series)))
            if len(images) != 1:
                found = f"{len(images)} image files" if images else "neither DICOM nor an image file"
                raise InputError(f"needed a zip with a DICOM series or a single NIfTI, but it holds {found}.", path)
            return _read_image(images[0], images[0].read_bytes()[:8])
    except InputError as error:
        raise InputError(error.what, path) from error  # a temporary name means nothing to the user


def _zipped(path: Path) -> bool:
    """Whether it is a zip, by content as well as by name, since the name may be wrong."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06") or path.suffix.lower() == ".zip"


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[list[Header], list[Path]]]:
    """Yield a zip's DICOM headers and image files, which exist until the end of the block."""
    with scratch_folder() as folder:
        files = archive.extract(path, folder)
        images = [file for file in files if file.name.endswith(_IMAGE_SUFFIXES)]
        yield dicom.read_headers(file for file in files if file not in images), images


def _dicom_order(loaded: tuple[Volume, NDArray[np.bool_], list[Remark]]) -> tuple:
    volume, unmeasured, remarks = loaded
    return volume, "dicom", unmeasured, remarks


def _fill(reading: _Reading, where: str) -> tuple[Volume, NDArray[np.bool_] | None, list[Remark]]:
    """Set unmeasured voxels to −1024 HU; return the volume, their mask (None if there are none) and remarks."""
    data = reading.volume.data
    broken = ~np.isfinite(data)
    count = int(broken.sum())
    if count == data.size:
        raise InputError("needed a head CT, but no voxel holds a number (all are NaN or infinite).", where)
    remarks = [Remark("filled_with_air", {"voxels": count, "all_voxels": data.size})] if count else []
    with np.errstate(invalid="ignore"):
        missing = broken | (data < UNMEASURED_HU)
    if reading.unmeasured is not None:
        missing |= reading.unmeasured
    filled = data if data.dtype == np.float32 and data.flags.writeable else data.astype(np.float32)
    np.copyto(filled, np.float32(FILL_HU), where=missing)  # in place: nothing else uses this array
    np.maximum(filled, np.float32(FILL_HU), out=filled)
    return reading.volume.with_data(filled), missing if missing.any() else None, remarks
