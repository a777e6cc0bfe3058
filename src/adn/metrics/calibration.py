"""Fits the calibration of a network's probabilities, and of the interval around a measured volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError

LEAST = 1e-4  # probabilities are kept at least this far from 0 and 1
_STEPS, _CLOSE = 50, 1e-9


def logit(probability: NDArray) -> NDArray[np.float64]:
    """Logit of probabilities, kept `LEAST` away from 0 and 1."""
    p = np.clip(np.asarray(probability, np.float64), LEAST, 1 - LEAST)
    return np.log(p) - np.log1p(-p)


def calibrated(probability: NDArray, scale: float, shift: float) -> NDArray[np.float64]:
    """σ(scale · logit + shift)."""
    return 1 / (1 + np.exp(-(scale * logit(probability) + shift)))


def fit_logit(cases: Sequence[tuple[NDArray, NDArray]]) -> tuple[float, float]:
    """Scale and shift of the logit by maximum likelihood over the voxels of all cases (Platt 1999).

    cases: probability and reference of voxels, which must not have been chosen by their reference. Raises InputError
    without voxels of both kinds.
    """
    used = [(logit(p), r > 0) for p, r in cases if len(p)]
    if not any(r.any() for _, r in used) or all(r.all() for _, r in used):
        raise InputError("Calibration needs voxels with infarct and voxels without; give more cases.")
    x = np.concatenate([x for x, _ in used])
    y = np.concatenate([r for _, r in used]).astype(np.float64)
    design = np.stack([x, np.ones_like(x)], 1)
    found = np.array([1.0, 0.0])
    for _ in range(_STEPS):  # Newton's steps on a convex function
        p = 1 / (1 + np.exp(-design @ found))
        slope = design.T @ (p - y)
        bend = (design * np.maximum(p * (1 - p), 1e-9)[:, None]).T @ design
        step = np.linalg.solve(bend, slope)
        found -= np.clip(step, -1, 1)
        if np.abs(step).max() < _CLOSE:
            break
    return float(found[0]), float(found[1])


def fit_interval(marked_ml: Sequence[float], true_ml: Sequence[float], cover: float = 0.8) -> tuple[float, float]:
    """Errors in √mL between which a share `cover` of true volumes lies, with equal tails (split conformal prediction).

    The square root makes errors of small and large infarcts comparable. Raises InputError for fewer than ten cases.
    """
    if len(marked_ml) < 10:
        raise InputError(f"An interval needs ten or more cases, but got {len(marked_ml)}.")
    errors = np.sqrt(np.asarray(true_ml)) - np.sqrt(np.asarray(marked_ml))
    tail, n = (1 - cover) / 2, len(errors)
    ranks = np.floor(tail * (n + 1)) - 1, np.ceil((1 - tail) * (n + 1)) - 1  # among n + 1, including the future case
    ordered = np.sort(errors)
    return float(ordered[int(max(ranks[0], 0))]), float(ordered[int(min(ranks[1], n - 1))])
