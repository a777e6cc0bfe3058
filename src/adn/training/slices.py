"""Draws the slices of a sample from which slicewise networks learn."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_slices(brain: Tensor, infarct: Tensor, count: int) -> Tensor:
    """Slice indices along D, (B, count), in order: half (rounded up) with infarct if there is any, the rest at random.

    brain, infarct: (B, 1, D, H, W), 0 outside the brain; infarct is below 0 where nothing is scored. All slices contain
    brain, and none is drawn twice if there are enough. Drawn with torch's default generator.
    """
    rows = []
    for scan, marks in zip(brain, infarct, strict=True):
        there, ill = ((x > 0).any(-1).any(-1)[0] for x in (scan, marks))
        if not there.any():
            there = torch.ones_like(there)
        first = _some(ill.nonzero().flatten(), (count + 1) // 2)
        others = there.index_fill(0, first, False).nonzero().flatten()
        row = torch.cat([first, _some(others, count - len(first))])
        pool = there.nonzero().flatten()
        again = pool[torch.randint(len(pool), (count - len(row),), device=row.device)]
        rows.append(torch.cat([row, again]).sort().values)
    return torch.stack(rows)


def _some(places: Tensor, count: int) -> Tensor:
    """Pick `count` of them at random, or all if there are fewer."""
    return places[torch.randperm(len(places), device=places.device)[:count]]
