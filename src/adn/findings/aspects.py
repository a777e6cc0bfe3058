"""ASPECTS: ten regions a side, carried over from MNI space as territories are; a marked region loses its point.

Regions: `tools/make_aspects_regions.py`, after Barber et al., Lancet 2000;355:1670.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.answers import Aspects, NotAssessable, OneSide, RegionFinding
from adn.atlas import ASPECTS_REGIONS
from adn.findings.twins import Twins, places
from adn.findings.water import MARKED_FROM_HU, TISSUE_HU, Pairs, net_water_uptake, tissue_pairs

AFFECTED_SHARE = 0.2  # a region with a larger share of its tissue marked loses its point
LEAST_SEEN = 0.5  # least share of a region's usual volume that must be visible brain
SIDES: tuple[OneSide, OneSide] = ("left", "right")


class RegionMap(NamedTuple):
    """For each block: its region's number in `ASPECTS_REGIONS`, from 1 (0: none), and whether it lies on the left."""

    number: NDArray[np.uint8]
    left: NDArray[np.bool_]


class _Stored(NamedTuple):
    """left: region numbers, (D, H, W), W along |x|. step_mm, start_mm (z, y, x): where voxels lie, MNI LPS mm."""

    left: NDArray[np.uint8]
    step_mm: float
    start_mm: NDArray[np.float64]


@lru_cache(maxsize=1)
def _stored() -> _Stored:
    with (resources.files("adn.findings") / "aspects_regions.npz").open("rb") as file:
        kept = np.load(file)
        return _Stored(kept["left"], float(kept["step_mm"]), kept["start_mm"])


def regions_at(mni_mm: NDArray[np.floating]) -> RegionMap:
    """Regions at places (…, 3), MNI LPS mm: the nearest voxel of the map."""
    stored = _stored()
    zyx = np.stack([mni_mm[..., 2], mni_mm[..., 1], np.abs(mni_mm[..., 0])], axis=-1)
    index = np.rint((zyx - stored.start_mm) / stored.step_mm).astype(np.int32)
    known = ((index >= 0) & (index < stored.left.shape)).all(axis=-1)
    index[~known] = 0
    number = stored.left[index[..., 0], index[..., 1], index[..., 2]] * known
    return RegionMap(number.astype(np.uint8), mni_mm[..., 0] > 0)


def aspects(twins: Twins, mni_from_aligned: NDArray[np.float64], noise_hu: float) -> Aspects | NotAssessable:
    """Scores of both sides. noise_hu: σ of one block's mean (`block_noise_hu`)."""
    regions = regions_at(places(twins, mni_from_aligned))
    usual_ml = np.bincount(_stored().left.ravel(), minlength=len(ASPECTS_REGIONS) + 1) * _stored().step_mm ** 3 / 1000.0
    usual_ml = usual_ml / abs(np.linalg.det(mni_from_aligned[:3, :3]))
    pairs = tissue_pairs(twins, marked_twins=True)
    found = []
    for side in SIDES:
        for number in range(1, len(ASPECTS_REGIONS) + 1):
            here = (regions.number == number) & (regions.left == (side == "left"))
            if (here & twins.brain).sum() * twins.block_ml < LEAST_SEEN * usual_ml[number]:
                return NotAssessable("levels_missing")
            found.append(_finding(twins, here & twins.brain, pairs, (number, side), noise_hu))
    left, right = (10 - sum(x.affected for x in found if x.side == side) for side in SIDES)
    return Aspects(left, right, tuple(found))


def _finding(
    twins: Twins, region: NDArray[np.bool_], pairs: Pairs, name: tuple[int, OneSide], noise_hu: float
) -> RegionFinding:
    number, side = name
    tissue = region & ((twins.hu >= MARKED_FROM_HU) | (twins.infarct > 0.5))
    share = float(twins.infarct[tissue].mean()) if tissue.any() else 0.0
    water = net_water_uptake(twins, region, pairs, noise_hu)
    return RegionFinding(
        region=ASPECTS_REGIONS[number - 1],
        side=side,
        tissue_ml=float(tissue.sum() * twins.block_ml),
        infarct_share=share,
        affected=share >= AFFECTED_SHARE,
        mean_hu=_mean(twins.hu, region & (twins.hu >= TISSUE_HU[0]) & (twins.hu <= TISSUE_HU[1])),
        twin_hu=water.mirror_hu if water else None,
        water=water,
    )


def _mean(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float | None:
    return float(values[where].mean()) if where.any() else None
