"""Maps between the acquired slices of a series and the volume converted from them.

Positions come from the headers, so this also works with a tilted gantry and uneven gaps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.io.series import Series
from adn.space.affine import Affine
from adn.space.geometry import RAS_FROM_LPS, Grid, bounding_box
from adn.space.volume import Volume

SAME_VOXEL = 3  # decimals kept of an index, so that slices left in place by conversion keep their exact values
OWN_PLANE = 0.25  # share of the slice distance: errors from alternating gaps (9.0 and 8.9 mm) add up over a head


class Place(NamedTuple):
    """Fractional indices of points in the stack of acquired slices, in arrays of one shape. slice: held at the ends."""

    slice: NDArray[np.float64]
    row: NDArray[np.float64]
    column: NDArray[np.float64]


def place_of(points: NDArray[np.float64], series: Series) -> Place:
    """Where points (…, 3), LPS mm, lie in the stack; between slices, the in-plane offset is interpolated linearly."""
    right, down = _directions(series)
    first, positions = series.first, series.positions
    heights, height = positions @ first.normal, points @ first.normal
    row = (points @ down - np.interp(height, heights, positions @ down)) / first.spacing_mm[0]
    column = (points @ right - np.interp(height, heights, positions @ right)) / first.spacing_mm[1]
    return Place(np.interp(height, heights, np.arange(len(heights))), row, column)


def measured_rows(grid: Grid, series: Series) -> NDArray[np.bool_]:
    """(rows, slices) of a tilt-corrected grid: True for rows that the acquired, slanted stack covers."""
    rows, slices = np.meshgrid(np.arange(grid.shape[1]), np.arange(grid.shape[2]), indexing="ij")
    index = np.stack([np.zeros_like(rows), rows, slices, np.ones_like(rows)], axis=-1)
    row = place_of((index @ (RAS_FROM_LPS @ grid.affine).T)[..., :3], series).row
    return (row >= -0.5) & (row <= series.first.shape[0] - 0.5)


def labels_on_grid(labels: NDArray[np.uint8], series: Series, grid: Grid) -> NDArray[np.uint8]:
    """Transfer labels of the acquired slices (m, rows, columns) to the converted volume's grid, by nearest voxel."""
    heights = series.positions @ series.first.normal
    marked = heights[labels.any(axis=(1, 2))]
    reach = float(np.diff(heights).max(initial=0.0))
    result = np.zeros(grid.shape, np.uint8)
    for k, points in _planes(grid):
        height = points @ series.first.normal
        if not ((marked > height.min() - reach) & (marked < height.max() + reach)).any():
            continue  # most slices hold no label
        place, row, column = (np.rint(part).astype(int) for part in place_of(points, series))
        inside = (row >= 0) & (row < labels.shape[1]) & (column >= 0) & (column < labels.shape[2])
        result[..., k][inside] = labels[place[inside], row[inside], column[inside]]
    return result


def volume_on_slices(volume: Volume, series: Series) -> NDArray[np.float32]:
    """Resample a volume to the acquired slices, (slices, rows, columns) in the order of `series.positions`.

    One linear interpolation; 0 outside the volume. If conversion kept the slices, each reads its own plane, even if the
    volume's even spacing puts that plane slightly off.
    """
    from scipy.ndimage import map_coordinates

    result = np.zeros((len(series.positions), *series.first.shape), np.float32)
    data = volume.data.astype(np.float32)
    if not data.any():
        return result
    filled = bounding_box(data != 0)  # all zero outside, and most of a slice is not brain
    low, high = (np.array(ends) for ends in zip(*((part.start - 1, part.stop) for part in filled), strict=True))
    for plane, index in zip(result, slice_indices(volume.grid, series), strict=True):
        near = ((index > low) & (index < high)).all(axis=-1)
        plane[near] = map_coordinates(data, index[near].T, order=1, mode="grid-constant", prefilter=False)
    return result


def slice_indices(grid: Grid, series: Series, step: int = 1) -> Iterator[NDArray[np.float64]]:
    """For each acquired slice, the indices in `grid` of every `step`-th voxel, (rows, columns, 3)."""
    right, down = _directions(series)
    first = series.first
    rows, columns = np.meshgrid(*(np.arange(0, side, step) for side in first.shape), indexing="ij")
    across = rows[..., None] * (down * first.spacing_mm[0]) + columns[..., None] * (right * first.spacing_mm[1])
    index_from_lps = np.linalg.inv(RAS_FROM_LPS @ grid.affine)
    to_plane = _steps_to_plane(index_from_lps, grid, series)
    for position, steps in zip(series.positions, to_plane, strict=True):
        yield (Affine(index_from_lps).apply(position + across) + steps).round(SAME_VOXEL)


def _steps_to_plane(index_from_lps: NDArray, grid: Grid, series: Series) -> NDArray[np.float64]:
    """(slices, 3): correction that moves each slice's index onto its own plane; 0 if conversion resampled slices."""
    axis = int(np.argmax(np.abs(index_from_lps[:3, :3] @ series.first.normal) * grid.spacing_mm))
    steps = np.zeros((len(series.positions), 3))
    place = series.positions @ index_from_lps[axis, :3] + index_from_lps[axis, 3]
    if grid.shape[axis] == len(place) and np.abs(np.rint(place) - place).max() < OWN_PLANE:
        steps[:, axis] = np.rint(place) - place
    return steps


def thickness_mm(series: Series) -> NDArray[np.float64]:
    """Thickness each acquired slice represents: half the gap on either side; at the ends, the whole of the one gap."""
    gaps = np.abs(np.diff(series.positions @ series.first.normal))
    return (np.r_[gaps[:1], gaps] + np.r_[gaps, gaps[-1:]]) / 2


def _directions(series: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along increasing column index and increasing row index, LPS."""
    orientation = series.first.orientation
    assert orientation is not None
    return orientation[:3], orientation[3:]


def _planes(grid: Grid) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Each plane along the last array axis: its index and its voxels' positions, LPS mm (n0, n1, 3)."""
    lps = RAS_FROM_LPS @ grid.affine
    i, j = np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]), indexing="ij")
    flat = i[..., None] * lps[:3, 0] + j[..., None] * lps[:3, 1] + lps[:3, 3]
    for k in range(grid.shape[2]):
        yield k, flat + k * lps[:3, 2]
