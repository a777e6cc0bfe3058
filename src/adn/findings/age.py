"""Old or new: how much of the marked infarct is as dark as fluid where its twin is tissue, as in an old infarct."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adn.answers import Age, NotAssessable
from adn.findings.twins import Twins
from adn.findings.water import TISSUE_HU
from adn.space.geometry import bounding_box

_FLUID_HU = 14.0  # in a brain of usual brightness
_BELOW_BRAIN_HU = 10.0  # at least, so that tissue in a scan that reads too dark is not taken for fluid
_MOSTLY = 0.5  # least share of the mark
OLD_SHARE = 0.7  # a part with this share as dark as fluid is not marked; true infarcts have less (docs/answers.md)
_LEAST_ML = 0.25  # least volume of a part's tissue that has a twin to compare with


def age(twins: Twins) -> Age | NotAssessable:
    """How much of the mark looks old. Blocks at its edge are left out."""
    marked = _compared(twins)
    if not marked.any():
        return NotAssessable("no_infarct" if not twins.infarct.any() else "no_tissue")
    share = float(np.mean(_like_fluid(twins)[marked]))
    return Age(share, share >= _MOSTLY)


def old_parts(twins: Twins, infarct: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The connected parts of the mark that look old: 70 % or more of the part is as dark as fluid.

    infarct: (D, H, W) on the scan's voxels, > 0 inside, as used to make the twins. Returns the same shape.
    """
    import SimpleITK as sitk  # here, because reports use findings and must not load an image library

    old, marked, compared = np.zeros(infarct.shape, bool), infarct > 0, _compared(twins)
    fluid = _like_fluid(twins)
    if not (compared & fluid).any():
        return old
    box = bounding_box(marked)
    labels = np.zeros(infarct.shape, np.uint32)
    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(marked[box].astype(np.uint8)), True)
    labels[box] = sitk.GetArrayFromImage(parts)
    middles = (
        np.minimum(start + np.arange(count) * factor + factor // 2, size - 1)
        for start, count, factor, size in zip(twins.start, twins.hu.shape, twins.factors, infarct.shape, strict=True)
    )
    part = labels[np.ix_(*middles)][compared]
    count = int(labels.max()) + 1
    blocks = np.bincount(part, minlength=count)
    dark = np.bincount(part, weights=fluid[compared], minlength=count)
    looks_old = (blocks * twins.block_ml >= _LEAST_ML) & (dark >= OLD_SHARE * blocks)
    looks_old[0] = False
    old[box] = looks_old[labels[box]]
    return old


def _compared(twins: Twins) -> NDArray[np.bool_]:
    """Blocks that are marked throughout and whose twin is tissue."""
    return (twins.infarct > 0.9) & twins.brain & twins.mirror_brain & (twins.mirror_hu >= TISSUE_HU[0])


def _like_fluid(twins: Twins) -> NDArray[np.bool_]:
    """Blocks as dark as fluid, and well below the unmarked brain."""
    rest = twins.brain & (twins.infarct == 0)
    brain_hu = float(np.median(twins.hu[rest])) if rest.any() else np.inf
    return twins.hu < min(_FLUID_HU, brain_hu - _BELOW_BRAIN_HU)
