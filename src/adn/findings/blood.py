"""What may be blood: compact parts of 55 to 95 HU away from bone, with their size and place. A simple rule.

It misses thin bleeds (subarachnoid, subdural) and those next to the skull.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adn.answers import Blood, BrightPart
from adn.findings.quality import bright_parts
from adn.findings.territory import territory_at
from adn.space.affine import Affine
from adn.space.volume import Volume

_MOST_PARTS = 5
SEEN_ML = 0.5  # of one part; heads without blood had up to 0.4, from calcification


def blood(
    volume: Volume, mask: Volume, aligned_from_scan: NDArray[np.float64], mni_from_aligned: NDArray[np.float64] | None
) -> Blood:
    """Parts that may be blood, largest first. volume: HU, SPL. mask: brain, same grid."""
    parts = []
    for index, ml in bright_parts(volume, mask)[:_MOST_PARTS]:
        middle = Affine(aligned_from_scan).apply(index.mean(axis=0))
        place = None if mni_from_aligned is None else territory_at(Affine(mni_from_aligned).apply(middle))
        parts.append(BrightPart("left" if middle[0] > 0 else "right", ml, place))
    total_ml = sum(part.volume_ml for part in parts)
    return Blood(any(part.volume_ml >= SEEN_ML for part in parts), total_ml, tuple(parts))
