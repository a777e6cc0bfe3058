"""How deep points lie in ellipsoids, on torch."""

from __future__ import annotations

import torch
from torch import Tensor

from adn.atlas import Ellipsoid


def depth(points: Tensor, ellipsoids: tuple[Ellipsoid, ...]) -> Tensor:
    """How deep points (3, ...) lie in the nearest of some ellipsoids: 1 at a centre, 0 at a surface, less outside."""
    levels = []
    for centre, axes in ellipsoids:
        shape = (3, *[1] * (points.dim() - 1))
        c, a = (torch.tensor(v, dtype=points.dtype).view(shape) for v in (centre, axes))
        # .norm(dim=0) takes ten times as long
        levels.append(1 - ((points - c) / a).square().sum(0).sqrt())
    return torch.stack(levels).amax(0)
