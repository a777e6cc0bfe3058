"""SEAN (Liang et al., MICCAI 2021): aligned 2.5D slices, 3D encoder, 2D decoder, attention to the mirrored cell."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from adn.nn.resunet import NormConv
from adn.space.warp import mirror

CELLS = (2, 2)  # P × Q, rows and columns of the partition; our choice, as our sources do not give the number
NEIGHBOURS = 1  # slices above and below that a slice attends to


class SymmetryAttention(nn.Module):
    """A query attends to its own cell and, with other values, to the mirrored one, in its slice and adjacent ones.

    softmax(QKᵀ / √d) per slice; both results are summed over slices, concatenated, passed through a 1 × 1 convolution
    and added to the input.
    """

    def __init__(self, channels: int, cells: tuple[int, int] = CELLS) -> None:
        super().__init__()
        half = channels // 2
        self.cells = cells
        self.query, self.key = nn.Conv3d(channels, half, 1), nn.Conv3d(channels, half, 1)
        self.own, self.other = nn.Conv3d(channels, half, 1), nn.Conv3d(channels, half, 1)
        self.out = nn.Conv3d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        """Same shape. The mirrored cell is the same cell of the flipped volume: attention ignores the order of keys."""
        query, key, own, other = self.query(x), self.key(x), self.own(x), self.other(x)
        sources = [(key, own), (mirror(key), mirror(other))]
        rows = []
        for part in range(self.cells[0]):
            columns = [self._cell(query, sources, part, place) for place in range(self.cells[1])]
            rows.append(torch.cat(columns, -1))
        return x + self.out(torch.cat(rows, -2))

    def _cell(self, query: Tensor, sources: list[tuple[Tensor, Tensor]], row: int, column: int) -> Tensor:
        def cut(y: Tensor) -> Tensor:
            return y.tensor_split(self.cells[0], -2)[row].tensor_split(self.cells[1], -1)[column]

        asked = cut(query)
        found = [_attend(asked, cut(key), cut(value)) for key, value in sources]
        return torch.cat(found, 1)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of each slice's voxels to those of adjacent slices, one softmax per slice, summed; (B, C, D, h, w)."""
    b, c, d, h, w = query.shape
    q, k, v = (y.permute(0, 2, 3, 4, 1).reshape(b, d, h * w, -1) for y in (query, key, value))
    total = torch.zeros_like(q)
    for step in range(-NEIGHBOURS, NEIGHBOURS + 1):
        here = slice(max(-step, 0), d - max(step, 0))
        there = slice(max(step, 0), d - max(-step, 0))
        weight = torch.softmax((q[:, here] @ k[:, there].transpose(-1, -2)).float() / math.sqrt(c), -1)
        total[:, here] += (weight.to(v.dtype) @ v[:, there]).to(total.dtype)
    return total.reshape(b, d, h, w, c).permute(0, 4, 1, 2, 3)


class Sean(nn.Module):
    """U-shaped: 3D kernels going down, 1 × 3 × 3 going up, pooling in plane only, attention at the bottom.

    The original segments the middle one of a few slices; here all slices are processed at once and share computation.
    channels: finest first. H and W must be divisible by `factors`.
    """

    def __init__(self, channels: tuple[int, ...] = (32, 64, 128, 256)) -> None:
        super().__init__()
        factor = 2 ** (len(channels) - 1)
        self.factors = (1, factor, factor)
        entries = (1, *channels[:-1])
        self.down = nn.ModuleList(_double(a, b, (3, 3, 3)) for a, b in zip(entries, channels, strict=True))
        self.attention = SymmetryAttention(channels[-1])
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.rise = nn.ModuleList(nn.ConvTranspose3d(a, b, (1, 2, 2), (1, 2, 2)) for a, b in pairs)
        self.up = nn.ModuleList(_double(2 * b, b, (1, 3, 3)) for _, b in pairs)
        self.head = nn.Conv3d(channels[0], 1, 1)

    def forward(self, aligned: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 1 d h w"]:
        """Logits of the same shape."""
        x, skips = aligned, []
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, (1, 2, 2)) if level else x)
            skips.append(x)
        skips.pop()
        x = self.attention(x)
        for rise, block in zip(self.rise, self.up, strict=True):
            x = block(torch.cat([rise(x), skips.pop()], 1))
        return self.head(x)


def _double(a: int, b: int, kernel: tuple[int, int, int]) -> nn.Sequential:
    return nn.Sequential(NormConv(a, b, 1 if a < 8 else 8, kernel), NormConv(b, b, 8, kernel))
