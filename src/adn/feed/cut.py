"""Cuts whole heads to a few slices, because outlined cases show only parts of heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from adn.feed.samples import Sample


class SliceCounts(NamedTuple):
    """Slice counts of a part on the brain box: copies of the lowest slice, acquired slices, copies of the highest."""

    below: int
    acquired: int
    above: int


def slice_counts(sample: Sample) -> SliceCounts:
    """Count the slices of a part of a head on the box; end slices without scored voxels are copies."""
    held = (sample.brain[0] > 0).flatten(1)
    shown = (held & (sample.infarct[0] >= 0).flatten(1)).any(1).nonzero()[:, 0].tolist()
    there = held.any(1).nonzero()[:, 0].tolist()
    if not shown:
        return SliceCounts(0, len(there), 0)
    return SliceCounts(shown[0] - there[0], shown[-1] + 1 - shown[0], there[-1] - shown[-1])


def cut(sample: Sample, heights: SliceCounts, region: Tensor, slice_share: float, place_share: float) -> Sample:
    """Cut a head to as many slices as a part has, at least one through a region, and centre them on the box.

    region: (D, H, W), bool. slice_share: which slice of the region, 0 to 1. place_share: where in the part that slice
    lies, 0 to 1. Copies of the end slices are not scored.
    """
    brain = sample.brain[0] > 0
    there = brain.flatten(1).any(1).nonzero()[:, 0].tolist()
    if not there:
        return sample
    low, high = there[0], there[-1] + 1
    among = (region & brain).flatten(1).any(1).nonzero()[:, 0].tolist() or there
    chosen = among[min(int(slice_share * len(among)), len(among) - 1)]
    count = min(heights.acquired, high - low)
    start = min(max(chosen - min(int(place_share * count), count - 1), low), high - count)
    below, above = _copies(heights, count, len(brain))
    kept = [start] * below + list(range(start, start + count)) + [start + count - 1] * above
    first = (len(brain) - len(kept)) // 2
    parts = Sample(*(_moved(x, kept, first) for x in sample))
    copied = torch.zeros(len(brain), dtype=torch.bool)
    copied[first : first + below] = True
    copied[first + below + count : first + len(kept)] = True
    unscored = copied[:, None, None] & (parts.brain > 0)
    return _centred(parts._replace(infarct=torch.where(unscored, -1.0, parts.infarct)))


def _copies(heights: SliceCounts, count: int, depth: int) -> tuple[int, int]:
    """The numbers of copies below and above, limited to the room in the box."""
    room = depth - count
    below = min(heights.below, room // 2)
    return below, min(heights.above, room - below)


def _moved(x: Tensor, kept: list[int], first: int) -> Tensor:
    moved = torch.zeros_like(x)
    moved[:, first : first + len(kept)] = x[:, kept]
    return moved


def _centred(sample: Sample) -> Sample:
    """Move along H until the brain's centroid is in the middle, as `conform` does with a part; no brain is lost."""
    rows = (sample.brain[0] > 0).sum((0, 2)).float()
    used = rows.nonzero()[:, 0]
    height = len(rows)
    off = float((rows * torch.arange(height)).sum() / rows.sum()) - (height - 1) / 2
    steps = min(max(-round(off), -int(used[0])), height - 1 - int(used[-1]))
    return Sample(*(x.roll(steps, 2) for x in sample))
