"""Which slices of a sample slicewise networks learn from."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_slices(brain: Tensor, infarct: Tensor, count: int) -> Tensor:
    """Places along D, (B, count), in order: half of them (rounded up) with infarct where there is any, others anywhere.

    brain, infarct: (B, 1, D, H, W), 0 outside the brain; infarct is below 0 where nothing is scored. All slices hold
    brain, and none is drawn twice if there are enough. Drawn by torch's own generator.
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
    """So many of them at random, all where there are fewer."""
    return places[torch.randperm(len(places), device=places.device)[:count]]
