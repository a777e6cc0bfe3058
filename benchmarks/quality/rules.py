"""Rows of Table 1 that train no network: two rules that compare a place with its mirror twin.

Darker: tissue 3 % darker than its twin, both smoothed over 5 mm. Water: tissue around which (20 mm in plane, 15 mm
along) net water uptake is above a limit, within the territories of the cerebral arteries if the scan can be registered
to MNI space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from adn.atlas import REGIONS
from adn.findings.hypodensity import relative_hypodensity
from adn.findings.territory import can_register, mni_from_aligned
from adn.findings.territory.shares import deepest
from adn.findings.twins import Twins, places, twins_of
from adn.findings.water import tissue_pairs
from adn.space.geometry import bounding_box
from adn.space.volume import Volume

DARKER = 0.03
LIMITS_PERCENT = (1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0)  # of net water uptake; the other folds' patients decide which one
REGION_MM = (15.0, 20.0, 20.0)
_FEWEST_SHARE = 0.2  # least share of a region's blocks with a twin; below it there is no result
_BELOW = ("cerebellum", "brainstem")  # lie beside the mid-plane, where a twin is the same tissue


def darker(ct: Volume, brain: Volume, aligned_from_scan: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Everything 3 % darker than its twin, (D, H, W) in SPL order."""
    found = np.zeros(brain.data.shape, bool)
    found[bounding_box(brain.data > 0)] = relative_hypodensity(ct, brain, aligned_from_scan) >= DARKER
    return found


def water(ct: Volume, brain: Volume, aligned_from_scan: NDArray[np.float64]) -> NDArray[np.float32]:
    """Net water uptake, %, of the region around each voxel, (D, H, W) in SPL order; 0 outside the territories."""
    twins = twins_of(ct, brain, np.zeros(ct.data.shape, np.uint8), aligned_from_scan)
    percent = regional(twins)
    if can_register(brain):
        percent = percent * in_territory(twins, mni_from_aligned(ct, brain, aligned_from_scan))
    return on_voxels(percent, twins, ct.data.shape)


def regional(twins: Twins) -> NDArray[np.float32]:
    """Net water uptake, %, of the region around each block of tissue; 0 elsewhere."""
    every = tissue_pairs(twins).every.astype(np.float32)
    size = [max(1, round(mm / step)) for mm, step in zip(REGION_MM, twins.spacing_mm, strict=True)]
    share, own, other = (
        uniform_filter(x * every, size, mode="constant")  # type: ignore[arg-type]
        for x in (1.0, twins.hu, twins.mirror_hu)
    )
    known = (share > _FEWEST_SHARE) & (every > 0)
    return np.where(known, 100.0 * (1.0 - own / np.maximum(other, 1e-3)), 0.0).astype(np.float32)


def in_territory(twins: Twins, matrix: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Blocks in a territory of the cerebral arteries. matrix: 4 × 4, aligned frame → MNI, LPS mm."""
    where = places(twins, matrix)
    where[..., 0] = np.abs(where[..., 0])
    found = deepest(where.reshape(-1, 3)).reshape(where.shape[:-1])
    return ~np.isin(found, [list(REGIONS).index(name) for name in _BELOW])


def on_voxels(blocks: NDArray[np.float32], twins: Twins, shape: Sequence[int]) -> NDArray[np.float32]:
    """Blocks on the scan's voxels, 0 outside their box."""
    result = np.zeros(tuple(shape), np.float32)
    for axis, factor in enumerate(twins.factors):
        blocks = np.repeat(blocks, factor, axis)
    part = tuple(slice(a, min(a + n, side)) for a, n, side in zip(twins.start, blocks.shape, shape, strict=True))
    result[part] = blocks[tuple(slice(0, p.stop - p.start) for p in part)]
    return result
