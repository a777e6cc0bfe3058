"""Converts a DICOM series to one volume with dcm2niix, which handles gantry tilt, uneven gaps and vendor quirks.

The result is checked against the headers, and padding is masked here.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.io import nifti
from adn.io.atomic import scratch_folder
from adn.io.choice import choose
from adn.io.converter import converter
from adn.io.frames import as_image
from adn.io.pixels import checked, damaged, pixels_hu
from adn.io.series import Header, Series, files_below, folder_files, read_headers
from adn.io.slices import measured_rows, slice_indices
from adn.io.stacks import check_stack, gaps_mm, uneven
from adn.remarks import Remark
from adn.space.geometry import RAS_FROM_LPS, Grid
from adn.space.volume import Volume

LOWEST_AIR_HU = -1000.0  # a padding value above this would be tissue, so the tag must be wrong
TILT_DEG = 0.5  # a smaller tilt causes no visible shear (under 1 mm at the ends of a head)
SMALL_TILT_DEG = 1.0  # dcm2niix does not correct a smaller tilt, and adn accepts that (under 2 mm)
SIDEWAYS_DEG = 1.0  # more than this is not corrected: dcm2niix undoes shear along the image columns only
INSIDE_SHARE = 0.95  # minimum share of an acquired slice that must lie inside the converted volume
SAMPLES = 64  # rows and columns sampled from each acquired slice to find it again in the converted volume
SAME_HU = 1.0  # tolerance for the rounding of rescaled values
SAME_SHARE = 0.999  # share of samples that must agree if conversion resampled nothing
TIE = 0.1  # margin in correlation, because thin slices resemble their neighbours
SHEARED_DEG = 0.05  # more than this moves the ends of a head by a quarter of a pixel
LEAST_SHARE = 0.02  # slices with a smaller share of non-air are too empty to check
ALIKE = 0.9  # minimum correlation of a slice with the same position in a resampled volume
_SEEN_HU = (-200.0, 300.0)  # range that is compared if values were interpolated
CONVERT_SECONDS = 900
BYTES_A_VOXEL = 12  # the most dcm2niix writes per voxel: as stored, tilt-corrected and evenly spaced
# The tags by which dcm2niix splits a series; none of them says where a slice lies.
_ALIKE = {"SeriesInstanceUID": "2.25.1", "SeriesNumber": 1, "AcquisitionNumber": 1}
_ALIKE |= {"SeriesDescription": "adn", "ProtocolName": "adn"}
_ALIKE |= dict.fromkeys(("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"), "120000")
_VARIANT = re.compile(r"(_Tilt)?(_Eq)?(_\d+)?$")

log = logging.getLogger(__name__)


def load(path: Path, *, wanted: str | None = None) -> tuple[Volume, NDArray[np.bool_], list[Remark]]:
    """Read the head CT series in a DICOM folder and its subfolders, or the series that a single file belongs to.

    Returns the volume (float32 HU), a mask of voxels that were not measured (same shape), and remarks.
    Raises InputError if there is no readable CT series.
    """
    return load_headers(headers_at(path, wanted), path, wanted=wanted)


def headers_at(path: Path, wanted: str | None) -> list[Header]:
    """Headers of a folder's images, or of a file's own series unless `wanted` names another. Raises InputError."""
    headers = read_headers(folder_files(path))
    own = read_headers([path]) if path.is_file() else []
    if len(own) > 1:
        return own  # several stacks in the file that was given
    if path.is_file() and wanted is None:
        if not own:
            raise InputError("needed a DICOM image, but the file contains none; give a file of the CT series.", path)
        if own[0].multi_frame:
            return own  # the file that was given, not others of its series
        headers = [header for header in headers if (header.uid, header.patient) == (own[0].uid, own[0].patient)]
    return headers


def load_headers(headers: list[Header], where: Path, *, wanted: str | None) -> tuple[Volume, NDArray, list[Remark]]:
    """The same as `load`, from headers already read."""
    if not headers:
        raise InputError("needed a head CT, but found no images in the folder; give the folder of the scan.", where)
    series, remarks = choose(headers, where, wanted)
    check_stack(series, where)
    volume, name, planes = _converted(series, where)
    tilt, gaps = tilt_deg(series), gaps_mm(series)
    if TILT_DEG < tilt < SMALL_TILT_DEG and "_Tilt" not in name:
        remarks.append(Remark("tilt_left", {"tilt_deg": tilt}))
    elif tilt > TILT_DEG:
        _require_correction(
            "_Tilt", name if _sideways_deg(series) < SIDEWAYS_DEG else "", f"a gantry tilt of {tilt:.1f} degrees", where
        )
        volume = _placed(volume, series)
        remarks.append(Remark("tilt_corrected", {"tilt_deg": tilt}))
    _check_found_again(volume, series, planes, where, resampled="_Eq" in name or tilt > SHEARED_DEG)
    if uneven(gaps):
        _require_correction("_Eq", name, f"distances of {gaps.min():.1f} to {gaps.max():.1f} mm between slices", where)
    elif "_Eq" in name:  # a slice is offset within its plane, which dcm2niix mistakes for a larger gap
        gaps = np.linalg.norm(np.diff(series.positions, axis=0), axis=1)
    if "_Eq" in name:
        least, most, step = float(gaps.min()), float(gaps.max()), volume.grid.spacing_mm[2]
        remarks.append(Remark("gaps_uneven", {"least_mm": least, "most_mm": most, "slice_mm": step}))
    if series.first.contrast:
        remarks.append(Remark("contrast_recorded"))
    return volume, _unmeasured(volume, series, tilted="_Tilt" in name), remarks


def tilt_deg(series: Series) -> float:
    """Angle between the slices' normal and the stacking direction, degrees."""
    points = series.positions
    if len(points) < 2:
        return 0.0
    along = points[-1] - points[0]
    cosine = abs(along @ series.first.normal) / max(float(np.linalg.norm(along)), 1e-6)
    return float(np.degrees(np.arccos(min(cosine, 1.0))))


