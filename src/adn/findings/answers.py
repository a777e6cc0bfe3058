"""Everything a stroke reader asks about a scan: one answer to each question, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.answers import (
    AnswerOptions,
    Answers,
    Aspects,
    Blood,
    MassEffect,
    NotAssessable,
    OldInfarct,
    Reason,
    WaterUptake,
)
from adn.findings.age import age
from adn.findings.aspects import aspects
from adn.findings.blood import blood
from adn.findings.mass_effect import mass_effect
from adn.findings.mass_like import mass_like
from adn.findings.measure import versus_limit
from adn.findings.twins import Twins
from adn.findings.water import block_noise_hu, net_water_uptake, tissue_pairs
from adn.remarks import Remark, blocking
from adn.space.volume import Volume


class Known(NamedTuple):
    """What is known about a scan before anything is answered, and what the user asked.

    remarks: a single blocking one leaves no answers. bright_ml: from `Quality`. volume_interval_ml: from
    `Measurements`. old_ml: volume that was marked and looks like an old infarct.
    """

    remarks: Sequence[Remark]
    bright_ml: float
    volume_interval_ml: tuple[float, float] | None = None
    options: AnswerOptions = AnswerOptions()
    old_ml: float = 0.0


def answer(
    volume: Volume,
    mask: Volume,
    twins: Twins | None,
    aligned_from_scan: NDArray[np.float64],
    mni_from_aligned: NDArray[np.float64] | None,
    known: Known,
) -> Answers:
    """All answers besides volume, side and territory.

    volume: HU, SPL. mask: brain, same grid, not empty. twins: made from both and the mark; None gives no answers.
    mni_from_aligned: None where the head could not be registered to MNI space.
    """
    if twins is None or blocking(known.remarks):
        return Answers()
    kinds = {remark.kind for remark in known.remarks}
    noise_hu = block_noise_hu(twins)
    bright = NotAssessable("bright_polarity") if "bright_polarity" in kinds else None
    placed = _placed(twins, volume, aligned_from_scan, mni_from_aligned, "part_of_head" in kinds)
    bled = blood(volume, mask, aligned_from_scan, mni_from_aligned) if known.bright_ml > 0 else Blood(False, 0.0, ())
    return Answers(
        water_uptake=bright or _water(twins, noise_hu),
        aspects=bright or placed[0],
        blood=bled,
        mass_effect=placed[1],
        age=bright or age(twins),
        old_infarct=bright or OldInfarct(known.old_ml, known.old_ml > 0 and not known.options.keep_old),
        mass_like=bright or mass_like(twins),
        volume_limit=versus_limit(known.volume_interval_ml, known.options.volume_limit_ml),
    )


def _placed(
    twins: Twins,
    volume: Volume,
    aligned_from_scan: NDArray[np.float64],
    mni_from_aligned: NDArray[np.float64] | None,
    part: bool,
) -> tuple[Aspects | NotAssessable, MassEffect | NotAssessable]:
    """What needs registration to MNI space: ASPECTS and the midline. part: only part of the head was scanned."""
    if part or mni_from_aligned is None:
        reason: Reason = "part_of_head" if part else "place_unknown"
        return NotAssessable(reason), NotAssessable(reason)
    score = aspects(twins, mni_from_aligned, block_noise_hu(twins))
    return score, mass_effect(volume, twins, aligned_from_scan, mni_from_aligned)


def _water(twins: Twins, noise_hu: float) -> WaterUptake | NotAssessable:
    marked = twins.infarct > 0.5
    if not twins.infarct.any():
        return NotAssessable("no_infarct")
    return net_water_uptake(twins, marked, tissue_pairs(twins), noise_hu) or NotAssessable("no_tissue")
