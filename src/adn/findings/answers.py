"""Everything a stroke reader asks, answered once a scan, or why it cannot be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adn.answers import Answers, NotAssessable, WaterUptake
from adn.findings.aspects import aspects
from adn.findings.twins import Twins, twins_of
from adn.findings.water import block_noise_hu, net_water_uptake, tissue_pairs
from adn.remarks import Remark, blocking
from adn.space.volume import Volume


def answer(
    volume: Volume,
    mask: Volume,
    infarct: NDArray[np.uint8],
    aligned_from_scan: NDArray[np.float64],
    mni_from_aligned: NDArray[np.float64] | None,
    remarks: Sequence[Remark],
) -> Answers:
    """What is said beside volume, side and territory.

    volume: HU, SPL. mask: brain, same grid, not empty. infarct: (D, H, W), > 0 inside. mni_from_aligned: None where the
    head's place is not known. remarks: a scan that is not assessable gets no answer.
    """
    kinds = {remark.kind for remark in remarks}
    if blocking(remarks):
        return Answers()
    twins = twins_of(volume, mask, infarct, aligned_from_scan)
    noise_hu = block_noise_hu(twins)
    water = NotAssessable("bright_polarity") if "bright_polarity" in kinds else _water(twins, noise_hu)
    if "bright_polarity" in kinds:
        score = NotAssessable("bright_polarity")
    elif "part_of_head" in kinds:
        score = NotAssessable("part_of_head")
    elif mni_from_aligned is None:
        score = NotAssessable("place_unknown")
    else:
        score = aspects(twins, mni_from_aligned, noise_hu)
    return Answers(water_uptake=water, aspects=score)


def _water(twins: Twins, noise_hu: float) -> WaterUptake | NotAssessable:
    marked = twins.infarct > 0.5
    if not twins.infarct.any():
        return NotAssessable("no_infarct")
    return net_water_uptake(twins, marked, tissue_pairs(twins), noise_hu) or NotAssessable("no_tissue")
