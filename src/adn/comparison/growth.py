"""How an infarct changed between two registered scans: growth, new and vanished parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from adn.comparison.register import Head, Match, laid_on
from adn.prepare import coarse as cm

NEAR_MM = 4.0  # parts this close are the same part: outlines move by a voxel, heads by a millimetre
LEAST_ML = 0.2  # smaller parts come and go with noise


@dataclass(frozen=True)
class Part:
    """One part of an infarct with no counterpart in the other scan. slice: of the first scan, SPL, with most of it."""

    what: Literal["new", "vanished"]
    volume_ml: float
    slice: int


@dataclass(frozen=True)
class Growth:
    """How an infarct changed from one scan to another, each volume measured on its own scan.

    percent: of the first volume, None where that is 0. sure: whether the two volumes' 80 % intervals do not overlap;
    None where the weights gave no intervals.
    """

    first_ml: float
    second_ml: float
    parts: tuple[Part, ...]
    sure: bool | None = None

    @property
    def growth_ml(self) -> float:
        """Second minus first volume, mL."""
        return self.second_ml - self.first_ml

    @property
    def percent(self) -> float | None:
        """Growth as a share of the first volume, %."""
        return 100.0 * self.growth_ml / self.first_ml if self.first_ml > 0 else None

    def ml_of(self, what: Literal["new", "vanished"]) -> float:
        """Volume of all parts of a kind, mL."""
        return sum(part.volume_ml for part in self.parts if part.what == what)


Interval = tuple[float, float] | None


def measure_growth(
    first: Head, second: Head, match: Match, intervals: tuple[Interval, Interval] = (None, None)
) -> Growth:
    """Measure volumes on each scan's own voxels, parts on the first scan's. intervals: of both volumes, mL."""
    mine = first.infarct.data > 0
    theirs = laid_on(second.infarct.data > 0, match, first.scan) >= 0.5
    voxel_ml, spacing = first.scan.grid.voxel_ml, first.scan.grid.spacing_mm
    seen = laid_on(np.ones(second.scan.grid.shape), match, first.scan) > 0.5  # what was not scanned has not vanished
    parts = [
        *_alone(theirs, mine, voxel_ml, spacing, "new"),
        *_alone(mine & seen, theirs, voxel_ml, spacing, "vanished"),
    ]
    before, after = intervals
    sure = None if before is None or after is None else bool(after[0] > before[1] or after[1] < before[0])
    return Growth(
        float(mine.sum()) * voxel_ml,
        float((second.infarct.data > 0).sum()) * second.scan.grid.voxel_ml,
        tuple(sorted(parts, key=lambda part: -part.volume_ml)),
        sure,
    )


def _alone(
    mask: NDArray[np.bool_],
    other: NDArray[np.bool_],
    voxel_ml: float,
    spacing_mm: tuple[float, float, float],
    what: Literal["new", "vanished"],
) -> list[Part]:
    """Connected parts of a mask with nothing of the other nearby."""
    if not mask.any():
        return []
    labels = cm.components(mask)
    near = cm.dilate(other, NEAR_MM, spacing_mm) if other.any() else other
    counts = np.bincount(labels.ravel())
    touched = np.bincount(labels[near].ravel(), minlength=len(counts)) > 0
    found = []
    for label in range(1, len(counts)):
        if not touched[label] and counts[label] * voxel_ml >= LEAST_ML:
            areas = (labels == label).sum(axis=(1, 2))
            found.append(Part(what, float(counts[label] * voxel_ml), int(areas.argmax())))
    return found
