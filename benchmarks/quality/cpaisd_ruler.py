"""CPAISD for `patients.py`: experts' core, visible core and penumbra separately; imported scans, or single slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cpaisd as cp
import numpy as np
import tables
from cases import mask_of
from cpaisd_slices import cpaisd_core, cpaisd_studies
from numpy.typing import NDArray

import adn
from adn.datasets.layouts import find_cases
from adn.errors import InputError
from adn.metrics.overlap import dice
from adn.prediction.model import Model


@dataclass(frozen=True)
class Outlined:
    """One case: what is marked, how much darker each voxel is than its twin (0: not known), core and penumbra."""

    marked: NDArray[np.bool_]
    darker: NDArray[np.floating]
    core: NDArray[np.bool_]
    penumbra: NDArray[np.bool_]


def cpaisd_lines(folder: Path, model: Model) -> list[str]:
    """Mean Dice against the core, the core where it is 3 % darker than its twin, and core with penumbra; and the share
    of the penumbra that is marked.

    folder: cases as `adn data import-cpaisd` writes them, or images/ and masks/ of single slices. Raises InputError
    where it holds neither.
    """
    core_dice, visible_dice, both_dice, penumbra_share = [], [], [], []
    for case in of_slices(folder, model) if (folder / "images").is_dir() else of_scans(folder, model):
        both_dice.append(dice(case.marked, case.core | case.penumbra))
        if case.core.any():
            core_dice.append(dice(case.marked, case.core))
            if is_visible(case.darker, case.core):
                visible_dice.append(core_dice[-1])
        if case.penumbra.any():
            penumbra_share.append(float(case.marked[case.penumbra].mean()))
    parts = (
        ("core", core_dice),
        ("core that is 3 % darker than its twin", visible_dice),
        ("core and penumbra", both_dice),
    )
    said = "; ".join(f"{name} {tables.with_interval(values)} (n = {len(values)})" for name, values in parts if values)
    marked_share = f"{np.mean(penumbra_share):.0%}" if penumbra_share else "none outlined"
    return [f"CPAISD, Dice: {said}. Of the penumbra alone is marked: {marked_share}.", ""]


def of_slices(folder: Path, model: Model) -> Iterator[Outlined]:
    """Single slices, stacked with copies of themselves."""
    studies, _ = cpaisd_studies(folder)
    middle = slice(cp.SLICES // 2, cp.SLICES // 2 + 1)
    for study in studies:
        found = cp.find_infarct(study, model)
        core = cpaisd_core(folder, study)
        penumbra = (np.asarray(study.infarct) > 0) & ~core
        yield Outlined(
            found.infarct.data[middle] > 0, found.relative_hypodensity.data[middle], core, penumbra
        )  # fmt: skip


def of_scans(folder: Path, model: Model) -> Iterator[Outlined]:
    """Imported scans through the whole of `adn predict`, on acquired voxels. A refused scan counts as not marked."""
    cases = [case for case in find_cases(folder) if (case.ct.parent / "core.nii.gz").is_file()]
    if not cases:
        raise InputError("needs cases with core.nii.gz, as 'adn data import-cpaisd' writes them, or images/.", folder)
    for case in cases:
        core = mask_of(case.ct.parent / "core.nii.gz")
        penumbra = mask_of(case.ct.parent / "penumbra.nii.gz")
        assert core is not None
        assert penumbra is not None
        seen = mask_of(case.seen)
        seen = np.ones_like(core) if seen is None else seen
        try:
            found = adn.predict(adn.open_scan(case.ct), model)
        except InputError:
            marked, darker = np.zeros_like(core), np.zeros(core.shape, np.float32)
        else:
            marked = found.infarct.reoriented("SPL").data > 0
            darker = found.relative_hypodensity.reoriented("SPL").data
        yield Outlined(marked & seen, np.where(seen, darker, 0.0), core & seen, penumbra & seen)


def is_visible(darker: NDArray, core: NDArray[np.bool_]) -> bool:
    """Whether a core is at least 3 % darker than its twin, where the twin is known."""
    known = darker[core & (darker != 0)]
    return bool(known.size) and float(known.mean()) >= cp.DARKER[0]
