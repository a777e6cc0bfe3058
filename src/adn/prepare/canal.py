"""Finds the foramen magnum, the lower end of the brain, below which a mask may run on down the spinal canal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adn.prepare.coarse import Mask

CANAL_CM2 = 10.0  # below the brain's widest slice, a smaller cross-section is the canal
# Masks of scans without neck follow the cord for up to 52 mm below the foramen; these are left as they are.
LONGEST_TAIL_MM = 60.0


def canal_slices(brain: Mask, spacing_mm: tuple[float, float, float]) -> int:
    """How many slices of a stack lie below the foramen magnum; 0 if the brain's base is cut off.

    brain: (D, H, W), lowest slice first. The foramen lies just above the highest slice, of those below the widest one,
    in which the mask is no larger than the canal.
    """
    area_cm2 = brain.sum(axis=(1, 2)) * spacing_mm[1] * spacing_mm[2] / 100.0
    small = np.flatnonzero(area_cm2[: int(np.argmax(area_cm2))] < CANAL_CM2)
    return int(small[-1]) + 1 if small.size else 0


def without_long_canal(brain: NDArray[np.uint8], spacing_mm: tuple[float, float, float]) -> NDArray[np.uint8]:
    """The mask, cut at the foramen magnum if it runs far down the canal, as in scans with neck."""
    below = canal_slices(brain > 0, spacing_mm)
    used = np.flatnonzero(brain[:below].any(axis=(1, 2)))
    if not used.size or (below - used[0]) * spacing_mm[0] <= LONGEST_TAIL_MM:
        return brain
    result = brain.copy()
    result[:below] = 0
    return result
