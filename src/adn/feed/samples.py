"""Samples and batches: the form in which patients enter training."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from adn.config import GridConfig
from adn.virtual.blur import blur


class Sample(NamedTuple):
    """One patient. brain: (1, D, H, W) in [0, 1]; infarct: float 0 or 1; tissue: uint8, `TissueLabel`.

    infarct is −1 where nothing is scored, for example infarct visible only in other images (AISD's label 4).
    Aligned samples lie on the brain box, with the mid-sagittal plane in the middle; others lie on the model grid.
    """

    brain: Tensor
    infarct: Tensor
    tissue: Tensor


class PosedBrain(NamedTuple):
    """A training sample of T. brain: (1, D, H, W) on T's coarse copy of the model grid. pose: (4, 4), mm, the pose T
    should find; NaN if the mid-sagittal plane is not known."""

    brain: Tensor
    pose: Tensor


UNKNOWN_POSE = torch.full((4, 4), math.nan)


def deskull(ct: Tensor, brain: Tensor, grid: GridConfig, mask_error_mm: float = 0.0) -> Tensor:
    """Window a virtual CT (D, H, W) in HU to [0, 1] inside its brain mask.

    mask_error_mm: moves the mask's edge in plane. Bone that partial volume leaves inside is removed, as a skull
    stripper does.
    """
    lower, upper = grid.window_hu
    mask = brain
    if mask_error_mm:
        sigma = 2.5 / grid.spacing_mm[1]
        soft = blur(brain.float()[None, None], (0.0, sigma, sigma))[0, 0]
        mask = soft > 0.5 - 0.16 * mask_error_mm
    mask = mask & (ct < 100) & (ct > -30)
    return ((ct - lower) / (upper - lower)).clamp(0, 1) * mask


Sampled = TypeVar("Sampled", Sample, PosedBrain)


def collate(samples: list[Sampled]) -> Sampled:
    """Stack samples, or samples of T, into a batch (B, 1, D, H, W)."""
    return type(samples[0])(*(torch.stack(x) for x in zip(*samples, strict=True)))


def shrink_in_plane(x: Tensor, factor: int) -> Tensor:
    """Average (D, H, W) over factor × factor pixels."""
    return F.avg_pool2d(x[:, None], factor)[:, 0] if factor > 1 else x