def _sideways_deg(series: Series) -> float:
    """Angle by which the stacking direction leans along the slices' rows (left-right in an axial scan), degrees."""
    assert series.first.orientation is not None
    along = series.positions[-1] - series.positions[0]
    sine = abs(series.first.orientation[:3] @ along) / max(float(np.linalg.norm(along)), 1e-6)
    return float(np.degrees(np.arcsin(min(sine, 1.0))))


def _placed(volume: Volume, series: Series) -> Volume:
    """Move a tilt-corrected volume to where the headers put it; for one sign of tilt dcm2niix's origin is cm off.

    To undo the shear, dcm2niix shifts each slice along its columns and adds rows so that all fit; the first row and
    slice of its grid are therefore those of the outermost acquired ones. Its shape and directions are correct
    (dcm2niix issue 259).
    """
    first = series.first
    assert first.orientation is not None
    lps = RAS_FROM_LPS @ volume.grid.affine
    axes = lps[:3, :3] / np.linalg.norm(lps[:3, :3], axis=0)
    right, down = first.orientation[:3], first.orientation[3:]
    sides = (right * first.spacing_mm[1] * (first.shape[1] - 1), down * first.spacing_mm[0] * (first.shape[0] - 1))
    corners = [series.positions + right_part + down_part for right_part in (0, sides[0]) for down_part in (0, sides[1])]
    lps[:3, 3] = axes @ (np.concatenate(corners) @ axes).min(axis=0)
    return Volume(volume.data, Grid(volume.grid.shape, RAS_FROM_LPS @ lps), volume.unit)


