"""Checks that the values can be the HU of a head CT; applied to every file, whatever its format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.remarks import Remark
from adn.space.geometry import Grid, bounding_box
from adn.space.volume import Volume

MIN_IN_PLANE_MM = 80.0  # a cropped brain is still 120 mm wide
MIN_STEP_MM = 0.2  # between slices; no scanner goes below this
MAX_SIDE_MM = 700.0  # field of view of the widest scanners
MAX_ORIGIN_MM = 1e5  # from the coordinate origin, which lies in or near the scanner
THIN_MM, THICK_MM = 2.5, 10.0
AIR_HU = -700.0
AIR_SHARE = 0.02
SOFT_TISSUE_HU = (-160.0, 160.0)  # range of the most common value besides air: fat to fresh blood and plastic
BRAIN_MEDIAN_HU = (5.0, 70.0)
BRAIN_SPREAD_HU = 80.0  # between the quartiles, in the middle of a head without air around it
_MANY_VOXELS = 2**22  # above this, every second voxel along each axis is enough
_HINT = "give the CT in Hounsfield units (air −1000, water 0)"


class NotHounsfieldError(InputError):
    """The values are not HU: an MR, or a CT that was rescaled."""


def check_grid(grid: Grid, where: str) -> list[Remark]:
    """Raise InputError if the field of view cannot hold a head; remark on thin or thick slices."""
    upright = grid.reoriented("SPL")
    height, depth, width = (n * step for n, step in zip(upright.shape, upright.spacing_mm, strict=True))
    size = f"{width:.0f} × {depth:.0f} mm in plane, {height:.0f} mm from bottom to top"
    if upright.spacing_mm[0] < MIN_STEP_MM:
        raise InputError(
            f"needed slices at least {MIN_STEP_MM} mm apart, but they are {upright.spacing_mm[0]:.3g} mm apart; check "
            "the image's spacing.",
            where,
        )
    away_mm = float(np.abs(grid.affine[:3, 3]).max())
    if not away_mm < MAX_ORIGIN_MM:  # also true for NaN
        raise InputError(
            f"needed positions in millimetres, but the image's origin lies {away_mm:.3g} mm away; "
            "check the image's header.",
            where,
        )
    if min(depth, width) < MIN_IN_PLANE_MM or max(height, depth, width) > MAX_SIDE_MM:
        raise InputError(f"needed the field of view of a head, but it is {size}; give the head CT alone.", where)
    step = upright.spacing_mm[0]
    if step < THIN_MM:
        return [Remark("slices_thin", {"slice_mm": step})]
    if step > THICK_MM:
        return [Remark("slices_thick", {"slice_mm": step})]
    return []


def check_values(volume: Volume, measured: NDArray[np.bool_] | None, where: str) -> None:
    """Raise NotHounsfieldError if the values cannot be a head's HU. measured: voxels to check (None: all)."""
    thinned = (slice(None, None, 2 if volume.data.size > _MANY_VOXELS else 1),) * 3
    values = volume.data[thinned] if measured is None else volume.data[thinned][measured[thinned]]
    if values.size == 0:
        raise NotHounsfieldError(f"needed a head CT, but all voxels are padding; {_HINT}.", where)
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise NotHounsfieldError(f"needed a head CT, but every voxel is {low:g}; {_HINT}.", where)
    air = float((values < AIR_HU).mean())
    if air >= AIR_SHARE:
        mode = _mode(values[(values > -300) & (values < 1500)])
        if mode is not None and SOFT_TISSUE_HU[0] <= mode <= SOFT_TISSUE_HU[1]:
            return
        what = f"{air:.0%} of the voxels are as dark as air, but " + (
            "none is soft tissue" if mode is None else f"the commonest tissue value is {mode:.0f}"
        )
    else:
        quarter, median, three = np.percentile(_middle(volume.data, low), [25, 50, 75])
        if BRAIN_MEDIAN_HU[0] <= median <= BRAIN_MEDIAN_HU[1] and three - quarter <= BRAIN_SPREAD_HU:
            return  # the air was clipped or the skull stripped, but the middle is brain
        what = f"there is no air, and the middle half of the values lies between {quarter:.0f} and {three:.0f}"
    raise NotHounsfieldError(
        f"needed a head CT in HU, but the values run from {low:.0f} to {high:.0f}, {what}: "
        f"an MR, or a CT that was rescaled; {_HINT}.",
        where,
    )


def _mode(values: NDArray) -> float | None:
    if values.size == 0:
        return None
    counts, edges = np.histogram(values, bins=np.arange(-300, 1520, 20))
    return float(edges[int(counts.argmax())]) + 10.0


def _middle(data: NDArray, background: float) -> NDArray:
    """Values in the central half, along each axis, of the box around everything above `background`."""
    inside = data > background
    quarters = ((part, (part.stop - part.start) // 4) for part in bounding_box(inside))
    values = data[tuple(slice(part.start + quarter, part.stop - quarter) for part, quarter in quarters)]
    return values[values > background] if (values > background).any() else values
