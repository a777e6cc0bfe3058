"""Mixed samples shared by several methods: stored on disk, or rotated back to how the head lay in the scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adn.config import GridConfig
from adn.feed.aligned import load_aligned, load_pose, write_sample
from adn.feed.mix import Draw, MixedSamples
from adn.feed.samples import Sample
from adn.space.warp import invert_rigid, warp

_EDGE_SHARE = 0.05  # voxels with a smaller share of brain become background
_UNSCORED_SHARE = 0.3  # voxels with a larger unscored share are not scored


class StoredSamples(Dataset[Sample]):
    """A mix whose samples are drawn once and stored in a folder, for runs that must see the same samples.

    folder: for this mix and seed only. Intensities are stored in steps of 0.001 HU; the run that draws a sample also
    gets the stored values.
    """

    def __init__(self, mixed: MixedSamples, folder: Path) -> None:
        self.mixed, self.folder = mixed, folder

    def __len__(self) -> int:
        return len(self.mixed)

    def __getitem__(self, index: int) -> Sample:
        """Sample `index` of the mix."""
        path = self.folder / f"{index}.safetensors"
        if not path.is_file():
            write_sample(self.mixed[index], path)
        return load_aligned(path)


class UnalignedSamples(Dataset[Sample]):
    """A mix with each sample rotated back: a real case to its own pose, a virtual patient to that of a real case.

    This way, methods that align heads and methods that do not get the same samples. samples: the mix itself, or its
    stored samples. grid: the rotated head is cut to its box.
    """

    def __init__(self, mixed: MixedSamples, samples: Dataset[Sample], grid: GridConfig) -> None:
        self.mixed, self.samples, self.grid = mixed, samples, grid

    def __len__(self) -> int:
        return len(self.mixed)

    def __getitem__(self, index: int) -> Sample:
        """Sample `index` of the mix, in its unaligned pose."""
        return unaligned(self.samples[index], self.poses[self._whose(self.mixed.draw(index))], self.grid)

    @cached_property
    def poses(self) -> Mapping[Path, Tensor]:
        """The pose of every real case, by its file."""
        cases = self.mixed.cases
        return {path: load_pose(path) for path in (*cases.outlined, *cases.whole)}

    def _whose(self, draw: Draw) -> Path:
        cases = self.mixed.cases
        if draw.source == "virtual":
            every = (*cases.outlined, *cases.whole)
            return every[draw.seed % len(every)]
        return (cases.whole if draw.source == "whole" else cases.outlined)[draw.place]


def unaligned(sample: Sample, pose: Tensor, grid: GridConfig) -> Sample:
    """Rotate an aligned sample back to its own pose, on the grid's box. pose: aligned → model grid, (1, 4, 4) mm."""
    box, home = grid.box or grid.shape, invert_rigid(pose)
    brain, infarct, tissue = sample
    layers = torch.stack([brain[0], (brain[0] > 0).float(), (infarct[0] > 0).float(), (infarct[0] < 0).float()])
    x, inside, ill, unscored = warp(layers[None], home, grid.spacing_mm, box)[0]
    labels = warp(tissue[None].float(), home, grid.spacing_mm, box, mode="nearest")[0]
    value = x.clamp(0, 1) * (inside > _EDGE_SHARE)
    reference = torch.where(unscored > _UNSCORED_SHARE, -1.0, ((ill > 0.5) & (inside > 0.5)).float())
    return Sample(value[None], reference[None], labels.to(torch.uint8))


def unaligned_validation(
    named: Sequence[tuple[str, Sample]], outlined: Sequence[Path], whole: Sequence[Path], grid: GridConfig
) -> list[tuple[str, Sample]]:
    """The samples that `mix.validation_samples` makes from these files, rotated back to their original poses."""
    parts, heads = iter(outlined), iter(whole)
    head, turned = None, []
    for name, sample in named:
        if name == "whole":
            head = next(heads)  # a sample with a laid infarct comes right after its head
        path = next(parts) if name == "outlined" else head
        assert path
        turned.append((name, unaligned(sample, load_pose(path), grid)))
    return turned
