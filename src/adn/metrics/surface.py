"""Distances between boundaries.

The boundary is every mask voxel with background (or the array's end) at one of its 6 faces; distances run between voxel
centres in mm. Libraries differ here, so these choices are part of every number we report.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from adn.metrics.overlap import as_masks, crop_to_union

Spacing = tuple[float, float, float]


def hd95_mm(prediction: NDArray, reference: NDArray, spacing_mm: Spacing) -> float | None:
    """The larger of the two directed 95 % quantiles (linear) of boundary distances, mm.

    Both masks 3D; `spacing_mm` per array axis. Both empty: 0; one empty: None. Raises InputError.
    """
    p, r = as_masks(prediction, reference)
    if not (p.any() and r.any()):
        return None if p.any() or r.any() else 0.0
    return float(max(np.percentile(distances, 95) for distances in _directed_distances_mm(p, r, spacing_mm)))


def surface_dice(prediction: NDArray, reference: NDArray, spacing_mm: Spacing, tolerance_mm: float = 5.0) -> float:
    """Share of both masks' boundary voxels that lie within `tolerance_mm` of the other's boundary, in [0, 1].

    Both masks 3D; `spacing_mm` per array axis. Both empty: 1; one empty: 0. Raises InputError.
    """
    p, r = as_masks(prediction, reference)
    if not (p.any() and r.any()):
        return 0.0 if p.any() or r.any() else 1.0
    distances = np.concatenate(_directed_distances_mm(p, r, spacing_mm))
    return float(np.mean(distances <= tolerance_mm + 1e-5))  # distances are 32-bit: 0.3 mm is within 0.3


def _directed_distances_mm(p: NDArray, r: NDArray, spacing_mm: Spacing) -> tuple[NDArray, NDArray]:
    """From each boundary voxel of one mask to the nearest of the other, both ways; neither mask is empty."""
    p_boundary, r_boundary = (_boundary(mask) for mask in crop_to_union(p, r))
    to_r = _distance_map_mm(r_boundary, spacing_mm)[p_boundary]
    to_p = _distance_map_mm(p_boundary, spacing_mm)[r_boundary]
    return to_r, to_p


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask voxels with background at a face; the mask does not touch the array's end."""
    inside = mask.copy()
    for axis in range(mask.ndim):
        inside &= np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    return mask & ~inside


def _distance_map_mm(boundary: NDArray[np.bool_], spacing_mm: Spacing) -> NDArray[np.float64]:
    """Distance of every voxel to the nearest boundary voxel, mm, exact (Maurer 2003)."""
    image = sitk.GetImageFromArray(boundary.astype(np.uint8))
    image.SetSpacing([float(s) for s in reversed(spacing_mm)])  # SimpleITK counts axes the other way round
    squared = sitk.SignedMaurerDistanceMap(image, squaredDistance=True, useImageSpacing=True)
    distances = np.sqrt(np.abs(sitk.GetArrayFromImage(squared).astype(np.float64)))
    distances[boundary] = 0.0  # the filter leaves 1e-6 there
    return distances
