"""Whole heads cut to parts, as outlined cases are parts of heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from adn.feed.samples import Sample


class Heights(NamedTuple):
    """Slices of a part on the brain box: copies of the lowest, those acquired, copies of the highest."""

    below: int
    acquired: int
    above: int


def heights_of(sample: Sample) -> Heights:
    """How a part of a head lies on the box; slices that are silent throughout at its ends are copies."""
    held = (sample.brain[0] > 0).flatten(1)
    shown = (held & (sample.infarct[0] >= 0).flatten(1)).any(1).nonzero()[:, 0].tolist()
    there = held.any(1).nonzero()[:, 0].tolist()
    if not shown:
        return Heights(0, len(there), 0)
    return Heights(shown[0] - there[0], shown[-1] + 1 - shown[0], there[-1] - shown[-1])


def cut(sample: Sample, heights: Heights, region: Tensor, slice_share: float, place_share: float) -> Sample:
    """As many slices of a head as a part has, among them one of a region, in the middle of the box as a part lies.

    region: (D, H, W), bool. slice_share: which of its slices, 0 to 1; place_share: where in the part that one lies.
    Copies of the ends are silent.
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
    silent = copied[:, None, None] & (parts.brain > 0)
    return _centred(parts._replace(infarct=torch.where(silent, -1.0, parts.infarct)))


def _copies(heights: Heights, count: int, depth: int) -> tuple[int, int]:
    """So many copies below and above as the box has room for."""
    room = depth - count
    below = min(heights.below, room // 2)
    return below, min(heights.above, room - below)


def _moved(x: Tensor, kept: list[int], first: int) -> Tensor:
    moved = torch.zeros_like(x)
    moved[:, first : first + len(kept)] = x[:, kept]
    return moved


def _centred(sample: Sample) -> Sample:
    """Moved along H so that the brain's centroid lies in the middle, as `conform` leaves a part; no brain is lost."""
    rows = (sample.brain[0] > 0).sum((0, 2)).float()
    used = rows.nonzero()[:, 0]
    height = len(rows)
    off = float((rows * torch.arange(height)).sum() / rows.sum()) - (height - 1) / 2
    steps = min(max(-round(off), -int(used[0])), height - 1 - int(used[-1]))
    return Sample(*(x.roll(steps, 2) for x in sample))
