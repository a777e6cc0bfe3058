"""Finds blood in a head with a bleed, where the head cannot serve as infarct-free reference.

The oedema around a bleed has to be outlined by hand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adn.prepare import coarse as cm
from adn.space.volume import Volume

BLOOD_HU = 50.0
_ABOVE_MEDIAN_HU = 15.0  # minimum excess over the brain's median, which in some scans is near 45 HU
_OPEN_MM = 2.0  # half width of structures too thin for a bleed: falx, tentorium, vessels
_RIM_MM = 6.0  # margin along the skull, with blurred bone and sinuses: parts entirely inside it are not bleeds
_MIN_ML = 0.3  # smaller spots are calcification and noise
_APART_MM = 1000.0  # as slice distance: morphology within slices only


def find_blood(ct: Volume, brain: Volume) -> NDArray[np.bool_]:
    """Compact parts of the brain brighter than 50 HU, on the scan's own grid, except those only along the bone.

    ct: HU; brain: mask on its grid; both SPL. Opened within slices by 2 mm; parts under 0.3 mL are left out.
    """
    spacing = ct.grid.spacing_mm
    in_plane = (_APART_MM, *spacing[1:])
    inside = brain.data > 0
    if not inside.any():
        return inside
    limit = max(BLOOD_HU, float(np.median(ct.data[inside])) + _ABOVE_MEDIAN_HU)
    bright = (cm.median_in_slices(ct.data.astype(np.float32)) > limit) & inside
    opened = bright & cm.dilate(cm.erode(bright, _OPEN_MM, in_plane), _OPEN_MM, in_plane)
    deep = _large(opened & cm.erode(inside, _RIM_MM, in_plane), ct.grid.voxel_ml)
    return opened & cm.dilate(deep, _RIM_MM, in_plane)


def _large(mask: NDArray[np.bool_], voxel_ml: float) -> NDArray[np.bool_]:
    parts = cm.components(mask)
    return mask & ((np.bincount(parts.ravel()) * voxel_ml)[parts] >= _MIN_ML)
