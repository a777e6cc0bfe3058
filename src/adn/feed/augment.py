"""The released code's augmentation: drawn as plain numbers from (seed, index), then applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adn.feed.samples import UNKNOWN_POSE, PosedBrain, Sample
from adn.space.warp import mirror, rigid_matrix, warp

GAMMA = 0.25  # intensities in [0, 1] to a power of 1 ± this
IN_PLANE_DEG = 10.0
_STREAM = 7919  # apart from the seeds that patients are drawn with


@dataclass(frozen=True)
class Augmentation:
    """gamma: power of the intensities. flip: left-right. in_plane_deg: rotation about the grid's centre."""

    gamma: float
    flip: bool
    in_plane_deg: float


def draw_augmentation(generator: torch.Generator) -> Augmentation:
    """gamma 1 ± 0.25, a flip every other time, in-plane rotation ± 10°, all uniform."""
    u = torch.rand(3, generator=generator).tolist()
    return Augmentation(1 + GAMMA * (2 * u[0] - 1), u[1] < 0.5, IN_PLANE_DEG * (2 * u[2] - 1))


def augment_brain(brain: Tensor, change: Augmentation, spacing_mm: tuple[float, float, float]) -> Tensor:
    """A brain (1, D, H, W) in [0, 1]: gamma, flip, rotation (linear, 0 outside)."""
    return _move(brain.pow(change.gamma), change, spacing_mm, "bilinear")


def augment(sample: Sample, change: Augmentation, spacing_mm: tuple[float, float, float]) -> Sample:
    """The brain, and its labels moved with it (nearest)."""
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
    """Another data set, each of its samples (or T's brains) changed by its own draw.

    spacing_mm: of the data set's voxels. aligned: samples lie on the brain box with the mid-plane in the middle, so
    they are not rotated: T would turn them back.
    """

    def __init__(self, dataset: Any, seed: int, spacing_mm: tuple[float, float, float], aligned: bool = False) -> None:
        self.dataset, self.seed, self.spacing_mm, self.aligned = dataset, seed, spacing_mm, aligned

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """Sample `index`, changed."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index) * _STREAM)
        change = draw_augmentation(generator)
        if self.aligned:
            change = Augmentation(change.gamma, change.flip, 0.0)
        sample = self.dataset[index]
        if isinstance(sample, Sample):
            return augment(sample, change, self.spacing_mm)
        return PosedBrain(augment_brain(sample.brain, change, self.spacing_mm), UNKNOWN_POSE)
