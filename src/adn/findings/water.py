"""Net water uptake: how many percent less dense a region is than its mirror twin (Broocks et al., Stroke 2018)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.answers import WaterUptake
from adn.findings.twins import Twins

TISSUE_HU = (20.0, 80.0)  # below lies fluid, above blood or calcification
MARKED_FROM_HU = 12.0  # lower limit where marked: infarcts a few days old reach down to it (docs/report.md)
_MIRROR_FLUID_HU = 23.0  # fluid's limit for the twin, where interpolation mixes fluid with adjacent tissue
_FEWEST_BLOCKS = 4
_CLEAR_SHARE = 0.1  # least share of a region's blocks away from fluid; below it, those beside fluid are used, too
# How unequal the sides are: the region's shape is moved over the brain in steps of 12 mm, this many each way.
_STEP_MM, _REACH = 12.0, (3, 7, 7)
_MOST_BLOCKS, _LEAST_SHARE, _FEWEST_PLACES = 400, 0.3, 10  # blocks of the shape; their share on tissue; places needed
_USUAL_SPREAD_PERCENT = 2.9  # used where there are too few places: the error on virtual patients


def water_uptake_percent(hu: float | NDArray, mirror_hu: float | NDArray) -> float | NDArray:
    """(1 - HU / mirror HU) × 100 for means within 20 to 80 HU, elementwise; negative where denser than the twin."""
    return (1.0 - np.asarray(hu) / np.maximum(mirror_hu, TISSUE_HU[0])) * 100.0


class Pairs(NamedTuple):
    """Blocks, (D, H, W), that can be compared with their twin: `every` one of 20 to 80 HU, and those `clear` of fluid.

    normal: the clear ones that are not marked on either side.
    """

    every: NDArray[np.bool_]
    clear: NDArray[np.bool_]
    normal: NDArray[np.bool_]


def tissue_pairs(twins: Twins, *, marked_twins: bool = False) -> Pairs:
    """Blocks of tissue of 20 to 80 HU (12 to 80 where marked) that have a twin of 20 to 80 HU.

    The limit is lower in the infarct because its darkest part would otherwise be left out and the uptake too low.
    Blocks beside fluid are kept apart: a sulcus on one side only would count as water. marked_twins: allow twins that
    are marked themselves.
    """
    low, high = TISSUE_HU
    from_hu = np.where(twins.infarct > 0.5, MARKED_FROM_HU, low)
    own = twins.brain & (twins.hu >= from_hu) & (twins.hu <= high)
    other = twins.mirror_brain & (twins.mirror_hu >= low) & (twins.mirror_hu <= high)
    every = own & other & (marked_twins | (twins.mirror_infarct < 0.5))
    fluid = (twins.brain & (twins.hu < from_hu)) | (twins.mirror_brain & (twins.mirror_hu < _MIRROR_FLUID_HU))
    clear = every & ~_beside(fluid)
    return Pairs(every, clear, clear & (twins.infarct == 0) & (twins.mirror_infarct == 0))


def net_water_uptake(twins: Twins, region: NDArray[np.bool_], pairs: Pairs, noise_hu: float) -> WaterUptake | None:
    """Net water uptake of a region of blocks, (D, H, W); None where fewer than four have a twin to compare with.

    pairs: of `tissue_pairs`; those beside fluid are used only where hardly any other is left. noise_hu: σ of one
    block's mean (`block_noise_hu`).
    """
    used, clear = region & pairs.every, region & pairs.clear
    if clear.sum() >= max(_FEWEST_BLOCKS, _CLEAR_SHARE * used.sum()):
        used = clear
    count = int(used.sum())
    if count < _FEWEST_BLOCKS:
        return None
    mean, mirror = float(twins.hu[used].mean()), float(twins.mirror_hu[used].mean())
    # both means average the noise of `count` blocks; the twin's is a little lower, from interpolation
    noise_percent = 100.0 / mirror * noise_hu / np.sqrt(count) * np.hypot(1.0, mean / mirror)
    sigma = np.hypot(noise_percent, _spread_percent(twins, used, pairs.normal))
    percent = float(water_uptake_percent(mean, mirror))
    return WaterUptake(percent, float(sigma), mean, mirror, count * twins.block_ml)


def _spread_percent(twins: Twins, used: NDArray[np.bool_], normal: NDArray[np.bool_]) -> float:
    """How much the sides differ where nothing is marked: root mean square uptake of the same shape placed elsewhere.

    used: the shape's blocks. normal: blocks it may be placed on. Sides are never quite equal, which affects a region of
    few blocks more than a large one.
    """
    steps = [max(1, round(_STEP_MM / step)) for step in twins.spacing_mm]
    pad = [(step * reach,) * 2 for step, reach in zip(steps, _REACH, strict=True)]
    where = np.pad(normal, pad)
    shape = np.argwhere(used)
    shape = shape[:: -(-len(shape) // _MOST_BLOCKS)] + [before for before, _ in pad]
    along = (where.shape[1] * where.shape[2], where.shape[2], 1)
    ways = [np.arange(-reach, reach + 1) * step * stride
            for reach, step, stride in zip(_REACH, steps, along, strict=True)]  # fmt: skip
    shifts = (ways[0][:, None, None] + ways[1][:, None] + ways[2]).reshape(-1, 1)
    laid = shifts + shape @ along
    count = where.ravel()[laid].sum(axis=1)
    enough = count >= max(_FEWEST_BLOCKS, _LEAST_SHARE * len(shape))
    if enough.sum() < _FEWEST_PLACES:
        return _USUAL_SPREAD_PERCENT
    hu, mirror = (np.pad(np.where(normal, values, 0.0), pad).ravel()[laid[enough]].sum(axis=1) / count[enough]
                  for values in (twins.hu, twins.mirror_hu))  # fmt: skip
    return float(np.sqrt(np.mean(water_uptake_percent(hu, mirror) ** 2)))


def _beside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and its eight neighbours in plane."""
    rows, columns = mask.shape[1:]
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    return np.logical_or.reduce([padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)])


def block_noise_hu(twins: Twins) -> float:
    """σ of one block's mean, HU, from differences between neighbours in a row of tissue; texture counts as noise."""
    low, high = TISSUE_HU
    tissue = twins.brain & (twins.hu >= low) & (twins.hu <= high)
    three = tissue[:, :, :-2] & tissue[:, :, 1:-1] & tissue[:, :, 2:]
    bend = (twins.hu[:, :, :-2] - 2 * twins.hu[:, :, 1:-1] + twins.hu[:, :, 2:])[three]
    return float(1.4826 * np.median(np.abs(bend)) / np.sqrt(6.0)) if bend.size else 0.0
