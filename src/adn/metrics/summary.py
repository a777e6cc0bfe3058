"""Summarises many cases: means with intervals by stratum of infarct volume, and comparisons between methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from adn.metrics.reliability import Reliability
from adn.metrics.scores import Scores
from adn.metrics.statistics import Interval, bootstrap_mean, holm, wilcoxon_p
from adn.metrics.strata import ALL, NONE, STRATA, WITH_INFARCT

METRICS: tuple[str, ...] = (
    "dice",
    "hd95_mm",
    "hd95_or_diagonal_mm",
    "surface_dice_5mm",
    "volume_difference_ml",
    "volume_bias_ml",
    "precision",
    "recall",
    "lesion_f1",
    "lesion_precision",
    "lesion_recall",
)
GRIDS: tuple[str, ...] = ("own", "paper", "own+ignore", "paper+ignore")


@dataclass(frozen=True)
class CaseScores:
    """One case of one method. cluster: its head or patient.

    grid: 'own' (the scan's) or 'paper' (1.2 × 1.2 × 5 mm), on which ignored voxels of the reference count as no
    infarct; with '+ignore' they count as infarct. stratum: by the reference's volume on 'own', the same on all grids.
    """

    method: str
    case: str
    grid: str
    stratum: str
    cluster: str
    scores: Scores


class Unmatched(NamedTuple):
    """A case that could not be scored, and why; method '' stands for the reference."""

    method: str
    case: str
    problem: str


@dataclass(frozen=True)
class Summary:
    """One metric of one method in one stratum. n: cases with a value; missing: cases without (HD95 of an empty mask).

    interval, cluster_interval: 95 % intervals of the mean, from drawing cases or clusters.
    """

    method: str
    grid: str
    stratum: str
    metric: str
    n: int
    missing: int
    mean: float | None
    sd: float | None
    median: float | None
    quartiles: Interval | None
    interval: Interval | None
    clusters: int
    cluster_interval: Interval | None


@dataclass(frozen=True)
class Comparison:
    """One metric of `method` minus that of `versus`, over the n cases with a value for both.

    p: Wilcoxon's, two-sided; p_holm: corrected for the number of methods compared with `versus`.
    """

    method: str
    versus: str
    grid: str
    stratum: str
    metric: str
    n: int
    mean_difference: float | None
    interval: Interval | None
    clusters: int
    cluster_interval: Interval | None
    p: float | None
    p_holm: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """What `adn.evaluate` returns. methods: in the order given; the first is what the others are compared with.

    reliability: by method, for those with probabilities. in_brain: whether reliability counts only brain voxels.
    """

    methods: tuple[str, ...]
    cases: tuple[CaseScores, ...]
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    reliability: dict[str, Reliability]
    in_brain: bool
    unmatched: tuple[Unmatched, ...]
    seed: int

    def summary(self, method: str, metric: str, stratum: str = ALL, grid: str = "own") -> Summary | None:
        """One summary; None if the stratum has no case."""
        wanted = (method, grid, stratum, metric)
        return next((s for s in self.summaries if (s.method, s.grid, s.stratum, s.metric) == wanted), None)


def in_stratum(cases: Sequence[CaseScores], stratum: str) -> list[CaseScores]:
    """The cases of a stratum, in order."""
    if stratum == ALL:
        return list(cases)
    return [case for case in cases if (case.stratum != NONE if stratum == WITH_INFARCT else case.stratum == stratum)]


def summarise(cases: Sequence[CaseScores], methods: Sequence[str], *, seed: int = 0) -> list[Summary]:
    """Summaries for every method, grid, stratum with cases, and metric."""
    result = []
    for method in methods:
        for grid in GRIDS:
            mine = [case for case in cases if case.method == method and case.grid == grid]
            for stratum in STRATA:
                chosen = in_stratum(mine, stratum)
                if chosen:
                    result += [_summary(chosen, metric, stratum, seed) for metric in METRICS]
    return result


def _summary(cases: list[CaseScores], metric: str, stratum: str, seed: int) -> Summary:
    first = cases[0]
    known = [case for case in cases if getattr(case.scores, metric) is not None]
    values = np.array([getattr(case.scores, metric) for case in known], dtype=np.float64)
    clusters = [case.cluster for case in known]
    some = bool(values.size)
    return Summary(
        method=first.method,
        grid=first.grid,
        stratum=stratum,
        metric=metric,
        n=len(known),
        missing=len(cases) - len(known),
        mean=float(values.mean()) if some else None,
        sd=float(values.std(ddof=1)) if values.size > 1 else None,
        median=float(np.median(values)) if some else None,
        quartiles=Interval(*(float(q) for q in np.quantile(values, [0.25, 0.75]))) if some else None,
        interval=bootstrap_mean(values, seed=seed),
        clusters=len(set(clusters)),
        cluster_interval=bootstrap_mean(values, clusters, seed=seed) if some else None,
    )


def compare(cases: Sequence[CaseScores], methods: Sequence[str], *, seed: int = 0) -> list[Comparison]:
    """Compare every later method with the first, by grid, stratum with common cases, and metric; Holm over methods."""
    result: list[Comparison] = []
    for grid in GRIDS:
        for stratum in STRATA:
            here = [case for case in in_stratum(cases, stratum) if case.grid == grid]
            by_method = {method: {case.case: case for case in here if case.method == method} for method in methods}
            for metric in METRICS:
                found = [_comparison(by_method[m], by_method[methods[0]], metric, stratum, seed) for m in methods[1:]]
                kept = [comparison for comparison in found if comparison is not None]
                corrected = holm([comparison.p for comparison in kept])
                result += [replace(comparison, p_holm=p) for comparison, p in zip(kept, corrected, strict=True)]
    return result


def _comparison(
    mine: dict[str, CaseScores], theirs: dict[str, CaseScores], metric: str, stratum: str, seed: int
) -> Comparison | None:
    pairs = [(mine[name], theirs[name]) for name in mine if name in theirs]
    if not pairs:
        return None
    first, other = pairs[0]
    values = [(getattr(a.scores, metric), getattr(b.scores, metric), a.cluster) for a, b in pairs]
    known = [(a - b, cluster) for a, b, cluster in values if a is not None and b is not None]
    differences = np.array([difference for difference, _ in known], dtype=np.float64)
    clusters = [cluster for _, cluster in known]
    some = bool(differences.size)
    return Comparison(
        method=first.method,
        versus=other.method,
        grid=first.grid,
        stratum=stratum,
        metric=metric,
        n=len(known),
        mean_difference=float(differences.mean()) if some else None,
        interval=bootstrap_mean(differences, seed=seed),
        clusters=len(set(clusters)),
        cluster_interval=bootstrap_mean(differences, clusters, seed=seed) if some else None,
        p=wilcoxon_p(differences),
    )
