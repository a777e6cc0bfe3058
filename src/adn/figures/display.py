"""Axial slices as a radiologist sees them: patient left on image right, anterior on top. Numpy only.

Slice numbers are array indices along the superior-inferior axis as stored in the file, from 0, everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adn.results import Prediction
from adn.space.geometry import reorient_array
from adn.space.volume import Volume

Crop = tuple[slice, slice]
STROKE_WINDOW_HU = (20.0, 60.0)  # width 40, level 40: what stroke readers use for early ischaemia
_SHOWS_MUCH = 0.3  # share of the largest brain area; slices with less show mostly skull base or vertex
SLAB_MM = 5.0  # thinner slices are too noisy to read; 5 mm is how clinical heads are reconstructed


def axial_stack(volume: Volume) -> NDArray:
    """All axial slices in radiological display, (slices, rows, columns), in the file's slice order. A view.

    Row 0 is anterior, column 0 is patient right. Oblique volumes are shown along their nearest axes.
    """
    return _slices(volume, slice(None))


def _slices(volume: Volume, indices: slice) -> NDArray:
    """Some slices of `axial_stack`."""
    axes = volume.grid.axes
    direction = _stored_direction(axes)
    return reorient_array(volume.part(axes.index(direction), indices), axes, f"{direction}PL")


def axial_slice(volume: Volume, index: int) -> NDArray:
    """One axial slice in radiological display, (rows, columns); `index` counts as stored in the file. A view."""
    return _slices(volume, slice(index, index + 1))[0]


def slab_slices(volume: Volume) -> int:
    """How many slices (odd) `axial_slab` averages to come closest to 5 mm; 1 if slices are thick."""
    return 2 * max(0, round((SLAB_MM / stack_spacing_mm(volume)[0] - 1) / 2)) + 1


def axial_slab(volume: Volume, index: int) -> NDArray[np.float32]:
    """The mean of the slices around `index` that make 5 mm, (rows, columns): a slice as thick as readers expect."""
    half = slab_slices(volume) // 2
    return _slices(volume, slice(max(0, index - half), index + half + 1)).mean(axis=0, dtype=np.float32)


def stroke_window_hu(scan: Volume, brain_mask: Volume) -> tuple[float, float]:
    """20 to 60 HU, shifted (never widened) if the brain reads so dark or bright that it would not show."""
    every = 1 + round((scan.data.size / 200_000) ** (1 / 3))  # step along each axis: a sample of the voxels is enough
    brain = scan.data[::every, ::every, ::every][brain_mask.data[::every, ::every, ::every] > 0]
    median = float(np.median(brain)) if brain.size else 33.0
    level = 40.0 if 28.0 <= median <= 45.0 else round(median) + 7.0  # level 40 is about 7 HU above usual brain
    return level - 20.0, level + 20.0


def stack_spacing_mm(volume: Volume) -> tuple[float, float, float]:
    """Spacing of `axial_stack`: between slices, rows, columns, mm."""
    axes = volume.grid.axes
    return volume.grid.reoriented(f"{_stored_direction(axes)}PL").spacing_mm


def slice_areas_cm2(mask: Volume) -> NDArray[np.float64]:
    """Area of a mask in each axial slice, (slices,), cm²."""
    _, row_mm, column_mm = stack_spacing_mm(mask)
    return (axial_stack(mask) > 0).sum(axis=(1, 2)) * row_mm * column_mm / 100.0


def crop_to(mask: Volume, margin_mm: float) -> Crop:
    """Rows and columns of `axial_stack` that hold a mask plus a margin (room for the skull); all if it is empty."""
    present = axial_stack(mask).max(axis=0) > 0
    if not present.any():
        return slice(0, present.shape[0]), slice(0, present.shape[1])
    window = []
    for touched, step_mm in zip((np.any(present, 1), np.any(present, 0)), stack_spacing_mm(mask)[1:], strict=True):
        indices = np.flatnonzero(touched)
        margin = int(np.ceil(margin_mm / step_mm))
        window.append(slice(max(0, int(indices[0]) - margin), int(indices[-1]) + margin + 1))
    return window[0], window[1]


def even_slices(mask: Volume, count: int, least_share: float = 0.0) -> tuple[int, ...]:
    """At most `count` slice numbers, from below, evenly spaced over the slices a mask touches (all if it is empty).

    least_share: slices with less than this share of the largest area are left out.
    """
    areas = np.count_nonzero(axial_stack(mask) > 0, axis=(1, 2))
    touched = np.flatnonzero(areas > least_share * areas.max())
    if not touched.size:
        touched = np.arange(axial_stack(mask).shape[0])
    # The middles of `count` equal parts, because the outermost slices show little.
    places = (np.arange(count) + 0.5) / count * len(touched) - 0.5
    chosen = np.unique(touched[np.rint(places).astype(int).clip(0, len(touched) - 1)])
    return tuple(int(i) for i in (chosen if "S" in mask.grid.axes else chosen[::-1]))


def key_slices(prediction: Prediction, count: int = 6, apart_mm: float = 4.5) -> tuple[int, ...]:
    """At most `count` slice numbers: largest infarct areas first, at least `apart_mm` apart (thin slices repeat).

    Without infarct: evenly spaced slices of the brain.
    """
    areas = slice_areas_cm2(prediction.infarct)
    if not areas.any():
        return even_slices(prediction.brain_mask, count, _SHOWS_MUCH)
    step_mm = stack_spacing_mm(prediction.infarct)[0]
    chosen: list[int] = []
    for index in np.argsort(-areas, kind="stable"):
        if areas[index] > 0 and all(abs(index - other) * step_mm >= apart_mm for other in chosen):
            chosen.append(int(index))
    return tuple(chosen[:count])


def _stored_direction(axes: str) -> str:
    return "S" if "S" in axes else "I"
