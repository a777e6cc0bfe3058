"""The augmentation of the paper's released code: parameters drawn from (seed, index), then applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adn.feed.samples import UNKNOWN_POSE, PosedBrain, Sample
from adn.space.warp import mirror, rigid_matrix, warp

GAMMA = 0.25  # intensities in [0, 1] are raised to the power 1 ± this
IN_PLANE_DEG = 10.0
_STREAM = 7919  # keeps these seeds separate from those of patients


@dataclass(frozen=True)
class Augmentation:
    """gamma: power of the intensities. flip: left-right. in_plane_deg: rotation about the grid's centre."""

    gamma: float
    flip: bool
    in_plane_deg: float


def draw_augmentation(generator: torch.Generator) -> Augmentation:
    """gamma 1 ± 0.25, a flip with probability ½, in-plane rotation ± 10°; all uniform."""
    u = torch.rand(3, generator=generator).tolist()
    return Augmentation(1 + GAMMA * (2 * u[0] - 1), u[1] < 0.5, IN_PLANE_DEG * (2 * u[2] - 1))


def augment_brain(brain: Tensor, change: Augmentation, spacing_mm: tuple[float, float, float]) -> Tensor:
    """A brain (1, D, H, W) in [0, 1]: gamma, flip, rotation (linear, 0 outside)."""
    return _move(brain.pow(change.gamma), change, spacing_mm, "bilinear")


def augment(sample: Sample, change: Augmentation, spacing_mm: tuple[float, float, float]) -> Sample:
    """The augmented brain, with its labels moved in the same way (nearest voxel)."""
    return Sample(
        augment_brain(sample.brain, change, spacing_mm),
        _move(sample.infarct, change, spacing_mm, "nearest"),
        _move(sample.tissue, change, spacing_mm, "nearest"),
    )


def _move(x: Tensor, change: Augmentation, spacing_mm: tuple[float, float, float], mode: str) -> Tensor:
    flipped = mirror(x) if change.flip else x
    if change.in_plane_deg == 0:
        return flipped
    pose = rigid_matrix(torch.tensor([[0.0, 0.0, change.in_plane_deg]]), torch.zeros(1, 3))
    return warp(flipped[None].float(), pose, spacing_mm, mode=mode)[0].to(x.dtype)


class Augmented(Dataset[Any]):
    """Another data set with each sample (for T or for D and F) augmented by its own draw.

    spacing_mm: of the data set's voxels. aligned: the samples lie on the brain box with the mid-plane in the middle and
    are not rotated, since T would turn them back.
    """

    def __init__(self, dataset: Any, seed: int, spacing_mm: tuple[float, float, float], aligned: bool = False) -> None:
        self.dataset, self.seed, self.spacing_mm, self.aligned = dataset, seed, spacing_mm, aligned

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """Sample `index`, augmented."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index) * _STREAM)
        change = draw_augmentation(generator)
        if self.aligned:
            change = Augmentation(change.gamma, change.flip, 0.0)
        sample = self.dataset[index]
        if isinstance(sample, Sample):
            return augment(sample, change, self.spacing_mm)
        return PosedBrain(augment_brain(sample.brain, change, self.spacing_mm), UNKNOWN_POSE)
