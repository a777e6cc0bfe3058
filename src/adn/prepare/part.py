"""Parts of heads: extends a stack that is too short by copies of its end slices, and cuts it back afterwards."""

from __future__ import annotations

import numpy as np

from adn.space.geometry import Grid
from adn.space.units import WHOLE_BRAIN_MM
from adn.space.volume import Volume

LEAST_MM, LEAST_SLICES = 45.0, 7  # smallest stack that the networks and morphology can work on


def copies_needed(slices: int, slice_mm: float, least_mm: float = LEAST_MM) -> tuple[int, int]:
    """How many copies of the first and of the last slice a stack needs; (0, 0) if it is tall enough."""
    lacking = max(max(LEAST_SLICES, int(np.ceil(least_mm / slice_mm))) - slices, 0)
    return lacking // 2, (lacking + 1) // 2


def lengthened(volume: Volume) -> tuple[Volume, slice]:
    """A volume in SPL order with copies of its end slices if needed, and the range of the original slices in it."""
    slices = volume.grid.shape[0]
    below, above = copies_needed(slices, volume.grid.spacing_mm[0])
    if not above:
        return volume, slice(0, slices)
    data = np.pad(volume.data, ((below, above), (0, 0), (0, 0)), "edge")
    affine = volume.grid.affine.copy()
    affine[:3, 3] -= below * affine[:3, 0]
    return Volume(data, Grid(data.shape, affine), volume.unit), slice(below, below + slices)


def is_part(grid: Grid) -> bool:
    """Whether a scan on a grid in SPL order is too short to show a whole brain."""
    return grid.shape[0] * grid.spacing_mm[0] < WHOLE_BRAIN_MM
