"""Gaussian blur of arrays on a grid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def blur(x: Tensor, sigma: Sequence[float]) -> Tensor:
    """Separable Gaussian on (B, C, D, H, W); sigma in voxels for D, H, W; 0 leaves an axis alone. Zero outside."""
    for axis, s in enumerate(sigma):
        if s <= 0:
            continue
        radius = max(int(3 * s + 0.5), 1)
        place = torch.arange(x.shape[axis + 2], device=x.device, dtype=x.dtype)
        offset = place[:, None] - place
        taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype) / s) ** 2)
        # multiplying by a band matrix is several times faster than a one-channel convolution
        band = torch.exp(-0.5 * (offset / s) ** 2).masked_fill(offset.abs() > radius, 0.0) / taps.sum()
        x = x @ band if axis == 2 else band @ x if axis == 1 else (band @ x.flatten(3)).view_as(x)
    return x
