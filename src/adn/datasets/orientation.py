"""Checks whether a mask fits its scan as stored or only after a flip: some converters flip only one of the two files.

Two signs count: a mask lies inside the brain, and an infarct is darker than the brain around it, so the ring around
the mask is brighter than the mask. Early infarcts show little contrast, so a single small flipped mask may go
unnoticed; a whole flipped data set does not (`common_flip`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from adn.prepare import coarse as cm

# Array axes in SPL order. Flipping two at a time is a rotation by 180°.
FLIPS: dict[str, tuple[int, ...]] = {
    "": (),
    "a slice reversal": (0,),
    "a front-to-back flip": (1,),
    "a left-to-right flip": (2,),
    "a turn by 180° in plane": (1, 2),
    "a slice reversal with a front-to-back flip": (0, 1),
    "a slice reversal with a left-to-right flip": (0, 2),
    "a flip of all three axes": (0, 1, 2),
}
_WORK_MM = 1.8  # in plane; finer only costs time
_TISSUE_HU = (14.0, 60.0)  # brain tissue, including a dense infarct in white matter, but no CSF or calcification
_EDGE_MM = 3.0  # margin of the brain into which bone blurs
_RING_MM = (1.5, 8.0)  # distances of the ring from the mask, in plane
_INSIDE_HU = 20.0  # weight of lying inside the brain: 5 % outside counts as much as 1 HU of contrast
_ENOUGH_TISSUE = 0.3  # smallest share of the mask that must be tissue for its contrast to count
_MIN_VOXELS = 40  # about 0.6 mL in 5 mm slices
SUSPECT, SURE = 3.0, 5.0  # gain in fit (HU); ten virtual patients with correct masks stayed below 2.4
_MIN_CASES, _COMMON_GAIN, _COMMON_ERRORS = 4, 1.5, 2.0


def fits(
    hu: NDArray, brain: NDArray[np.bool_], mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> dict[str, float]:
    """How well a mask fits, as stored ('') and after each flip; higher is better, in HU. Empty without a mask.

    All arrays (D, H, W) in SPL order; hu: the scan.
    """
    if not mask.any():
        return {}
    rows, columns = (max(1, round(_WORK_MM / step)) for step in spacing_mm[1:])
    factors, spacing = (1, rows, columns), (1000.0, spacing_mm[1] * rows, spacing_mm[2] * columns)  # acts in plane
    # Blocks repeat the edge, so a flip of the coarse copy is off by less than a block.
    values = cm.median_in_slices(cm.block_mean(np.clip(hu, -100.0, 150.0), factors))
    inside = cm.block_mean(brain, factors) > 0.5
    lesion = cm.block_mean(mask, factors) > 0.5
    if not lesion.any():
        lesion = cm.block_mean(mask, factors) > 0
    tissue = cm.erode(inside, _EDGE_MM, spacing) & (values > _TISSUE_HU[0]) & (values < _TISSUE_HU[1])
    ring = cm.dilate(lesion, _RING_MM[1], spacing) & ~cm.dilate(lesion, _RING_MM[0], spacing)
    return {
        name: _fit(values, inside, tissue, np.flip(lesion, axes), np.flip(ring, axes)) for name, axes in FLIPS.items()
    }


def _fit(values: NDArray, inside: NDArray, tissue: NDArray, lesion: NDArray, ring: NDArray) -> float:
    within = float((lesion & inside).sum() / lesion.sum())
    core, around = lesion & tissue, ring & tissue
    contrast = 0.0
    if core.sum() >= max(_ENOUGH_TISSUE * lesion.sum(), _MIN_VOXELS) and around.sum() >= _MIN_VOXELS:
        contrast = float(values[around].mean() - values[core].mean())
    return _INSIDE_HU * within + contrast


def best_flip(fit: Mapping[str, float]) -> tuple[str, float]:
    """The flip after which a mask fits best, and the gain over the stored mask (HU); ('', 0) if no flip is better."""
    if not fit:
        return "", 0.0
    name = max(fit, key=lambda flip: fit[flip])
    return (name, fit[name] - fit[""]) if name else ("", 0.0)


def common_flip(all_fits: Sequence[Mapping[str, float]]) -> str:
    """The flip after which the masks of a data set fit better on the whole; '' if none is certain."""
    known = [fit for fit in all_fits if fit]
    if len(known) < _MIN_CASES:
        return ""
    best, most = "", _COMMON_GAIN
    for name in list(FLIPS)[1:]:
        gains = np.array([fit[name] - fit[""] for fit in known])
        error = float(gains.std(ddof=1)) / np.sqrt(len(gains))
        if gains.mean() > max(most, _COMMON_ERRORS * error):
            best, most = name, float(gains.mean())
    return best
