"""Air and bone where a file lost them: values cut to a window, bone removed, the skull stripped.

Only the search for the brain sees what is put back here; everything measured is read from the scan itself.
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
_LOWEST_FLOOR_HU = -700.0  # air lies below; a floor above it has swallowed the air
_LEAST_FLOOR = 0.05  # least share of voxels at the lowest value
_HIGHEST_TOP_HU = 500.0  # the skull is brighter
_LEAST_TOP = 0.002  # least share of voxels at the highest value
_LEAST_BONE = 0.1  # of what is brighter than water; parts of heads have 0.16 and more, stripped brains up to 0.05
_BRIGHT_HU, _WATER_HU, _VOID_HU = 130.0, 5.0, -300.0
_PIECE = 0.05  # share of the largest piece of bone; smaller ones are calcification and blood
_SPECK_MM = 1.5  # half width of what noise leaves on a fill value inside tissue
_LEAST_GAP = 0.05  # share of the tissue's volume where the skull was
_BACKGROUND = 0.3  # of all voxels have the value that fills what was removed
_CLOSE_MM = 6.0
_RING_MM = (1.5, 8.0, 14.0)  # outside the brain: inner and outer table, skin
_ALONE = 1000.0  # as slice distance: morphology within slices only


class Restored(NamedTuple):
    """Where the brain is searched. tissue: where it may lie, None: anywhere. remarks: what the scan had lost."""

    scan: Volume
    tissue: Mask | None = None
    remarks: tuple[Remark, ...] = ()


def restored(scan: Volume) -> Restored:
    """A scan in SPL order with air and bone put back; the scan itself if it lost neither. Values of tissue stay."""
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
    """Air where the floor reaches the slice's border, bone where large pieces lie on the top."""
    result = hu.astype(np.float32)
    result[cm.large_pieces(hu == top, _PIECE)] = _BONE_HU
    if floor is not None:
        result[_from_border(_opened(hu == floor, spacing_mm))] = _AIR_HU
    return result


def _opened(mask: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Narrow parts within a slice removed; everything else as wide as before."""
    alone = (_ALONE, *spacing_mm[1:])
    return mask & cm.dilate(cm.erode(mask, _SPECK_MM, alone), _SPECK_MM + 1.0, alone)


def _from_border(mask: Mask) -> Mask:
    """What is connected, within slices, to the slice's border."""
    framed = np.pad(mask, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    return np.stack([cm.largest(plane[None])[0] for plane in framed])[:, 1:-1, 1:-1]


def _tissue(hu: NDArray, spacing_mm: tuple[float, float, float]) -> Mask:
    """What is neither air nor a value that fills what was removed."""
    void = hu < _VOID_HU
    values, counts = np.unique(hu[::2, ::2, ::2], return_counts=True)
    fill = float(values[counts.argmax()])
    if void.mean() < _BACKGROUND or fill > _VOID_HU:
        void |= _opened(hu == fill, spacing_mm)
    if fill != 0.0:
        void |= _opened(hu == 0.0, spacing_mm)
    return ~void


def _with_skull(hu: NDArray, inside: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """A brain with a drawn skull and skin around it, in air."""
    away = cm.distance_mm(inside, spacing_mm)
    inner, outer, skin = _RING_MM
    result = np.full(hu.shape, _AIR_HU, np.float32)
    result[away <= skin] = _SKIN_HU
    result[away <= outer] = _BONE_HU
    result[away <= inner] = 0.0
    return np.where(inside, hu, result).astype(np.float32)
