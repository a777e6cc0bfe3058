"""The uncertainty of a mean, and whether two methods differ: bootstrap intervals and Wilcoxon's paired test."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
RESAMPLES = 10_000


class Interval(NamedTuple):
    """A confidence interval in the unit of its values."""

    low: float
    high: float


def bootstrap_mean(
    values: ArrayLike, clusters: Sequence[str] | None = None, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval | None:
    """95 % percentile interval of the mean of `values` (n,); None below two cases or clusters.

    clusters: the cluster of each value, such as its head; whole clusters are drawn, because their cases resemble each
    other. None: cases are drawn individually. The same seed gives the same interval.
    """
    array = np.asarray(values, dtype=np.float64)
    number = np.arange(array.size) if clusters is None else np.unique(np.asarray(clusters, str), return_inverse=True)[1]
    if array.size == 0 or number.max() < 1:
        return None
    sums, counts = np.bincount(number, array), np.bincount(number)
    times = times_drawn(sums.size, seed, resamples)
    low, high = np.quantile((times @ sums) / (times @ counts), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


@lru_cache(maxsize=4)
def times_drawn(n: int, seed: int, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """(resamples, n): how often each of n items is drawn when drawing n with replacement. Must not be modified."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples).astype(np.float64)


def wilcoxon_p(differences: ArrayLike) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test on paired differences (n,); zeros are dropped, and all zeros give 1.

    None if there are no pairs. Exact up to 50 pairs without ties, else normal with scipy's correction for ties.

    >>> wilcoxon_p([1, 2, 3, 4, 5]), wilcoxon_p([0, 0])
    (0.0625, 1.0)
    """
    from scipy.stats import wilcoxon

    array = np.asarray(differences, dtype=np.float64)
    if array.size == 0:
        return None
    if not array.any():
        return 1.0
    return float(wilcoxon(array[array != 0.0])[1])  # type: ignore[index]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm-corrected p values of several tests, in the given order; None stays None and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[place] = largest
    return corrected


def wilson(hits: int, n: int) -> Interval | None:
    """95 % interval of the share `hits` / `n` (Wilson 1927); None if n is 0."""
    if n == 0:
        return None
    z = 1.959963984540054
    share, room = hits / n, z * z / n
    middle = (share + room / 2) / (1 + room)
    half = z * float(np.sqrt(share * (1 - share) / n + room / (4 * n))) / (1 + room)
    return Interval(max(middle - half, 0.0), min(middle + half, 1.0))
