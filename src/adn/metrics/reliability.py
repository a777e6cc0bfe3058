"""Does a probability of 0.7 mean infarct in 7 of 10 voxels? Based on counts per bin that can be summed over cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.metrics.statistics import RESAMPLES, times_drawn

BINS = 20
ROUNDING = 1e-5  # of interpolation in float32


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability curve over the voxels of several cases; arrays (BINS,), NaN in bins without voxels.

    low, high: observed share's 95 % interval by bootstrap over cases. expected_error: |observed − predicted| averaged
    over voxels (ECE). brier: mean squared error of the probability. cases: how many.
    """

    voxels: NDArray[np.int64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    expected_error: float
    brier: float
    cases: int


def reliability_counts(probability: NDArray, reference: NDArray, inside: NDArray | None = None) -> NDArray[np.float64]:
    """Counts of one case, (4, BINS): voxels, sum of probability, infarct voxels, sum of squared errors in each bin.

    probability: [0, 1]. reference, inside: masks; only voxels `inside` count (None: all). Raises InputError if a value
    is not a probability (with a tolerance of `ROUNDING`).
    """
    chosen = np.ones(reference.shape, bool) if inside is None else inside > 0
    p, r = probability[chosen].astype(np.float64), reference[chosen] > 0
    if p.size and not (p.min() >= -ROUNDING and p.max() <= 1.0 + ROUNDING):  # written so that NaN fails, too
        raise InputError(f"A probability must be within [0, 1], but ranges from {p.min():g} to {p.max():g}.")
    p = p.clip(0.0, 1.0)
    place = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    weights = (None, p, r.astype(np.float64), (p - r) ** 2)
    return np.stack([np.bincount(place, weight, BINS).astype(np.float64) for weight in weights])


def reliability(counts: list[NDArray[np.float64]], *, seed: int = 0, resamples: int = RESAMPLES) -> Reliability:
    """The reliability curve of several cases from their `reliability_counts`."""
    cases = np.stack(counts)
    voxels, predicted_sum, infarct, squared = cases.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        predicted, observed = predicted_sum / voxels, infarct / voxels
        times = times_drawn(len(cases), seed, resamples)
        shares = (times @ cases[:, 2]) / (times @ cases[:, 0])
    low, high = np.full(BINS, np.nan), np.full(BINS, np.nan)
    for place in np.flatnonzero(voxels):
        known = shares[np.isfinite(shares[:, place]), place]
        low[place], high[place] = np.quantile(known, [0.025, 0.975])
    total = max(float(voxels.sum()), 1.0)
    gap = float(np.nansum(np.abs(predicted_sum - infarct)))
    return Reliability(
        voxels.astype(np.int64), predicted, observed, low, high, gap / total, float(squared.sum()) / total, len(cases)
    )
