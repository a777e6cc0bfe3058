"""Restores air and bone that a file has lost: values clipped to a window, bone removed, or the skull stripped.

Only the search for the brain uses the restored scan; all measurements are made on the original.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.prepare import coarse as cm
from adn.prepare.coarse import Mask
from adn.remarks import Remark
from adn.space.volume import Volume

_AIR_HU, _BONE_HU, _SKIN_HU = -1000.0, 1000.0, 40.0
_LOWEST_FLOOR_HU = -700.0  # air is lower, so a higher floor has clipped it
_LEAST_FLOOR = 0.05  # minimum share of voxels at the lowest value
_HIGHEST_TOP_HU = 500.0  # the skull is brighter
_LEAST_TOP = 0.002  # minimum share of voxels at the highest value
_LEAST_BONE = 0.1  # share of voxels brighter than water; parts of heads have at least 0.16, stripped brains up to 0.05
_BRIGHT_HU, _WATER_HU, _VOID_HU = 130.0, 5.0, -300.0
_PIECE = 0.05  # share of the largest piece of bone; smaller ones are calcification and blood
_SPECK_MM = 1.5  # half width of specks inside tissue that have the fill value by chance
_LEAST_GAP = 0.05  # minimum volume of the removed skull, as a share of the tissue's
_BACKGROUND = 0.3  # with less air than this share, the commonest value is taken for the fill of removed parts
_CLOSE_MM = 6.0
_RING_MM = (1.5, 8.0, 14.0)  # distance of inner table, outer table and skin from the brain
_ALONE = 1000.0  # as slice distance: morphology within slices only


class Restored(NamedTuple):
    """The scan in which to search for the brain. tissue: where it may be; None: anywhere. remarks: what was lost."""

    scan: Volume
    tissue: Mask | None = None
    remarks: tuple[Remark, ...] = ()


def restored(scan: Volume) -> Restored:
    """A scan in SPL order with air and bone restored; the scan itself if it lost neither. Tissue keeps its values."""
    hu = scan.data
    floor, top = float(hu.min()), float(hu.max())
    floor_cut = floor > _LOWEST_FLOOR_HU and _share(hu == floor) > _LEAST_FLOOR
    top_cut = top < _HIGHEST_TOP_HU and _share(hu == top) > _LEAST_TOP
    if top_cut:
        remark = Remark("values_cut", {"floor_hu": floor, "top_hu": top})
        unclipped = _unclipped(hu, floor if floor_cut else None, top, scan.grid.spacing_mm)
        return Restored(scan.with_data(unclipped), remarks=(remark,))
    if int((hu > _BRIGHT_HU).sum()) >= _LEAST_BONE * int((hu > _WATER_HU).sum()):
        return Restored(scan)
    tissue = _tissue(hu, scan.grid.spacing_mm)
    if not tissue.any():
        return Restored(scan)
    hull = cm.fill_slices(tissue)
    gap = hull & ~tissue
    if gap.sum() > _LEAST_GAP * tissue.sum():
        filled = np.where(gap, _BONE_HU, np.where(hull, hu, _AIR_HU)).astype(np.float32)
        return Restored(scan.with_data(filled), ~gap, (Remark("bone_removed"),))
    inside = cm.fill_slices(cm.close(cm.largest(tissue), _CLOSE_MM, scan.grid.spacing_mm))
    drawn = _with_skull(hu, inside, scan.grid.spacing_mm)
    return Restored(scan.with_data(drawn), inside, (Remark("skull_stripped"),))


def _share(where: Mask) -> float:
    return float(where.mean())


def _unclipped(
    hu: NDArray, floor: float | None, top: float, spacing_mm: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Restore air where voxels at `floor` reach the slice's border, and bone in large pieces at `top`."""
    result = hu.astype(np.float32)
    result[cm.large_pieces(hu == top, _PIECE)] = _BONE_HU
    if floor is not None:
        result[_from_border(_opened(hu == floor, spacing_mm))] = _AIR_HU
    return result


def _opened(mask: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Remove narrow parts within each slice; everything else keeps its width."""
    alone = (_ALONE, *spacing_mm[1:])
    return mask & cm.dilate(cm.erode(mask, _SPECK_MM, alone), _SPECK_MM + 1.0, alone)


def _from_border(mask: Mask) -> Mask:
    """The part of the mask that is connected to the border within its slice."""
    framed = np.pad(mask, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    return np.stack([cm.largest(plane[None])[0] for plane in framed])[:, 1:-1, 1:-1]


def _tissue(hu: NDArray, spacing_mm: tuple[float, float, float]) -> Mask:
    """Voxels that are neither air nor the fill value of removed parts."""
    void = hu < _VOID_HU
    values, counts = np.unique(hu[::2, ::2, ::2], return_counts=True)
    fill = float(values[counts.argmax()])
    if void.mean() < _BACKGROUND or fill > _VOID_HU:
        void |= _opened(hu == fill, spacing_mm)
    if fill != 0.0:
        void |= _opened(hu == 0.0, spacing_mm)
    return ~void


def _with_skull(hu: NDArray, inside: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """The brain with a skull and skin drawn around it, in air."""
    away = cm.distance_mm(inside, spacing_mm)
    inner, outer, skin = _RING_MM
    result = np.full(hu.shape, _AIR_HU, np.float32)
    result[away <= skin] = _SKIN_HU
    result[away <= outer] = _BONE_HU
    result[away <= inner] = 0.0
    return np.where(inside, hu, result).astype(np.float32)
