"""Data and loss of the competing methods: cross-entropy and Dice of one network, at every supervised depth."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from adn.config import Recipe
from adn.feed.augment_nnunet import NnUnetAugmented
from adn.feed.patches import Boxed, Patches
from adn.feed.samples import Sample
from adn.losses.segmentation import binary_cross_entropy, soft_dice
from adn.nn.baselines import Baseline
from adn.nn.baselines.nnunet import patch_plan
from adn.space.warp import warp
from adn.training.objectives import Objective, batch_dice, dice_term, which_count


def baseline_data(dataset: Any, recipe: Recipe, model: Baseline, aligned: bool) -> Any:
    """The training samples as a method uses them: with its augmentation, and cut into pieces of the box if needed.

    aligned: samples are already on the box.
    """
    train, grid = recipe.train, recipe.grid
    if not recipe.align.apply and not aligned:
        dataset = Boxed(dataset, grid)
    if train.augment in ("nnunet", "intensity"):
        dataset = NnUnetAugmented(dataset, train.seed, grid.spacing_mm, spatial=train.augment == "nnunet")
    if not train.patches.used:
        return dataset
    size = patch_plan(recipe).size if recipe.method == "nnunet" else train.patches.size
    context = getattr(model.segment, "context", (0, 0, 0))
    patches = train.patches
    assert size  # only nnunet has patches by share
    return Patches(dataset, train.seed, size, context, patches.per_sample, patches.infarct_share)


def baseline_objective(recipe: Recipe, aligned: bool) -> Objective:
    """L_F of one network, on the box (where T brings the sample) or on pieces of it.

    aligned: batches are already on the box. Supervised depths are weighted 1, ½, ¼ and so on, normalised.
    """
    pieces, voxels = recipe.train.patches.used, math.prod(recipe.grid.shape)

    def objective(model: Baseline, batch: Sample, epoch: int) -> dict[str, Tensor]:
        if pieces:  # (B, n, D, H, W)
            batch = Sample(*(x.flatten(0, 1)[:, None] for x in batch))
        brain, infarct, counted = _on_box(model, batch, recipe, aligned or not recipe.align.apply)
        found = model.logits(brain, not pieces)
        with torch.autocast(brain.device.type, enabled=False):
            weights = [2.0**-depth for depth in range(len(found))]
            over_brain = recipe.loss.cross_entropy_over == "brain" and not pieces
            over = (brain > 0).flatten(1).sum(1) if over_brain else voxels
            parts = [_terms(logits, infarct, counted, recipe, over) for logits in found]
            loss = sum(w * sum(part) for w, part in zip(weights, parts, strict=True)) / sum(weights)
            bce, dice_loss = parts[0]
            scalars = {"loss": loss, "bce": bce, "dice_loss": dice_loss}
            dice = batch_dice(torch.sigmoid(found[0].float()) * counted, infarct)
            scalars["dice"] = dice if bool(infarct.any()) else torch.tensor(math.nan)
        return scalars  # type: ignore[return-value]

    return objective


def _on_box(model: Baseline, batch: Sample, recipe: Recipe, there: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Brain, infarct (0 or 1) and counted voxels, on the box."""
    counted, infarct = which_count(batch.infarct, recipe.loss.invisible), batch.infarct.clamp(min=0)
    if there:
        return batch.brain, infarct, counted
    with torch.no_grad():
        pose = model.align(batch.brain)
        grid = recipe.grid
        carried = warp(torch.cat([batch.brain, infarct, 1 - counted], 1), pose, grid.spacing_mm, grid.box)
    marks = (carried[:, 1:] > 0.5).float()
    return carried[:, :1], marks[:, :1], 1 - marks[:, 1:]


def _terms(
    logits: Tensor, infarct: Tensor, counted: Tensor, recipe: Recipe, voxels: int | Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and Dice as `loss.l_f` says; the competitors' own cross-entropy is a mean over what is scored."""
    probability, loss = torch.sigmoid(logits.float()), recipe.loss
    if loss.l_f in ("bce_generalised_dice", "bce_batch_dice"):
        bce = binary_cross_entropy(probability, infarct, voxels, counted).mean()
        return loss.bce_weight * bce, dice_term(loss, probability, infarct, counted)
    bce = binary_cross_entropy(probability, infarct, infarct[0].numel(), counted).mean()
    dice = soft_dice(probability, infarct, counted) if loss.l_f == "bce_dice" else 0 * bce
    return bce, dice
