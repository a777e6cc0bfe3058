"""Depth of points inside ellipsoids, in torch."""

from __future__ import annotations

import torch
from torch import Tensor

from adn.atlas import Ellipsoid


def depth(points: Tensor, ellipsoids: tuple[Ellipsoid, ...]) -> Tensor:
    """Depth of points (3, ...) in their deepest ellipsoid: 1 at a centre, 0 on a surface, negative outside all."""
    levels = []
    for centre, axes in ellipsoids:
        shape = (3, *[1] * (points.dim() - 1))
        c, a = (torch.tensor(v, dtype=points.dtype).view(shape) for v in (centre, axes))
        # .norm(dim=0) takes ten times as long
        levels.append(1 - ((points - c) / a).square().sum(0).sqrt())
    return torch.stack(levels).amax(0)
