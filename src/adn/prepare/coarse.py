"""Coarser copies of a scan, and morphology in millimetres on them.

Arrays are in SPL order. Distances respect the spacing: a radius below the slice spacing acts only within slices, as
thick slices require.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Coarse:
    """Block means of an array. hu: float32. spacing_mm: of the blocks. factors: fine voxels per block and axis."""

    hu: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]
    factors: tuple[int, int, int]


def coarsen(hu: NDArray, spacing_mm: tuple[float, float, float], target_mm: float) -> Coarse:
    """Average blocks of voxels so that no axis is much finer than `target_mm`."""
    i, j, k = (max(1, round(target_mm / step)) for step in spacing_mm)
    a, b, c = (step * factor for step, factor in zip(spacing_mm, (i, j, k), strict=True))
    return Coarse(block_mean(hu, (i, j, k)), (a, b, c), (i, j, k))


def block_mean(array: NDArray, factors: tuple[int, int, int]) -> NDArray[np.float32]:
    """Means of blocks of `factors` voxels; the last blocks repeat the edge."""
    result = array.astype(np.float32, copy=False)
    for axis, factor in enumerate(factors):
        size = result.shape[axis]
        starts = np.arange(-(-size // factor)) * factor
        total = result.take(starts, axis=axis)
        for phase in range(1, factor):
            total += result.take(np.minimum(starts + phase, size - 1), axis=axis)
        result = total / np.float32(factor)
    return result


def refine(
    values: NDArray[np.float32], factors: tuple[int, int, int], start: Sequence[int], shape: Sequence[int]
) -> NDArray[np.float32]:
    """Interpolate coarse values linearly at the fine voxels start … start + shape."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([float(f) for f in factors[::-1]])
    image.SetOrigin([(f - 1) / 2 for f in factors[::-1]])
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in shape[::-1]])
    resampler.SetOutputOrigin([float(s) for s in start[::-1]])
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetUseNearestNeighborExtrapolator(True)
    return sitk.GetArrayFromImage(resampler.Execute(image))


def distance_mm(mask: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """Distance in mm from each voxel to `mask`, 0 inside it; infinite if the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    image = _image(mask, spacing_mm)
    distance = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return np.maximum(sitk.GetArrayFromImage(distance), 0.0)


def erode(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """True where every voxel outside the mask is further than `radius_mm` away; the array's border does not erode."""
    return distance_mm(~mask, spacing_mm) > radius_mm


def dilate(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """True within `radius_mm` of the mask."""
    return distance_mm(mask, spacing_mm) <= radius_mm


def close(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """Dilate, then erode: bridges gaps narrower than twice the radius."""
    return erode(dilate(mask, radius_mm, spacing_mm), radius_mm, spacing_mm) | mask


def median_in_slices(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of 3 × 3 neighbours within each axial slice."""
    return sitk.GetArrayFromImage(sitk.Median(sitk.GetImageFromArray(values), [1, 1, 0]))


def components(mask: Mask, *, corners: bool = False) -> NDArray[np.integer]:
    """Connected parts numbered from 1 by decreasing size; 0 outside. corners: voxels that share only an edge or corner
    are connected as well."""
    labels = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), corners)
    return sitk.GetArrayFromImage(sitk.RelabelComponent(labels, sortByObjectSize=True))


def largest(mask: Mask) -> Mask:
    """The largest face-connected part."""
    return components(mask) == 1


def large_pieces(mask: Mask, share: float) -> Mask:
    """The face-connected parts that have at least `share` of the largest one's size."""
    labels = components(mask)
    sizes = np.bincount(labels.ravel())[1:]
    return (labels > 0) & (labels <= int((sizes >= share * sizes[:1].sum()).sum())) if sizes.size else mask


def fill_slices(mask: Mask) -> Mask:
    """Fill holes within each axial slice."""
    return np.stack([_fill(plane) for plane in mask])


def peel_slices(mask: Mask, rind: Mask, steps: int) -> Mask:
    """The mask without voxels of `rind` that can be reached from outside, through `rind`, in `steps` in-plane steps."""
    outside = ~mask
    for _ in range(steps):
        grown = outside.copy()
        grown[:, 1:] |= outside[:, :-1]
        grown[:, :-1] |= outside[:, 1:]
        grown[:, :, 1:] |= outside[:, :, :-1]
        grown[:, :, :-1] |= outside[:, :, 1:]
        outside |= grown & rind
    return mask & ~outside


def _fill(plane: Mask) -> Mask:
    if not plane.any():
        return plane
    return sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(plane.astype(np.uint8)))) > 0


def watershed(relief: NDArray[np.float32], markers: NDArray[np.uint8]) -> NDArray[np.integer]:
    """Flood `relief` from `markers` (> 0), lowest first; each voxel gets the marker that reaches it first."""
    flooded = sitk.MorphologicalWatershedFromMarkers(
        sitk.GetImageFromArray(relief), sitk.GetImageFromArray(markers), markWatershedLine=False, fullyConnected=False
    )
    return sitk.GetArrayFromImage(flooded)


def _image(mask: Mask, spacing_mm: tuple[float, float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing_mm[::-1])
    return image
