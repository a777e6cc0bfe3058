"""The 3D ResUNet of networks D and F (method.md section 4; after Lee et al. 2017)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class NormConv(nn.Sequential):
    """GroupNorm → bias-free 3³ conv → optional ReLU; a raw input has one group."""

    def __init__(self, in_channels: int, out_channels: int, groups: int, relu: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.GroupNorm(groups, in_channels),
            nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class ResBlock(nn.Module):
    """Conv, then a residual block of two more; ReLU after the sum, dropout last."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float, raw_input: bool = False) -> None:
        super().__init__()
        self.enter = NormConv(in_channels, out_channels, 1 if raw_input else 8)
        self.residual = nn.Sequential(
            NormConv(out_channels, out_channels, 8), NormConv(out_channels, out_channels, 8, relu=False)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, D, H, W) → (B, out, D, H, W)."""
        x = self.enter(x)
        return self.dropout(F.relu(x + self.residual(x)))


class ResUNet(nn.Module):
    """Encoder and decoder with *added* skips; up = nearest × 2, then conv.

    channels: of each level, finest first, multiples of 8. Input sides must be divisible by 2^(levels − 1).
    Returns logits (B, 1, D, H, W).
    """

    def __init__(self, in_channels: int = 1, channels: tuple[int, ...] = (32, 64, 128, 256), dropout: float = 0.0):
        super().__init__()
        entries = (in_channels, *channels[:-1])
        self.down = nn.ModuleList(
            ResBlock(a, b, dropout, raw_input=level == 0)
            for level, (a, b) in enumerate(zip(entries, channels, strict=True))
        )
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.rise = nn.ModuleList(nn.Conv3d(a, b, 3, padding=1) for a, b in pairs)
        self.up = nn.ModuleList(ResBlock(b, b, dropout) for _, b in pairs)
        self.head = nn.Conv3d(channels[0], 1, 1)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b 1 d h w"]:
        """Logits of the same spatial shape."""
        factor = 2 ** (len(self.down) - 1)
        if any(side % factor for side in x.shape[2:]):
            raise ValueError(f"ResUNet needs sides divisible by {factor}, but got {tuple(x.shape[2:])}: pad or crop.")
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for rise, block in zip(self.rise, self.up, strict=True):
            x = block(rise(F.interpolate(x, scale_factor=2.0, mode="nearest")) + skips.pop())
        return self.head(x)
