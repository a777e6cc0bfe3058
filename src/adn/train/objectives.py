"""What each stage minimises: an objective maps (model, batch, epoch) to named scalars, 'loss' among them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from adn.config import Recipe
from adn.data.samples import Sample
from adn.losses.alignment import mirror_difference, reconstruction_difference
from adn.losses.disentanglement import collapse_signs, disentanglement_terms
from adn.losses.segmentation import binary_cross_entropy, generalised_dice
from adn.nn.adn import ADN, AdnOutput
from adn.nn.align import AlignNet
from adn.warp import invert_rigid, warp

Objective = Callable[[Any, Any, int], dict[str, Tensor]]


def align_objective(recipe: Recipe) -> Objective:
    """L_T on T's coarse copy (eq. 1), divided by the brain's mean so that it does not depend on head size."""
    depth, height, width = recipe.grid.spacing_mm
    spacing = (depth, height * recipe.align.shrink, width * recipe.align.shrink)

    def objective(model: AlignNet, coarse: Tensor, epoch: int) -> dict[str, Tensor]:
        pose = model.from_coarse(coarse)
        with torch.autocast(coarse.device.type, enabled=False):
            coarse = coarse.float()
            aligned = warp(coarse, pose, spacing)
            loss = mirror_difference(aligned)
            if recipe.align.reconstruction:
                loss = loss + reconstruction_difference(coarse, aligned, pose, spacing)
            loss = (loss / coarse.mean((1, 2, 3, 4)).clamp(min=1e-3)).mean()
        return {"loss": loss}

    return objective


def segment_objective(recipe: Recipe, aligned: bool) -> Objective:
    """L_DF = L_F + λ L_D with the warm start (eq. 6). aligned: batches lie on the brain box already (else T runs)."""
    loss, grid = recipe.loss, recipe.grid
    grid_voxels = math.prod(grid.shape)

    def objective(model: ADN, batch: Sample, epoch: int) -> dict[str, Tensor]:
        brain, infarct, tissue = batch
        output, target, tissue = carry_sample(model, batch, aligned)
        with torch.autocast(brain.device.type, enabled=False):
            probability, reference = output.infarct_probability_aligned, target
            if loss.label_space == "input" and not aligned:
                probability = warp(probability, invert_rigid(output.pose), grid.spacing_mm, grid.shape)
                reference = infarct
            bce = binary_cross_entropy(probability, reference, grid_voxels).mean()
            dice = generalised_dice(probability, reference).mean()
            terms = disentanglement_terms(
                output.parts, target, tissue, grid_voxels, loss.size_target, loss.symmetric_mask, loss.intrinsic,
                loss.infarct_removal, model.network.polarity,
            )  # fmt: skip
            l_d = sum(
                (t.mean() for name, t in terms._asdict().items() if name != "tissue" or loss.tissue),
                brain.new_zeros(()),
            )
            total = bce + dice
            if epoch < loss.warm_start_epochs:
                gate = output.parts.gate
                warm = binary_cross_entropy(gate, target, grid_voxels).mean()
                if loss.warm_start_dice:
                    warm = warm + generalised_dice(gate, target).mean()
                total = total + loss.warm_start_weight * warm
                if not loss.warm_start_replaces_d:
                    total = total + loss.weight_d * l_d
            else:
                total = total + loss.weight_d * l_d
            scalars = {"loss": total, "bce": bce, "dice_loss": dice, "l_d": l_d}
            scalars |= {f"l_{name}": term.mean() for name, term in terms._asdict().items()}
            scalars |= {k: torch.tensor(v) for k, v in collapse_signs(output.parts, target).items()}
            wanted = target * output.parts.total_asymmetry if loss.size_target == "asymmetry" else target
            scalars["target_p"] = wanted.mean()  # for the collapse watch
            scalars["dice"] = _batch_dice(probability, reference)
        return scalars

    return objective


def carry_sample(model: ADN, batch: Sample, aligned: bool) -> tuple[AdnOutput, Tensor, Tensor]:
    """Run the networks, and have infarct and tissue on the aligned box too.

    aligned: the batch lies there already, else T's pose carries it.
    """
    brain, infarct, tissue = batch
    if aligned:
        return model.from_aligned(brain, torch.eye(4, device=brain.device).expand(len(brain), 4, 4)), infarct, tissue
    with torch.no_grad():
        pose = model.align(brain)
    output = model(brain, pose)
    grid = model.grid
    target = (warp(infarct, pose, grid.spacing_mm, grid.box) > 0.5).float()
    classes = nn.functional.one_hot(tissue[:, 0].long(), 4).movedim(-1, 1).float()
    return output, target, warp(classes, pose, grid.spacing_mm, grid.box).argmax(1, keepdim=True).to(torch.uint8)


def _batch_dice(probability: Tensor, reference: Tensor) -> Tensor:
    """Dice of the batch at 0.5, pooled over scans."""
    mask = probability > 0.5
    return 2 * (mask * reference).sum() / (mask.sum() + reference.sum()).clamp(min=1)
