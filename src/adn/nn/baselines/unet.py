"""3D U-Net (Çiçek et al., MICCAI 2016) in the public form used by the paper's authors: GroupNorm, nearest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from adn.nn.resunet import NormConv

_CUBE = (3, 3, 3)


class DoubleConv(nn.Sequential):
    """Twice GroupNorm, conv 3³, ReLU."""

    def __init__(self, in_channels: int, middle: int, out_channels: int) -> None:
        groups = 1 if in_channels < 8 else 8
        super().__init__(
            NormConv(in_channels, middle, groups, _CUBE), NormConv(middle, out_channels, min(8, middle), _CUBE)
        )


class UNet(nn.Module):
    """Encoder and decoder with *concatenated* skips; max-pool 2, up = nearest without a convolution of its own.

    channels: of each level, finest first, multiples of 16. 16.3 M parameters with the source's widths. Sides must be
    divisible by `factors`.
    """

    def __init__(self, channels: tuple[int, ...] = (64, 128, 256, 512)) -> None:
        super().__init__()
        self.factors = (2 ** (len(channels) - 1),) * 3
        first = channels[0] // 2
        entries = (1, *channels[:-1])
        self.down = nn.ModuleList(
            DoubleConv(a, max(b // 2, a if a > 1 else first), b) for a, b in zip(entries, channels, strict=True)
        )
        self.up = nn.ModuleList(DoubleConv(a + b, b, b) for a, b in zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.head = nn.Conv3d(channels[0], 1, 1)

    def forward(self, x: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 1 d h w"]:
        """Logits of the same shape."""
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = block(torch.cat([skips.pop(), F.interpolate(x, scale_factor=2.0, mode="nearest")], 1))
        return self.head(x)
