"""L_F: binary cross-entropy and generalised Dice (paper, eq. 4 and section 2), per scan, in fp32."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-6


def binary_cross_entropy(
    probability: Float[Tensor, "b 1 d h w"],
    reference: Float[Tensor, "b 1 d h w"],
    grid_voxels: int,
    counted: Float[Tensor, "b 1 d h w"] | None = None,
) -> Float[Tensor, " b"]:
    """BCE summed over the volume and divided by the voxels of the model grid (outside a box both are 0).

    counted: 0 where a voxel adds nothing, else 1; None: every voxel counts.
    """
    p = probability.float().clamp(EPSILON, 1 - EPSILON)
    terms = -(reference * p.log() + (1 - reference) * (1 - p).log())
    if counted is not None:
        terms = terms * counted
    return terms.sum((1, 2, 3, 4)) / grid_voxels


def soft_dice(
    probability: Float[Tensor, "b 1 d h w"],
    reference: Float[Tensor, "b 1 d h w"],
    counted: Float[Tensor, "b 1 d h w"] | None = None,
) -> Float[Tensor, ""]:
    """1 − Dice of the infarct, pooled over the batch (nnU-Net's batch Dice); for baselines. counted: as above."""
    p = probability.float() if counted is None else probability.float() * counted
    overlap, total = (p * reference).sum(), (p + reference).sum()
    return 1 - 2 * overlap / total.clamp(min=1e-5)


def generalised_dice(
    probability: Float[Tensor, "b 1 d h w"],
    reference: Float[Tensor, "b 1 d h w"],
    counted: Float[Tensor, "b 1 d h w"] | None = None,
) -> Float[Tensor, " b"]:
    """Generalised Dice loss (Sudre et al. 2017) of two classes, infarct and background, in [0, 1].

    Class weights 1 / (reference volume)². Exactly 0 for a scan without infarct, which contributes BCE only. counted: as
    in `binary_cross_entropy`.
    """
    two_p = torch.cat([probability, 1 - probability], 1).float().flatten(2)
    two_g = torch.cat([reference, 1 - reference], 1).float().flatten(2)
    if counted is not None:
        two_p, two_g = two_p * counted.flatten(2), two_g * counted.flatten(2)
    volume = two_g.sum(2)
    weight = 1 / volume.clamp(min=1.0).square()
    overlap = (weight * (two_p * two_g).sum(2)).sum(1)
    total = (weight * (two_p + two_g).sum(2)).sum(1)
    loss = 1 - 2 * overlap / total.clamp(min=1e-12)
    return torch.where(volume[:, 0] > 0, loss, torch.zeros_like(loss))
