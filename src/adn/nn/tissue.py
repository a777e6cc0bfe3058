"""The tissue network: an anisotropic ResUNet for whole heads with skull.

CT slices are several times thicker than pixels are wide, so pooling and the finest convolutions stay in plane, and only
coarser levels see neighbouring slices (after Lee et al. 2017). Squares of 2 × 2 pixels become channels at the input and
pixels again at the output, which costs a quarter of the same network on all pixels (Shi et al. 2016).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from adn.config import TissueConfig
from adn.nn.norm import QuickGroupNorm
from adn.space.labels import TissueLabel

_SQUARE = 2
_HEAD_HU = -300.0
_FLAT_LEVELS = 2  # levels with pixels so much finer than slices that kernels stay in plane


class _NormConv(nn.Sequential):
    """GroupNorm → bias-free convolution → optional ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int, int], relu: bool = True) -> None:
        depth, height, width = kernel
        padding = (depth // 2, height // 2, width // 2)
        convolution = nn.Conv3d(in_channels, out_channels, kernel, padding=padding, bias=False)
        super().__init__(QuickGroupNorm(8, in_channels), convolution, *([nn.ReLU(inplace=True)] if relu else []))


class _ResBlock(nn.Module):
    """One convolution, then a residual block of two more; the last one sees neighbouring slices unless `flat`."""

    def __init__(self, in_channels: int, out_channels: int, flat: bool, raw_input: bool = False) -> None:
        super().__init__()
        plane = (1, 3, 3)
        # the raw input is not normalised, because HU are absolute
        raw = nn.Sequential(nn.Conv3d(in_channels, out_channels, plane, padding=(0, 1, 1)), nn.ReLU(inplace=True))
        self.enter = raw if raw_input else _NormConv(in_channels, out_channels, plane)
        self.residual = nn.Sequential(
            _NormConv(out_channels, out_channels, plane),
            _NormConv(out_channels, out_channels, plane if flat else (3, 3, 3), relu=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, D, H, W) → (B, out, D, H, W)."""
        x = self.enter(x)
        return F.relu(self.residual(x).add_(x), inplace=True)


class TissueNet(nn.Module):
    """Logits of outside, GM, WM and CSF from a head CT in HU.

    Input sides H and W must be divisible by `self.multiple`; D is free. Slices may be 3 to 10 mm thick.
    """

    def __init__(self, config: TissueConfig) -> None:
        super().__init__()
        channels = config.channels
        self.windows_hu = config.windows_hu
        self.multiple = _SQUARE * 2 ** (len(channels) - 1)
        entries = (len(config.windows_hu) * _SQUARE**2, *channels[:-1])
        self.down = nn.ModuleList(
            _ResBlock(a, b, flat=level < _FLAT_LEVELS, raw_input=level == 0)
            for level, (a, b) in enumerate(zip(entries, channels, strict=True))
        )
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.rise = nn.ModuleList(nn.Conv3d(a, b, 1) for a, b in pairs)
        self.up = nn.ModuleList(
            _ResBlock(b, b, flat=len(channels) - 2 - i < _FLAT_LEVELS) for i, (_, b) in enumerate(pairs)
        )
        self.head = nn.Conv3d(channels[0], len(TissueLabel) * _SQUARE**2, 1)

    def forward(self, ct_hu: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 4 d h w"]:
        """Logits of the same spatial shape."""
        if any(side % self.multiple for side in ct_hu.shape[3:]):
            raise ValueError(f"TissueNet needs H and W divisible by {self.multiple}, but got {tuple(ct_hu.shape[3:])}.")
        x = squares_to_channels(window(ct_hu, self.windows_hu))
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, (1, 2, 2)) if level else x)
            skips.append(x)
        skips.pop()
        for rise, block in zip(self.rise, self.up, strict=True):
            x = block(F.interpolate(rise(x), scale_factor=(1.0, 2.0, 2.0), mode="nearest") + skips.pop())
        return channels_to_squares(self.head(x))


def window(ct_hu: Tensor, windows_hu: tuple[tuple[float, float], ...]) -> Tensor:
    """(B, 1, …) in HU → (B, windows, …) in [0, 1]."""
    return torch.cat([((ct_hu - low) / (high - low)).clamp(0, 1) for low, high in windows_hu], 1)


def squares_to_channels(x: Tensor) -> Tensor:
    """(B, C, D, H, W) → (B, 4 C, D, H / 2, W / 2)."""
    b, c, d, h, w = x.shape
    x = x.view(b, c, d, h // _SQUARE, _SQUARE, w // _SQUARE, _SQUARE)
    return x.permute(0, 1, 4, 6, 2, 3, 5).reshape(b, c * _SQUARE**2, d, h // _SQUARE, w // _SQUARE)


def channels_to_squares(x: Tensor) -> Tensor:
    """(B, 4 C, D, H, W) → (B, C, D, 2 H, 2 W); the inverse of `squares_to_channels`."""
    b, c, d, h, w = x.shape
    x = x.view(b, c // _SQUARE**2, _SQUARE, _SQUARE, d, h, w)
    return x.permute(0, 1, 4, 5, 2, 6, 3).reshape(b, c // _SQUARE**2, d, h * _SQUARE, w * _SQUARE)


def head_box(ct_hu: Float[Tensor, "d h w"], multiple: int, most: int = 1 << 30) -> tuple[slice, slice, slice]:
    """The box around the head, in plane. ct_hu: in HU, H and W divisible by `multiple`; so are the box's sides.

    most: an object wider than this (a head on a table) is cropped to it around its centre of mass.
    """
    head = ct_hu > _HEAD_HU
    box = [slice(None)]
    for axis in (1, 2):
        count = head.sum(dim=(0, 3 - axis))
        used = count.nonzero().flatten()
        size = ct_hu.shape[axis]
        low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, size)
        middle = (low + high) / 2
        if high - low > most:
            middle = float((count * torch.arange(size)).sum() / count.sum())
        side = min(-(-(high - low) // multiple), most // multiple) * multiple
        start = min(max(round(middle - side / 2), 0), size - side)
        box.append(slice(start, start + side))
    return box[0], box[1], box[2]
