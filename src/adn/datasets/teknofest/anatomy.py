"""Reads from the images alone which end of a stack is the lower one, and which stacks show the same head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from adn.prepare import coarse as cm

Grounds = Literal["bone", "area", "none"]
_COARSE_MM = 2.0
_APART_MM = 1000.0  # as slice distance: morphology within slices only
_SLOPE_MM2 = 10.0  # change over the stack; 81 of 133 outlined series had more, and 3 of these broke the rule
SAME_HEAD = 0.9355  # in 141 outlined series, 4 of the 7 same-head pairs lie above (3 by themselves), and no other pair
_SIDES = (120, 104)  # size of a picture around the head's centre, in 2 mm pixels
_SHIFTS = 4  # maximum pixels by which two pictures are shifted against each other


def runs_down(hu: NDArray, pixel_mm: float) -> tuple[bool, Grounds]:
    """Whether a stack (n, rows, columns) starts at the upper end, and the evidence for it.

    'bone': there is more air and bone between soft tissue near the base. 'area': if there is hardly any, the head gets
    smaller towards the vertex, which held for 43 of 52 series. 'none': a single slice.
    """
    if len(hu) < 2:
        return False, "none"
    inner, head = _cross_sections(hu, pixel_mm)
    by_bone = _slope(inner)
    if abs(by_bone) > _SLOPE_MM2:
        return by_bone > 0, "bone"
    return _slope(head) > 0, "area"


def _cross_sections(hu: NDArray, pixel_mm: float) -> tuple[NDArray, NDArray]:
    """Area in each slice, mm²: of air and bone within the hull of deep soft tissue, and of the head."""
    factor = max(1, round(_COARSE_MM / pixel_mm))
    step = pixel_mm * factor
    spacing = (_APART_MM, step, step)
    coarse = cm.block_mean(hu.clip(-1000, 1500), (1, factor, factor))
    head = cm.fill_slices(cm.dilate(cm.erode(coarse > -300, 6.0, spacing), 6.0, spacing))
    soft = (coarse > 0) & (coarse < 90) & cm.erode(head, 14.0, spacing)
    soft &= cm.dilate(cm.erode(soft, 3.0, spacing), 3.0, spacing)
    hull = np.ones_like(soft)
    for axis in (1, 2):
        before = np.maximum.accumulate(soft, axis=axis)
        hull &= before & np.flip(np.maximum.accumulate(np.flip(soft, axis), axis=axis), axis)
    inner = hull & ((coarse < -200) | (coarse > 250))
    return inner.sum((1, 2)) * step**2, head.sum((1, 2)) * step**2


def _slope(values: NDArray) -> float:
    """Change from the first to the last slice, by a straight-line fit."""
    place = np.arange(len(values)) - (len(values) - 1) / 2
    return float((place * values).sum() / (place**2).sum() * (len(values) - 1))


def portraits(hu: NDArray, pixel_mm: float) -> NDArray[np.float32]:
    """A picture of each slice for recognising the head, (n, 120, 104): 2 mm pixels, centred, band-passed."""
    pictures = []
    for plane in hu:
        small = np.asarray(ndimage.zoom(plane.clip(-1000, 1500).astype(np.float32), pixel_mm / _COARSE_MM, order=1))
        head = np.array(ndimage.binary_fill_holes(ndimage.binary_opening(small > -300, iterations=3)), bool)
        head = cm.largest(head[None])[0] if head.any() else np.ones(small.shape, bool)
        middle = np.rint(ndimage.center_of_mass(head)).astype(int)
        padded = np.pad(np.where(head, small.clip(-20, 100), -20), _SIDES[0], constant_values=-20)
        corner = [int(m) + _SIDES[0] - side // 2 for m, side in zip(middle, _SIDES, strict=True)]
        cut = padded[corner[0] : corner[0] + _SIDES[0], corner[1] : corner[1] + _SIDES[1]].astype(np.float32)
        picture = ndimage.gaussian_filter(cut, 1.0) - ndimage.gaussian_filter(cut, 8.0)
        pictures.append(picture - picture.mean())
    return np.stack(pictures).astype(np.float32)


def likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Correlation of two stacks of `portraits`, allowing small shifts: the mean of the two best slices."""
    if len(a) > len(b):
        a, b = b, a
    pads = ((0, 0), (0, 2 * _SHIFTS), (0, 2 * _SHIFTS))
    fa, fb = (np.fft.rfft2(np.pad(x, pads)) for x in (a, b))
    norms_a, norms_b = (np.sqrt((x**2).sum((1, 2))) + 1e-6 for x in (a, b))
    shape = (_SIDES[0] + 2 * _SHIFTS, _SIDES[1] + 2 * _SHIFTS)
    near = np.r_[0 : _SHIFTS + 1, -_SHIFTS:0]
    best = []
    for one, norm in zip(fa, norms_a, strict=True):
        moved = np.fft.irfft2(fb * np.conj(one)[None], s=shape)[:, near][:, :, near].max((1, 2))
        best.append(float((moved / norms_b / norm).max()))
    return float(np.mean(sorted(best)[-2:]))


def same_heads(stacks: Mapping[str, NDArray[np.float32]], makers: Mapping[str, str]) -> dict[str, str]:
    """The patient of each series: the first series of the same maker showing the same head, directly or via others."""
    patient = {name: name for name in stacks}
    names: Sequence[str] = list(stacks)
    for place, name in enumerate(names):
        for other in names[:place]:
            if makers[name] != makers[other] or patient[name] == patient[other]:
                continue
            if likeness(stacks[name], stacks[other]) >= SAME_HEAD:
                joined = {patient[name], patient[other]}
                first = next(one for one in names if one in joined)
                patient = {one: first if was in joined else was for one, was in patient.items()}
    return patient
