"""Resamples the brain of a scan to the model grid, and keeps the exact way back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from adn.config import GridConfig
from adn.errors import InputError
from adn.prepare.canal import canal_slices
from adn.prepare.part import is_part, lengthened
from adn.prepare.resample import resample
from adn.space.affine import Affine
from adn.space.geometry import Grid, bounding_box
from adn.space.units import WindowHU, hu_to_unit
from adn.space.volume import Volume

_MAX_OUTSIDE = 0.01  # share of the brain that may lie outside the model grid


@dataclass(frozen=True, eq=False)
class Conformed:
    """A brain on the model grid.

    brain: float32 in [0, 1], 0 outside the mask. mask: uint8. Both lie on one axis-aligned SPL grid, centred on the
    brain's centroid. scan_grid: the scan's grid with axes in SPL order. matrix: see `scan_index_from_model_index`.
    scanned: float32, for a part of a head: 1 where the scan (with its copied ends) has data, 0 elsewhere; None for a
    scan tall enough for a whole brain.
    """

    brain: Volume
    mask: Volume
    scan_grid: Grid
    matrix: NDArray[np.float64]
    scanned: NDArray[np.float32] | None = None

    def scan_index_from_model_index(self) -> NDArray[np.float64]:
        """4 × 4: array index on the model grid → array index in the scan in SPL order.

        Computed without the scan's translation, whose rounding in files depends on the axis order, so that it is
        bit-identical for the same volume in any of the 48 axis orders.
        """
        return self.matrix.copy()

    def carry(self, volume: Volume) -> NDArray[np.float32]:
        """Resample a volume on the scan's grid (such as a label fraction) to the model grid, filtered like the brain.

        Any axis order; 0 outside the scan.
        """
        data = volume.reoriented("SPL").data.astype(np.float32)
        return resample(_smooth(data, _prefilter_sigmas(self.matrix)), self.matrix, self.brain.grid.shape)


def conform(volume_hu: Volume, mask: Volume, grid: GridConfig) -> Conformed:
    """Resample the brain to the model grid, once: anti-aliased, linear, normalised by the mask.

    volume_hu: finite HU, any axis order and obliquity. mask: on the same grid, brain where > 0. The window of `grid` is
    mapped to [0, 1] before resampling, and voxels outside the mask have no weight, so no bone leaks into the brain.
    A part of a head gets copies of its ends (`adn.prepare.part`), which the way back leaves out. Raises InputError if
    the mask is empty or the brain does not fit the model grid.
    """
    if not volume_hu.grid.same_as(mask.grid):
        raise InputError(f"The mask must lie on the scan's grid, {volume_hu.grid}, but lies on {mask.grid}.")
    scan_grid = volume_hu.grid.reoriented("SPL")
    scan, own = lengthened(volume_hu.reoriented("SPL"))
    inside = lengthened(mask.reoriented("SPL"))[0].data > 0
    if not inside.any():
        raise InputError("The brain mask is empty, so there is nothing to bring to the model grid.")
    local = scan.grid.affine.copy()
    local[:3, 3] = 0.0
    centroid_mm = Affine(local).apply(_centroid(inside))
    target = Grid.centred(grid.shape, grid.spacing_mm, tuple(centroid_mm)).affine
    scan_from_model = np.linalg.inv(local) @ target
    below = canal_slices(inside, scan.grid.spacing_mm)
    _require_fit(inside[below:], np.linalg.inv(_cut(scan_from_model, below)), grid)

    values, weight = _resample(scan.data, inside, scan_from_model, grid)
    model_mask = weight > 0.5
    brain = np.where(model_mask, values / np.maximum(weight, 0.5), 0.0).clip(0.0, 1.0).astype(np.float32)

    world = target.copy()
    world[:3, 3] += scan.grid.affine[:3, 3]
    model = Grid(grid.shape, world)
    return Conformed(
        brain=Volume(brain, model, "1"),
        mask=Volume(model_mask.astype(np.uint8), model, "label"),
        scan_grid=scan_grid,
        matrix=_cut(scan_from_model, own.start),
        scanned=_scanned(scan_from_model, scan.grid.shape, grid) if is_part(scan_grid) else None,
    )


def _scanned(scan_from_model: NDArray, shape: tuple[int, int, int], grid: GridConfig) -> NDArray[np.float32]:
    """1 in model voxels whose centre lies within the slices of a stack of that shape."""
    d, h, w = np.ogrid[tuple(slice(n) for n in grid.shape)]
    a, b, c, e = scan_from_model[0]
    place = a * d + b * h + c * w + e
    return ((place >= -0.5) & (place <= shape[0] - 0.5)).astype(np.float32)


def _cut(scan_from_model: NDArray[np.float64], below: int) -> NDArray[np.float64]:
    """The same matrix for the scan without the copies below its first slice."""
    matrix = scan_from_model.copy()
    matrix[0, 3] -= below
    return matrix


def carry_mask(mask: Volume, grid: Grid) -> Volume:
    """Resample a mask (inside where > 0) to another grid, uint8: inside if at least half of a voxel is, as in training.

    The mask's fraction is low-pass filtered to the target's voxels and interpolated linearly. Any axis order,
    obliquity and shear; 0 outside the mask's grid.
    """
    inside = mask.data > 0
    if not inside.any():
        return Volume(np.zeros(grid.shape, np.uint8), grid, "label")
    matrix = np.linalg.inv(mask.grid.affine) @ grid.affine
    sigmas = _prefilter_sigmas(matrix)
    # A border of background, so that the resampler does not cut anything off at the array's end.
    crop = bounding_box(inside)
    margins = [int(np.ceil(4 * sigma)) + 1 for sigma in sigmas]
    fraction = np.pad(inside[crop].astype(np.float32), [(m, m) for m in margins])
    matrix[:3, 3] -= [part.start - margin for part, margin in zip(crop, margins, strict=True)]
    carried = resample(_smooth(fraction, sigmas), matrix, grid.shape) >= 0.5
    return Volume(carried.astype(np.uint8), grid, "label")


def _centroid(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean array index of True voxels, from exact integer sums."""
    counts = [inside.sum(axis=tuple(a for a in range(3) if a != axis), dtype=np.int64) for axis in range(3)]
    return np.array([float(np.dot(c, np.arange(c.size))) / float(c.sum()) for c in counts])


