"""Local attention across the hemispheres: each voxel queries the 27 voxels around its mirror twin."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from adn.space.warp import mirror

HEADS = 8  # our choice, since the text we have does not give AsymFeX's number
_OUTSIDE = -1e4


class LocalAttention(nn.Module):
    """Cross-stream alignment: the mirrored stream queries the 27 voxels around the same place in the other stream.

    After AsymFeX (Shah and Sundaresan, eq. 4 to 11).
    """

    def __init__(self, channels: int, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Conv3d(channels, channels, 1) for _ in range(4))

    def forward(self, own: Float[Tensor, "b c d h w"], mirrored: Float[Tensor, "b c d h w"]) -> Tensor:
        """Values of `own` gathered for each voxel of `mirrored`; same shape."""
        b, c, *sides = own.shape
        size = c // self.heads

        def split(x: Tensor) -> Tensor:
            return x.view(b, self.heads, size, *sides)

        query, key, value = split(self.query(mirrored)), split(self.key(own)), split(self.value(own))
        inside = torch.ones_like(own[:1, :1])[:, :, None]
        scores = [
            (query * near).sum(2) / math.sqrt(size) + (1 - there[:, :, 0]) * _OUTSIDE
            for near, there in zip(_neighbours(key), _neighbours(inside), strict=True)
        ]
        weights = torch.softmax(torch.stack(scores, 0).float(), 0).to(value.dtype)
        gathered = torch.zeros_like(value)
        for weight, near in zip(weights, _neighbours(value), strict=True):
            gathered = gathered + weight[:, :, None] * near
        return self.out(gathered.reshape(b, c, *sides))


class MirrorAttention(nn.Module):
    """x + what `LocalAttention` gathers around each voxel's mirror twin, within one aligned feature map.

    Unlike a difference of twins, it tolerates an alignment that is off by a voxel. It starts as the identity, so that a
    network with it starts out equal to one without it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = LocalAttention(channels)
        nn.init.zeros_(self.attention.out.weight)
        nn.init.zeros_(self.attention.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        """Same shape; mirroring the input mirrors the output."""
        return x + self.attention(mirror(x), x)


def _neighbours(x: Tensor) -> list[Tensor]:
    """The 27 shifts of (B, M, C, D, H, W) by one voxel, 0 beyond the border."""
    d, h, w = x.shape[-3:]
    padded = F.pad(x, (1, 1, 1, 1, 1, 1))
    steps = [(z, y, a) for z in range(3) for y in range(3) for a in range(3)]
    return [padded[..., z : z + d, y : y + h, a : a + w] for z, y, a in steps]
