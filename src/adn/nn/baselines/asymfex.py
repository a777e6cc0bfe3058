"""A two-stream network in the style of AsymFeX (Shah and Sundaresan): compares each voxel with its contralateral one.

The scan and its mirror image go through one encoder; at the two deepest levels, local attention over 3 × 3 × 3 voxels
aligns the streams, their disparity gates the aligned features, and the decoder gets these and the unaltered stream
(sections 3.2.1 to 3.2.3).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from adn.nn.attention import LocalAttention
from adn.nn.baselines.nnunet import Sides, plan, start_rare
from adn.nn.norm import QuickGroupNorm
from adn.space.warp import mirror

FEATURES = (32, 64, 128, 256, 320)
COMPARED = 2  # number of levels, deepest first, at which the streams are compared
_EPSILON = 1e-6


def disparity(aligned: Float[Tensor, "b c d h w"], mirrored: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
    """1 − â ⊙ m̂ for vectors normalised along the C channels (eq. 12); the sum over channels is C − their cosine."""

    def unit(x: Tensor) -> Tensor:
        return x / (x.square().sum(1, keepdim=True).sqrt() + _EPSILON)

    return 1 - unit(aligned.float()) * unit(mirrored.float())


class Comparison(nn.Module):
    """Local attention, disparity and a gate at two scales; fuses the gated features with the unaltered stream."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = LocalAttention(channels)
        self.small, self.large = nn.Conv3d(channels, channels, 1), nn.Conv3d(channels, channels, 3, padding=1)
        self.gate_norm = QuickGroupNorm(8, channels)
        self.fuse = nn.Sequential(
            nn.Conv3d(2 * channels, channels, 3, padding=1), QuickGroupNorm(8, channels), nn.GELU()
        )

    def forward(self, own: Tensor, mirrored: Tensor) -> Tensor:
        """Features of both streams at one level → features for the decoder, of the same shape."""
        aligned = self.attention(own, mirrored)
        apart = disparity(aligned, mirrored)
        gate = torch.sigmoid(self.gate_norm(self.large(apart) + self.small(apart)))
        return self.fuse(torch.cat([gate * aligned, own], 1))


class AsymFeX(nn.Module):
    """Five levels with strides as nnU-Net would plan them for the box, and one encoder for both streams.

    width: factor on the source's 32 to 320 channels. In training it returns (B, 5, 1, D, H, W), one per decoder level,
    finest first, upsampled to the input's size. Sides must be divisible by `factors`.
    """

    def __init__(self, width: float, spacing_mm: tuple[float, float, float], box: Sides) -> None:
        super().__init__()
        features = tuple(max(round(n * width / 8) * 8, 8) for n in FEATURES)
        found = plan(box, spacing_mm, len(FEATURES) - 1)
        features = features[: len(found.strides)]  # a small box has no room for all
        factors = [math.prod(stride[axis] for stride in found.strides) for axis in range(3)]
        self.factors = (factors[0], factors[1], factors[2])
        entries = (1, *features[:-1])
        levels = zip(entries, features, found.kernels, found.strides, strict=True)
        self.encode = nn.ModuleList(
            nn.Sequential(_conv(a, b, kernel, stride), _conv(b, b, kernel)) for a, b, kernel, stride in levels
        )
        self.compare = nn.ModuleList(Comparison(n) for n in features[-COMPARED:])
        rises = list(zip(features[:0:-1], features[-2::-1], found.kernels[-2::-1], found.strides[:0:-1], strict=True))
        self.rise = nn.ModuleList(nn.ConvTranspose3d(a, b, stride, stride) for a, b, _, stride in rises)
        self.decode = nn.ModuleList(
            nn.Sequential(_conv(2 * b, b, kernel), _conv(b, b, kernel)) for _, b, kernel, _ in rises
        )
        self.heads = nn.ModuleList(nn.Conv3d(n, 1, 1) for n in features)
        for head in self.heads:
            start_rare(head)  # type: ignore[arg-type]

    def forward(self, aligned: Float[Tensor, "b 1 d h w"]) -> Tensor:
        """Logits (B, 1, D, H, W); in training, those of all levels."""
        own, other = self._features(aligned), self._features(mirror(aligned))
        for place, module in enumerate(self.compare, start=len(own) - COMPARED):
            own[place] = module(own[place], other[place])
        x = own.pop()
        found = [self.heads[-1](x)]
        for rise, block, head in zip(self.rise, self.decode, list(self.heads)[-2::-1], strict=True):
            x = block(torch.cat([rise(x), own.pop()], 1))
            found.append(head(x))
        if not self.training:
            return found[-1]
        sides = aligned.shape[2:]
        return torch.stack([F.interpolate(y, sides, mode="trilinear") for y in reversed(found)], 1)

    def _features(self, x: Tensor) -> list[Tensor]:
        """Encoder features of every level, finest first."""
        found = []
        for block in self.encode:
            x = block(x)
            found.append(x)
        return found


def _conv(a: int, b: int, kernel: Sides, stride: Sides = (1, 1, 1)) -> nn.Sequential:
    d, h, w = kernel
    convolution = nn.Conv3d(a, b, kernel, stride, padding=(d // 2, h // 2, w // 2))
    return nn.Sequential(convolution, nn.InstanceNorm3d(b, affine=True), nn.ReLU(inplace=True))