def _require_fit(inside: NDArray[np.bool_], model_from_scan: NDArray, grid: GridConfig) -> None:
    """Raise InputError if more than 1 % of the brain, without canal, lies outside the model grid."""
    outside, total = 0, 0
    upper = np.array(grid.shape) - 0.5
    corners = Affine(model_from_scan).apply(
        list(product(*((side.start, side.stop - 1) for side in bounding_box(inside))))
    )
    if ((corners > -0.5) & (corners < upper)).all():  # then everything between them is inside, too
        return
    for z, plane in enumerate(inside):
        index = np.stack([np.full(int(plane.sum()), z), *np.nonzero(plane)], axis=1)
        place = Affine(model_from_scan).apply(index)
        outside += int(((place < -0.5) | (place > upper)).any(axis=1).sum())
        total += len(index)
    if outside > _MAX_OUTSIDE * total:
        size = " × ".join(f"{n * s:.0f}" for n, s in zip(grid.shape, grid.spacing_mm, strict=True))
        raise InputError(
            f"The brain must fit the model grid of {size} mm, but {100 * outside / total:.0f} % of it lies outside. "
            "Check the scan's voxel spacing and the brain mask."
        )


def _resample(
    hu: NDArray, inside: NDArray[np.bool_], scan_from_model: NDArray, grid: GridConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Windowed values times mask, and mask, both low-pass filtered and sampled on the model grid."""
    sigmas = _prefilter_sigmas(scan_from_model)
    crop = bounding_box(inside, margins=[int(np.ceil(4 * s)) + 1 for s in sigmas])
    cropped_mask = inside[crop].astype(np.float32)
    values = _unit(hu[crop], grid.window_hu) * cropped_mask
    matrix = scan_from_model.copy()
    matrix[:3, 3] -= [part.start for part in crop]
    return (
        resample(_smooth(values, sigmas), matrix, grid.shape),
        resample(_smooth(cropped_mask, sigmas), matrix, grid.shape),
    )


def _unit(hu: NDArray, window_hu: WindowHU) -> NDArray[np.float32]:
    return hu_to_unit(hu.astype(np.float32, copy=False), window_hu)


def _prefilter_sigmas(scan_from_model: NDArray) -> list[float]:
    """σ of the low-pass filter along each scan axis, in scan voxels, to match averaging over a target voxel.

    A target voxel spans `step` scan voxels; a box of that width has variance step² / 12, of which the scan's own voxel
    already contributes 1 / 12. 0 if the target is finer.
    """
    steps = np.linalg.norm(scan_from_model[:3, :3], axis=1)
    return [float(np.sqrt(max(step**2 - 1.0, 0.0) / 12.0)) for step in steps]


def _smooth(array: NDArray[np.float32], sigmas: list[float]) -> NDArray[np.float32]:
    """Separable Gaussian with the kernel cut at 4 sigma; values and weights count as 0 outside the array."""
    for axis, sigma in enumerate(sigmas):
        if sigma < 0.2:  # the neighbour's weight would be under 1e-5
            continue
        place, radius = np.arange(array.shape[axis]), int(np.ceil(4 * sigma))
        apart = np.abs(np.subtract.outer(place, place))
        weights = np.where(apart <= radius, np.exp(-0.5 * (apart / sigma) ** 2), 0.0)
        weights /= np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).sum()
        # most weights are 0, but a matrix product is still several times as fast as adding shifted copies
        array = np.moveaxis(np.tensordot(array, weights.astype(np.float32), (axis, 0)), -1, axis)
    return array