def thinning(series: Series) -> int:
    """Step in pixels, along rows and columns, at which each slice is sampled for the check after conversion."""
    return max(1, min(series.first.shape) // SAMPLES)


def _check_found_again(
    volume: Volume, series: Series, planes: NDArray[np.float32], where: Path, *, resampled: bool
) -> None:
    """Raise InputError unless each acquired slice is in the volume where its header puts it.

    planes: (slices, rows, columns) HU, every `thinning`-th pixel. Values are compared directly and, if conversion
    resampled, by correlation.
    """
    from scipy.ndimage import map_coordinates

    places = np.stack(list(slice_indices(volume.grid, series, thinning(series))))
    seen: Any = ((places >= -0.5) & (places <= np.array(volume.grid.shape) - 0.5)).all(axis=-1)
    index = np.moveaxis(places, -1, 0)
    stored: NDArray = map_coordinates(volume.data, np.rint(index), order=0, mode="nearest")
    between: NDArray = map_coordinates(volume.data, index, order=1, mode="nearest", prefilter=False)
    for number, plane in enumerate(planes):
        within, own = seen[number], between[number]
        others = [between[other] for other in (number - 1, number + 1) if 0 <= other < len(between)]
        same = within.mean() > INSIDE_SHARE and (
            _equal(plane[within], stored[number][within]) or (resampled and _matches_best(plane, own, others, within))
        )
        if not same:
            raise InputError(
                f"slice {number + 1} of {len(planes)}, counted from one end, is not where "
                "ImagePositionPatient puts it after the conversion by dcm2niix, so the geometry "
                "would be wrong; give the scan as NIfTI.",
                where,
            )


def _equal(plane: NDArray, found: NDArray) -> bool:
    return bool((np.abs(plane - found) <= SAME_HU).mean() >= SAME_SHARE)


def _matches_best(plane: NDArray, own: NDArray, others: list[NDArray], seen: NDArray[np.bool_]) -> bool:
    """Whether a slice correlates with its own position in the volume, and not clearly better with a neighbour's.

    A slice that is nearly all air, as above the vertex, is accepted: the other slices decide.
    """
    if (plane[seen] > _SEEN_HU[0]).mean() < LEAST_SHARE:
        return True
    likeness = _likeness(plane[seen], own[seen])
    return likeness >= ALIKE and all(likeness + TIE > _likeness(plane[seen], other[seen]) for other in others)


def _likeness(plane: NDArray, found: NDArray) -> float:
    """Correlation of the values clipped to between air and bone; 0 if either is uniform."""
    a, b = (np.clip(values, *_SEEN_HU) for values in (plane, found))
    return 0.0 if min(a.std(), b.std()) < SAME_HU else float(np.corrcoef(a, b)[0, 1])


def _require_correction(mark: str, name: str, what: str, where: Path) -> None:
    if mark not in name:
        raise InputError(
            f"the series has {what}, which could not be corrected; correct it elsewhere and give it as NIfTI.", where
        )


def _converted(series: Series, where: Path) -> tuple[Volume, str, NDArray[np.float32]]:
    """Run dcm2niix on this series; return its best volume, that file's name and the acquired slices, thinned.

    dcm2niix trusts instance numbers and splits a series if times or numbers change within it, so it runs on copies:
    one file per slice, sorted by position and renumbered.
    """
    program = converter()
    with scratch_folder() as temporary:
        source, target = temporary / "in", temporary / "out"
        source.mkdir()
        target.mkdir()
        planes = list(_numbered_copies(series, source, where))
        command = [program, "-g", "i", "-z", "n", "-b", "n", "-f", "scan", "-o", str(target), str(source)]
        try:
            run = subprocess.run(command, capture_output=True, timeout=CONVERT_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"dcm2niix did not finish in {CONVERT_SECONDS} s; give NIfTI instead.", where) from error
        log.debug("dcm2niix ended with code %d", run.returncode)
        if run.returncode:
            _check_space(temporary, series)
        taken = [int(number) for number in re.findall(rb"Convert (\d+) DICOM", run.stdout)]
        if _one_file_per_slice(series) and taken and max(taken) < series.slices:
            raise InputError(
                f"dcm2niix split the series, and put only {max(taken)} of {series.slices} slices together: some tag "
                "differs among them. Export the series again from the archive, or give the scan as NIfTI.",
                where,
            )
        best = _best_output(target)
        if best is None:
            raise InputError(
                f"dcm2niix found no volume in the series (code {run.returncode}); it may be damaged or packed "
                "in an unknown way. Copy the series again, or give NIfTI.",
                where,
            )
        try:
            volume = nifti.load(best)[0]
            plain = Grid(volume.grid.shape, volume.grid.affine)  # the header is dcm2niix's, not the scanner's
            return Volume(volume.data, plain), best.name, np.stack(planes)
        except InputError as error:
            _check_space(temporary, series)
            raise InputError(error.what, where) from error


def _check_space(folder: Path, series: Series) -> None:
    """Raise OSError if the disk lacks space for dcm2niix's output, since dcm2niix does not report that itself."""
    needed = series.slices * series.first.shape[0] * series.first.shape[1] * BYTES_A_VOXEL
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _numbered_copies(series: Series, folder: Path, where: Path) -> Iterator[NDArray[np.float32]]:
    """Write the copies into `folder`; yield each slice in HU, every `thinning`-th pixel, in the order of `positions`.

    Raises InputError if pixel data is incomplete, which some tools would read as zeros.
    """
    from pydicom import config, dcmwrite

    step = thinning(series)
    if not _one_file_per_slice(series):
        (header,) = series.headers
        shutil.copyfile(header.path, folder / "000000.dcm")
        yield from pixels_hu(header, checked(header, where), where)[series.order, ::step, ::step]
        return
    for number, (header, data, plane) in enumerate(_images(series, where), start=1):
        content = BytesIO()  # pydicom would hide the reason for a failed write to disk
        try:
            with config.disable_value_validation():
                data.InstanceNumber = number
                for tag, value in _ALIKE.items():
                    setattr(data, tag, value)
                implicit = {} if "TransferSyntaxUID" in data.file_meta else {"implicit_vr": True, "little_endian": True}
                dcmwrite(content, data, **implicit)
        except Exception as error:  # damage in tags that have not been read until now
            raise damaged(header, where) from error
        (folder / f"{number:06d}.dcm").write_bytes(content.getbuffer())
        yield plane[::step, ::step]


def _one_file_per_slice(series: Series) -> bool:
    """Whether the converter is given one file per slice: always, except for a multi-frame file with one stack."""
    return series.first.frames == 1 or not series.first.whole


def _images(series: Series, where: Path) -> Iterator[tuple[Header, Any, NDArray[np.float32]]]:
    """Each slice's header, its pydicom data set and its HU, in the order of `positions`."""
    if not series.first.whole:  # some frames of a file with several stacks
        (header,) = series.headers
        planes = pixels_hu(header, checked(header, where), where)
        for place in series.order:
            yield header, as_image(header.each[place], planes[place]), planes[place]
        return
    for place in series.order:
        header = series.headers[place]
        data = checked(header, where)
        yield header, data, pixels_hu(header, data, where)[0]


def _best_output(folder: Path) -> Path | None:
    """The largest volume, in its corrected version if there is one: the uncorrected file's geometry is wrong."""
    versions: dict[str, list[Path]] = defaultdict(list)
    for path in files_below(folder):
        if path.suffix == ".nii":
            versions[_VARIANT.sub("", path.stem)].append(path)
    if not versions:
        return None
    largest = max(versions.values(), key=lambda paths: max(path.stat().st_size for path in paths))
    return max(largest, key=lambda path: ("_Tilt_Eq" in path.stem, "_Tilt" in path.stem, "_Eq" in path.stem))


def _unmeasured(volume: Volume, series: Series, *, tilted: bool) -> NDArray[np.bool_]:
    """Voxels with the scanner's padding value, and those that tilt correction added outside the slices."""
    mask = np.zeros_like(volume.data, dtype=bool)
    paddings = {h.padding_hu for h in series.headers if h.padding_hu is not None and h.padding_hu < LOWEST_AIR_HU}
    for value in paddings:
        mask |= volume.data == np.float32(value)
    if tilted:
        mask |= ~measured_rows(volume.grid, series)[None]
    return mask
