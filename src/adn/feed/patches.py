"""Cuts training samples into pieces: the patches of nnU-Net, the segments of DeepMedic."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from adn.config import GridConfig
from adn.feed.samples import Sample

Sides = tuple[int, int, int]
_STREAM = 104_729  # keeps these seeds separate from those of patients and augmentations


def centre_box(sample: Sample, grid: GridConfig) -> Sample:
    """The central part of a sample on the model grid, with the size of the recipe's box."""
    box = grid.box or grid.shape
    starts = [(n - side) // 2 for n, side in zip(grid.shape, box, strict=True)]
    place = tuple(slice(a, a + side) for a, side in zip(starts, box, strict=True))
    return Sample(*(x[(slice(None), *place)] for x in sample))


class Patches(Dataset[Sample]):
    """Pieces of another data set's samples; piece j of sample i depends on (seed, i, j) only.

    Tensors are (n, D, H, W) with n = `count` pieces of size `size` + 2 · `context`. A share `infarct_share` of them
    (rounded at random) is centred on an infarct voxel, if the sample has any; the others on any brain voxel. infarct
    and tissue have size `size`: the context is seen but not scored.
    """

    def __init__(
        self, dataset: Any, seed: int, size: Sides, context: Sides = (0, 0, 0), count: int = 1, infarct_share: float = 0
    ) -> None:
        self.dataset, self.seed, self.size, self.context = dataset, seed, size, context
        self.count, self.infarct_share = count, infarct_share

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """Pieces of sample `index`."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index) * _STREAM)
        sample: Sample = self.dataset[index]
        wanted = int(self.infarct_share * self.count + float(torch.rand((), generator=generator)))
        pools = [(sample.infarct[0] > 0).nonzero(), (sample.brain[0] > 0).nonzero()]
        corners = [self._corner(pools[0 if j < wanted else 1], pools[1], sample, generator) for j in range(self.count)]
        wide = tuple(n + 2 * c for n, c in zip(self.size, self.context, strict=True))
        brain = torch.stack([_cut(sample.brain[0], [a - c for a, c in zip(at, self.context, strict=True)], wide)
                             for at in corners])  # fmt: skip
        infarct, tissue = (torch.stack([_cut(x[0], at, self.size) for at in corners]) for x in sample[1:])
        return Sample(brain, infarct, tissue)

    def _corner(self, pool: Tensor, spare: Tensor, sample: Sample, generator: torch.Generator) -> list[int]:
        """First voxel of a piece around a random voxel of the pool, shifted to lie inside the volume if it fits."""
        pool = pool if len(pool) else spare
        sides = sample.brain.shape[1:]
        if len(pool):
            centre = pool[int(torch.randint(len(pool), (), generator=generator))].tolist()
        else:
            centre = [side // 2 for side in sides]
        return [min(max(c - n // 2, 0), max(side - n, 0)) for c, n, side in zip(centre, self.size, sides, strict=True)]


def _cut(x: Tensor, corner: list[int], sides: tuple[int, ...]) -> Tensor:
    """Cut a piece from (D, H, W), padded with 0 beyond the border."""
    ends = [a + n for a, n in zip(corner, sides, strict=True)]
    inner = tuple(slice(max(a, 0), min(b, side)) for a, b, side in zip(corner, ends, x.shape, strict=True))
    pads = [(max(-a, 0), max(b - side, 0)) for a, b, side in zip(corner, ends, x.shape, strict=True)]
    return F.pad(x[inner], [n for pair in reversed(pads) for n in pair])


class Boxed(Dataset[Sample]):
    """Another data set's samples, cut to the recipe's box, for methods that take unaligned heads."""

    def __init__(self, dataset: Any, grid: GridConfig) -> None:
        self.dataset, self.grid = dataset, grid

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`."""
        return centre_box(self.dataset[index], self.grid)
