"""The 3D ResUNet of networks D and F (docs/method.md, section 4; after Lee et al. 2017)."""

from __future__ import annotations

import math
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from adn.nn.attention import MirrorAttention
from adn.nn.norm import QuickGroupNorm

Kernel = tuple[int, int, int]


class NormConv(nn.Sequential):
    """GroupNorm → bias-free conv → optional ReLU; `groups` is 1 for the raw input."""

    def __init__(self, in_channels: int, out_channels: int, groups: int, kernel: Kernel, relu: bool = True) -> None:
        convolution = nn.Conv3d(in_channels, out_channels, kernel, padding="same", bias=False)
        super().__init__(QuickGroupNorm(groups, in_channels), convolution, *([nn.ReLU(inplace=True)] if relu else []))


class ResBlock(nn.Module):
    """One convolution, then a residual block of two more; ReLU after the sum, dropout last."""

    def __init__(
        self, in_channels: int, out_channels: int, dropout: float, kernel: Kernel = (3, 3, 3), raw_input: bool = False
    ) -> None:
        super().__init__()
        self.enter = NormConv(in_channels, out_channels, 1 if raw_input else 8, kernel)
        self.residual = nn.Sequential(
            NormConv(out_channels, out_channels, 8, kernel), NormConv(out_channels, out_channels, 8, kernel, relu=False)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, D, H, W) → (B, out, D, H, W)."""
        x = self.enter(x)
        return self.dropout(F.relu(self.residual(x).add_(x), inplace=True))


class Rise(nn.Conv3d):
    """Nearest-neighbour upsampling, then a convolution with bias, with 3 taps along the axes that are doubled.

    Without gradients, taps that would read copies of the same voxel are summed first, so that each of the (up to eight)
    positions within a doubled voxel needs 2 taps per axis instead of 3: the same result up to rounding, with 8 products
    instead of 27 and without the upsampled volume.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: Kernel, scale: Kernel) -> None:
        super().__init__(in_channels, out_channels, kernel, padding="same")
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, D, H, W) → (B, out, D, H, W times `scale`)."""
        if torch.is_grad_enabled():
            return super().forward(F.interpolate(x, scale_factor=tuple(map(float, self.scale)), mode="nearest"))
        margins = [taps // 2 for taps in self.kernel_size[::-1] for _ in range(2)]
        padded, raised = F.pad(x, margins), None
        for place in product(*map(range, self.scale)):
            weight, shown = self.weight, padded
            for axis, (offset, scale) in enumerate(zip(place, self.scale, strict=True), start=2):
                if scale == 2:
                    weight = _summed_taps(weight, axis, offset)
                    shown = shown.narrow(axis, offset, x.shape[axis] + 1)
            part = F.conv3d(shown, weight, self.bias)
            if raised is None:
                sides = [side * scale for side, scale in zip(x.shape[2:], self.scale, strict=True)]
                raised = part.new_empty((*part.shape[:2], *sides)).contiguous(memory_format=torch.channels_last_3d)
            raised[(..., *(slice(o, None, s) for o, s in zip(place, self.scale, strict=True)))] = part
        assert raised is not None
        return raised


def _summed_taps(weight: Tensor, axis: int, offset: int) -> Tensor:
    """Turn three taps on a doubled grid into two on the original one, for the first or second position of each pair."""
    before, same, after = weight.split(1, axis)
    return torch.cat([before, same + after] if offset == 0 else [before + same, after], axis)


class ResUNet(nn.Module):
    """Encoder and decoder with *added* skips; up = nearest, then conv.

    channels: of each level, finest first, multiples of 8. flat_levels: number of levels that see in plane only (kernels
    1 × 3 × 3) and are followed by pooling in plane only, for slices thicker than pixels are wide; 0 gives the paper's
    network. H and W must be divisible by 2^(levels − 1), D by 2^(levels − 1 − flat_levels). Returns logits
    (B, out_channels, D, H, W).

    Two extensions are ours and not in the paper. supervised: number of decoder levels, finest first, whose logits are
    returned in training, each at its own size. attending: number of encoder levels, deepest first, that attend to the
    mirrored position as well (`MirrorAttention`); their input must be aligned.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: tuple[int, ...] = (32, 64, 128, 256),
        dropout: float = 0.0,
        flat_levels: int = 0,
        out_channels: int = 1,
        supervised: int = 1,
        attending: int = 0,
    ) -> None:
        super().__init__()
        kernels: list[Kernel] = [(1, 3, 3) if level < flat_levels else (3, 3, 3) for level in range(len(channels))]
        self.scales: list[Kernel] = [
            (1, 2, 2) if level < flat_levels else (2, 2, 2) for level in range(len(channels) - 1)
        ]
        entries = (in_channels, *channels[:-1])
        self.down = nn.ModuleList(
            ResBlock(a, b, dropout, kernel, raw_input=level == 0)
            for level, (a, b, kernel) in enumerate(zip(entries, channels, kernels, strict=True))
        )
        rises = list(zip(channels[:0:-1], channels[-2::-1], kernels[-2::-1], strict=True))
        self.rise = nn.ModuleList(
            Rise(a, b, k, scale) for (a, b, k), scale in zip(rises, self.scales[::-1], strict=True)
        )
        self.up = nn.ModuleList(ResBlock(b, b, dropout, kernel) for _, b, kernel in rises)
        self.head = nn.Conv3d(channels[0], out_channels, 1)
        # created last, so that the other weights start as they would without them
        self.coarse_heads = nn.ModuleList(nn.Conv3d(n, out_channels, 1) for n in channels[1:supervised])
        self.attend = nn.ModuleList(
            MirrorAttention(n) if level >= len(channels) - attending else nn.Identity()
            for level, n in enumerate(channels)
        )

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Tensor | list[Tensor]:
        """Logits of the same spatial shape; in training with several supervised levels, a list of each level's."""
        factors = tuple(math.prod(scale[axis] for scale in self.scales) for axis in range(3))
        if any(side % factor for side, factor in zip(x.shape[2:], factors, strict=True)):
            raise ValueError(f"ResUNet needs sides divisible by {factors}, but got {tuple(x.shape[2:])}: pad or crop.")
        skips = []
        for level, (block, attend) in enumerate(zip(self.down, self.attend, strict=True)):
            x = attend(block(F.max_pool3d(x, self.scales[level - 1]) if level else x))
            skips.append(x)
        heads = [self.head, *self.coarse_heads] if self.training else [self.head]
        level, x = len(skips) - 1, skips.pop()
        found = [head(x) for head in heads[level:]]
        for rise, block in zip(self.rise, self.up, strict=True):
            level -= 1
            x = block(rise(x).add_(skips.pop()))
            found = [head(x) for head in heads[level : level + 1]] + found
        return found if len(found) > 1 else found[0]
