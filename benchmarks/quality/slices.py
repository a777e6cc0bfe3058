"""CPAISD's slices in the ruler: experts' core, the core that shows, and penumbra apart."""

from __future__ import annotations

from pathlib import Path

import cpaisd as cp
import numpy as np
import tables
from cpaisd_slices import cpaisd_core, cpaisd_studies
from numpy.typing import NDArray

from adn.metrics.overlap import dice
from adn.prediction.model import Model


def cpaisd_lines(folder: Path, model: Model) -> list[str]:
    """Mean Dice against the core, the core where it is 3 % darker than its twin, and core with penumbra; and the share
    of the penumbra that is marked."""
    studies, _ = cpaisd_studies(folder)
    core_dice, visible_dice, both_dice, penumbra_share = [], [], [], []
    for study in studies:
        found = cp.find_infarct(study, model)
        middle = slice(cp.SLICES // 2, cp.SLICES // 2 + 1)
        marked, darker = found.infarct.data[middle] > 0, found.relative_hypodensity.data[middle]
        both = np.asarray(study.infarct) > 0
        core = cpaisd_core(folder, study)
        both_dice.append(dice(marked, both))
        if core.any():
            core_dice.append(dice(marked, core))
            if is_visible(darker, core):
                visible_dice.append(core_dice[-1])
        penumbra = both & ~core
        if penumbra.any():
            penumbra_share.append(float(marked[penumbra].mean()))
    parts = (
        ("core", core_dice),
        ("core that is 3 % darker than its twin", visible_dice),
        ("core and penumbra", both_dice),
    )
    said = "; ".join(f"{name} {tables.with_interval(values)} (n = {len(values)})" for name, values in parts if values)
    marked_share = f"{np.mean(penumbra_share):.0%}" if penumbra_share else "none outlined"
    return [f"CPAISD, Dice: {said}. Of the penumbra alone is marked: {marked_share}.", ""]


def is_visible(darker: NDArray, core: NDArray[np.bool_]) -> bool:
    """Whether a core is at least 3 % darker than its twin, where the twin is known."""
    known = darker[core & (darker != 0)]
    return bool(known.size) and float(known.mean()) >= cp.DARKER[0]
