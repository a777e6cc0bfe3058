"""L_F: binary cross-entropy and generalised Dice (paper, eq. 4 and section 2), per scan, in fp32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

EPSILON = 1e-6
# (probability, reference, counted, number of voxels that cross-entropy is averaged over) → loss
LevelLoss = Callable[[Tensor, Tensor, Tensor, float | Tensor], Tensor]


def binary_cross_entropy(
    probability: Float[Tensor, "b 1 d h w"],
    reference: Float[Tensor, "b 1 d h w"],
    grid_voxels: int | float | Shaped[Tensor, " b"],
    counted: Float[Tensor, "b 1 d h w"] | None = None,
) -> Float[Tensor, " b"]:
    """BCE summed over the volume and divided by `grid_voxels` (outside the box, probability and reference are 0).

    grid_voxels: voxels of the model grid, or of each scan's brain for a mean that does not depend on the air around it.
    counted: 1 where a voxel counts, 0 where it adds nothing; None: every voxel counts.
    """
    return _cross_entropy(probability, reference, counted).sum((1, 2, 3, 4)) / grid_voxels


def _cross_entropy(probability: Tensor, reference: Tensor, counted: Tensor | None) -> Tensor:
    """BCE of every voxel."""
    p = probability.float().clamp(EPSILON, 1 - EPSILON)
    terms = -(reference * p.log() + (1 - reference) * (1 - p).log())
    return terms if counted is None else terms * counted


def soft_dice(
    probability: Float[Tensor, "b 1 d h w"],
    reference: Float[Tensor, "b 1 d h w"],
    counted: Float[Tensor, "b 1 d h w"] | None = None,
    smooth: float = 0.0,
) -> Float[Tensor, ""]:
    """1 − Dice of the infarct, pooled over the batch (nnU-Net's batch Dice).

    counted: as in `binary_cross_entropy`. smooth: voxels added to numerator and denominator, so that in a batch without
    infarct the loss falls as less volume is marked.
    """
    p = probability.float() if counted is None else probability.float() * counted
    overlap, total = (p * reference).sum(), (p + reference).sum()
    return 1 - (2 * overlap + smooth) / (total + smooth).clamp(min=1e-5)


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


def over_levels(
    finest: Float[Tensor, ""],
    coarser: Sequence[Float[Tensor, "b 1 _ _ _"]],
    reference: Float[Tensor, "b 1 d h w"],
    counted: Float[Tensor, "b 1 d h w"],
    grid_voxels: int | float | Shaped[Tensor, " b"],
    loss: LevelLoss,
) -> Float[Tensor, ""]:
    """Deep supervision: the mean of the losses of all levels, weighted 1, ½, ¼ … from the finest.

    coarser: probabilities, finest first, whose sides divide the reference's. A coarse voxel is infarct if any of it is,
    so that small infarcts are scored at every level; it counts if all of it does.
    """
    losses = [finest]
    for probability in coarser:
        sides, share = probability.shape[2:], probability.numel() / reference.numel()
        infarct, left_out = (F.adaptive_max_pool3d(x, sides) for x in (reference, 1 - counted))
        losses.append(loss(probability, infarct, 1 - left_out, grid_voxels * share))
    weights = [2.0**-level for level in range(len(losses))]
    return sum(w * x for w, x in zip(weights, losses, strict=True)) / sum(weights)  # type: ignore[return-value]
