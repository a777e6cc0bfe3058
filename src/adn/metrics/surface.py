"""Distances between boundaries.

The boundary consists of all mask voxels with background (or the array's end) at one of their 6 faces; distances are
between voxel centres, in mm. Libraries differ here (docs/metrics.md), so these choices affect every number we report.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from adn.metrics.overlap import as_masks, crop_to_union

Spacing = tuple[float, float, float] | NDArray[np.float64]


def hd95_mm(prediction: NDArray, reference: NDArray, spacing_mm: Spacing) -> float | None:
    """The larger of the two directed 95 % quantiles (linear) of boundary distances, mm.

    Both masks 3D. spacing_mm: per array axis; or 3 × 3, with the steps of the array axes as columns, for axes that are
    not at right angles (gantry tilt). Both empty: 0; one empty: None. Raises InputError.
    """
    p, r = as_masks(prediction, reference)
    distances = boundary_distances_mm(p, r, spacing_mm)
    return hd95_of(distances) if distances else None if p.any() or r.any() else 0.0


def hd95_all_voxels_mm(prediction: NDArray, reference: NDArray, spacing_mm: Spacing) -> float | None:
    """Like `hd95_mm`, but over all voxels of both masks, as in Taha & Hanbury (2015); common voxels are 0 mm apart."""
    p, r = as_masks(prediction, reference)
    if not (p.any() and r.any()):
        return None if p.any() or r.any() else 0.0
    return hd95_of(_both_ways_mm(*crop_to_union(p, r), spacing_mm))


def surface_dice(prediction: NDArray, reference: NDArray, spacing_mm: Spacing, tolerance_mm: float = 5.0) -> float:
    """Share of both masks' boundary voxels that lie within `tolerance_mm` of the other's boundary, in [0, 1].

    Both masks 3D; spacing_mm as in `hd95_mm`. Both empty: 1; one empty: 0. Raises InputError.
    """
    p, r = as_masks(prediction, reference)
    distances = boundary_distances_mm(p, r, spacing_mm)
    return surface_dice_of(distances, tolerance_mm) if distances else 0.0 if p.any() or r.any() else 1.0


def hd95_of(distances: tuple[NDArray, NDArray]) -> float:
    """HD95 from `boundary_distances_mm`."""
    return float(max(np.percentile(one_way, 95) for one_way in distances))


def surface_dice_of(distances: tuple[NDArray, NDArray], tolerance_mm: float) -> float:
    """Surface Dice from `boundary_distances_mm`."""
    return float(np.mean(np.concatenate(distances) <= tolerance_mm + 1e-5))  # 32-bit distances: 0.3 mm is within 0.3


def boundary_distances_mm(
    prediction: NDArray[np.bool_], reference: NDArray[np.bool_], spacing_mm: Spacing
) -> tuple[NDArray, NDArray] | None:
    """From each boundary voxel of one mask to the nearest of the other, mm, both ways; None if a mask is empty."""
    if not (prediction.any() and reference.any()):
        return None
    p, r = (_boundary(mask) for mask in crop_to_union(prediction, reference))
    return _both_ways_mm(p, r, spacing_mm)


def _both_ways_mm(p: NDArray[np.bool_], r: NDArray[np.bool_], spacing_mm: Spacing) -> tuple[NDArray, NDArray]:
    """From each voxel of one set to the nearest of the other, mm, both ways; neither is empty."""
    steps = np.asarray(spacing_mm, dtype=np.float64)
    if steps.ndim == 1:
        return _distances_mm(p, r, steps), _distances_mm(r, p, steps)
    products = steps.T @ steps
    if np.abs(products - np.diag(np.diag(products))).max() < 1e-6 * products.max():  # turned, but at right angles
        spacing = np.sqrt(np.diag(products))
        return _distances_mm(p, r, spacing), _distances_mm(r, p, spacing)
    places = [np.argwhere(mask) @ steps.T for mask in (p, r)]
    return _nearest_mm(*places), _nearest_mm(*reversed(places))


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask voxels with background at a face. The mask must not touch the array's end."""
    inside = mask.copy()
    for axis in range(mask.ndim):
        inside &= np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    return mask & ~inside


def _distances_mm(start: NDArray[np.bool_], goal: NDArray[np.bool_], spacing_mm: NDArray) -> NDArray[np.float64]:
    """Distance of every `start` voxel to the nearest `goal` voxel, mm, by an exact distance map (Maurer 2003)."""
    image = sitk.GetImageFromArray(goal.view(np.uint8))
    image.SetSpacing([float(s) for s in reversed(spacing_mm)])  # SimpleITK orders axes the other way round
    squared = sitk.SignedMaurerDistanceMap(image, squaredDistance=True, useImageSpacing=True)
    distances = np.sqrt(np.abs(sitk.GetArrayViewFromImage(squared)[start].astype(np.float64)))
    distances[goal[start]] = 0.0  # the filter leaves 1e-6 there
    return distances


def _nearest_mm(start: NDArray[np.float64], goal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of every point (n, 3) to the nearest `goal` point, since distance maps are wrong on sheared grids."""
    from scipy.spatial import KDTree

    return np.asarray(KDTree(goal).query(start)[0], dtype=np.float64)
