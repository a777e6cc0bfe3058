"""Old or new: what of the marked infarct is as dark as fluid where its twin is tissue, as an old infarct is."""

from __future__ import annotations

import numpy as np

from adn.answers import Age, NotAssessable
from adn.findings.twins import Twins
from adn.findings.water import TISSUE_HU

_FLUID_HU = 14.0
_MOSTLY = 0.5  # of what is marked


def age(twins: Twins) -> Age | NotAssessable:
    """How much of what is marked looks old. Blocks at its edge are left out."""
    marked = (twins.infarct > 0.9) & twins.brain & twins.mirror_brain & (twins.mirror_hu >= TISSUE_HU[0])
    if not marked.any():
        return NotAssessable("no_infarct" if not twins.infarct.any() else "no_tissue")
    share = float(np.mean(twins.hu[marked] < _FLUID_HU))
    return Age(share, share >= _MOSTLY)
