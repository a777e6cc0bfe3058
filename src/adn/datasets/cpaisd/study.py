"""Reads one study: checks that its slices form one stack; returns them in HU, lowest first, with core and penumbra."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from adn.datasets.cpaisd.files import SliceFiles, StudyFiles, read_array, read_labels
from adn.datasets.parts import slice_numbers
from adn.errors import InputError
from adn.io.digest import sha256
from adn.io.pixels import checked, pixels_hu
from adn.io.series import Header, Series, read_headers
from adn.io.stacks import SAME_PLACE_MM, check_stack, gaps_mm
from adn.space.geometry import RAS_FROM_LPS, Grid
from adn.space.volume import Volume

_AIR_HU = -1024.0  # fill beside slices that gantry tilt shifted
_SCALED = (0.0, 1.0)  # range of pixels that are not HU
_NAMED = 2  # maximum number of slices named in an error
Read = TypeVar("Read")


@dataclass(frozen=True, eq=False)
class Study:
    """A study's slices, lowest first.

    hu, labels: (n, rows, columns), rows to posterior, columns to patient left. places: rising slice numbers, one step
    being spacing_mm[0]. tilt_deg: angle between the slices' normal and the stacking direction. pixels: a hash of each
    slice's pixels, which identifies it whatever its header says.
    """

    hu: NDArray[np.float32]
    labels: NDArray[np.uint8]
    places: list[int]
    spacing_mm: tuple[float, float, float]
    tilt_deg: float
    pixels: tuple[str, ...]


def read_study(files: StudyFiles) -> Study:
    """Read a study and verify its order. Raises InputError, with the reason as a sentence, if it is not usable."""
    if not files.slices:
        raise InputError("There are no slices; copy the study again.")
    headers = _each(files.slices, _read_header)
    shape, where = headers[0].shape, Path("raw.dcm")
    if len({header.shape for header in headers}) > 1:
        raise InputError("The slices have different sizes, so they are not one scan.")
    series = Series(tuple(headers))
    numbers, step = _places(series, where)
    order = [headers[frame] for frame in series.order]
    by_path = {one.raw: one for one in files.slices}
    ordered = [by_path[header.path] for header in order]
    labels = np.stack(_each(ordered, lambda one: read_labels(one, shape)))
    planes = _each(order, lambda header: pixels_hu(header, checked(header, where), where)[0])
    pixels = tuple(sha256(np.rint(plane).astype(np.int16).tobytes())[:16] for plane in planes if np.ptp(plane))
    shifts = _shifts(series)
    hu, labels = _shifted(np.stack(planes), shifts, _AIR_HU), _shifted(labels, shifts, 0)
    grid = _grid(series, hu.shape, step)
    upright, marks = Volume(hu, grid).reoriented("SPL"), Volume(labels, grid, "label").reoriented("SPL")
    if grid.axes[0] == "I":
        numbers = [numbers[-1] - number for number in reversed(numbers)]
    step, row, column = (round(float(side), 4) for side in upright.grid.spacing_mm)
    return Study(upright.data, marks.data, numbers, (step, row, column), _tilt_deg(series), pixels)


def _each(things: Iterable, read: Callable[..., Read]) -> list[Read]:
    """Apply `read` to each slice. Raises InputError with the first reasons if some cannot be read."""
    found, reasons = [], []
    for one in things:
        try:
            found.append(read(one))
        except InputError as error:
            name = one.name if isinstance(one, SliceFiles) else one.path.parent.name
            reasons.append(f"slice {name}: {error.what.rstrip('.')}.")
    if reasons:
        count = f"{len(reasons)} of {len(found) + len(reasons)} slices cannot be used"
        raise InputError(f"{count}: {' '.join(reasons[:_NAMED])}{' …' if len(reasons) > _NAMED else ''}")
    return found


def _read_header(files: SliceFiles) -> Header:
    if not files.raw.is_file():
        raise InputError(_without_raw(files))
    headers = read_headers([files.raw])
    if not headers:
        raise InputError("raw.dcm is no DICOM image")
    header = headers[0]
    if header.frames > 1 or header.modality not in ("CT", ""):
        raise InputError(f"raw.dcm holds {header.frames} images of modality {header.modality}, needed one of CT")
    if header.orientation is None or header.plane != "axial":
        raise InputError(f"raw.dcm does not describe an axial slice (ImageOrientationPatient: {header.plane})")
    return header


def _without_raw(files: SliceFiles) -> str:
    """A sentence about what is unknown for a slice without raw.dcm."""
    try:
        image = read_array(files.image, "image")
    except InputError:
        return "raw.dcm is absent"
    scaled = image.size == 0 or (image.min() >= _SCALED[0] and image.max() <= _SCALED[1])
    if scaled or not np.array_equal(image, np.rint(image)):
        return "raw.dcm is absent, and image.npz holds no HU, so neither HU nor distances are known"
    return "raw.dcm is absent: image.npz holds HU, but no distances between slices and pixels"


def _places(series: Series, where: Path) -> tuple[list[int], float]:
    """Slice numbers and the step, mm. Raises InputError unless all slices form one stack at distinct positions."""
    check_stack(series, where)
    gaps = gaps_mm(series)
    twice = len(series.headers) - len(series.positions) + int((gaps < SAME_PLACE_MM).sum())
    if twice:
        raise InputError(f"{twice} of {len(series.headers)} slices lie where another one does.")
    try:
        return slice_numbers((series.positions @ series.first.normal).tolist())
    except InputError as error:
        raise InputError(f"Not one stack: {error.what}.") from error


def _along(series: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along increasing row index (down) and column index (right), LPS."""
    assert series.first.orientation is not None
    return series.first.orientation[3:], series.first.orientation[:3]


def _shifts(series: Series) -> NDArray[np.intp]:
    """(n, 2): in-plane offset of each slice, down and right, in pixels from the smallest; nonzero with gantry tilt."""
    off = series.positions - series.positions[0]
    pixels = np.stack([off @ way / step for way, step in zip(_along(series), series.first.spacing_mm, strict=True)], 1)
    whole = np.rint(pixels).astype(np.intp)
    return whole - whole.min(axis=0)


def _shifted(stack: NDArray, shifts: NDArray[np.intp], fill: float) -> NDArray:
    """Shift slices in plane by whole pixels, which leaves values unchanged, on a canvas large enough for all."""
    rows, columns = stack.shape[1:]
    wide = np.full((len(stack), *(np.array([rows, columns]) + shifts.max(axis=0))), fill, stack.dtype)
    for target, plane, (down, right) in zip(wide, stack, shifts, strict=True):
        target[down : down + rows, right : right + columns] = plane
    return wide


def _grid(series: Series, shape: tuple[int, ...], step_mm: float) -> Grid:
    """A grid with the stack's directions and spacing; its position does not matter."""
    ways, (row_mm, column_mm) = _along(series), series.first.spacing_mm
    lps = np.eye(4)
    lps[:3, :3] = np.stack([series.first.normal * step_mm, ways[0] * row_mm, ways[1] * column_mm], axis=1)
    return Grid((shape[0], shape[1], shape[2]), RAS_FROM_LPS @ lps)


def _tilt_deg(series: Series) -> float:
    way = series.positions[-1] - series.positions[0]
    height = abs(float(way @ series.first.normal))
    return float(np.degrees(np.arccos(np.clip(height / np.linalg.norm(way), 0.0, 1.0))))
