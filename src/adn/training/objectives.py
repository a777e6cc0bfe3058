"""What each stage minimises: an objective maps (model, batch, epoch) to named scalars, including 'loss'."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from adn.config import GridConfig, LossConfig, Recipe
from adn.feed.samples import PosedBrain, Sample
from adn.losses.alignment import mirror_difference, plane_difference, reconstruction_difference
from adn.losses.disentanglement import collapse_signs, disentanglement_terms
from adn.losses.segmentation import (
    binary_cross_entropy,
    generalised_dice,
    over_levels,
    soft_dice,
)
from adn.nn.adn import ADN, AdnOutput, chosen_slices
from adn.nn.align import AlignNet
from adn.nn.baselines import Baseline
from adn.nn.released_tissue import TissueMaps
from adn.space.labels import TissueLabel
from adn.space.warp import invert_rigid, warp
from adn.training.slices import draw_slices

Objective = Callable[[Any, Any, int], dict[str, Tensor]]  # NaN scalars are left out of the log's means


def align_objective(recipe: Recipe) -> Objective:
    """L_T (eq. 1) on T's coarse copy; if the recipe says so, with ‖I − T⁻¹(X′)‖₁ added or divided by the brain's mean.

    `align.plane_weight` adds the distance of the plane from the known one (extension).
    """
    depth, height, width = recipe.grid.spacing_mm
    spacing = (depth, height * recipe.align.shrink, width * recipe.align.shrink)

    def objective(model: AlignNet, batch: PosedBrain, epoch: int) -> dict[str, Tensor]:
        coarse = batch.brain
        pose = model.from_coarse(coarse)
        with torch.autocast(coarse.device.type, enabled=False):
            coarse = coarse.float()
            aligned = warp(coarse, pose, spacing)
            loss = mirror_difference(aligned)
            if recipe.align.reconstruction:
                loss = loss + reconstruction_difference(coarse, aligned, pose, spacing)
            if recipe.align.per_brain:
                loss = loss / coarse.mean((1, 2, 3, 4)).clamp(min=1e-3)
            off_mm = plane_difference(pose, batch.pose.float())
            scalars = {"mirror": loss.mean().detach(), "plane_mm": off_mm.mean().detach()}
            return {"loss": (loss + recipe.align.plane_weight * off_mm).mean(), **scalars}

    return objective


def segment_objective(recipe: Recipe, aligned: bool, tissue_network: nn.Module | None = None) -> Objective:
    """L_DF = L_F + λ L_D with the warm start (eq. 6).

    aligned: batches are already on the brain box (else T runs). tissue_network: predicts the tissue maps from the
    aligned volume, replacing those of the batch. With `train.slices`, means over the model grid are taken over the
    corresponding share of it.
    """
    loss, slices = recipe.loss, recipe.train.slices
    share = slices / (recipe.grid.box or recipe.grid.shape)[0] if slices else 1
    grid_voxels = round(math.prod(recipe.grid.shape) * share)
    of_f, of_gate = partial(_l_f, loss), partial(_warm_start, loss)

    def objective(model: ADN, batch: Sample, epoch: int) -> dict[str, Tensor]:
        carried = carry_sample(model, batch, aligned, loss.invisible, slices)
        output, target, counted = carried.output, carried.infarct, carried.counted
        parts = output.parts
        tissue = carried.tissue if tissue_network is None else read_tissue(tissue_network, parts.aligned)
        with torch.autocast(batch.brain.device.type, enabled=False):
            probability, reference, scored = _in_label_space(recipe, batch, carried, aligned)
            voxels = (parts.aligned > 0).flatten(1).sum(1) if loss.cross_entropy_over == "brain" else grid_voxels
            bce = binary_cross_entropy(probability, reference, voxels, scored).mean()
            dice = dice_term(loss, probability, reference, scored)
            l_f = over_levels(loss.bce_weight * bce + dice, output.coarse_probabilities, target, counted, voxels, of_f)
            terms = disentanglement_terms(parts, target, tissue, grid_voxels, loss, recipe.network.polarity, counted)
            l_d = sum((t.mean() for name, t in terms._asdict().items() if name != "tissue" or loss.tissue), 0 * bce)
            warm = 0 * sum((gate.mean() for gate in output.coarse_gates), bce)  # torchrun needs all parameters
            gate_weight = loss.warm_start_weight if _is_warm(loss, epoch) else loss.gate_weight
            if gate_weight:
                warm = of_gate(parts.gate, target, counted, voxels)
                warm = over_levels(warm, output.coarse_gates, target, counted, voxels, of_gate)
            total = l_f + gate_weight * warm
            if not (_is_warm(loss, epoch) and loss.warm_start_replaces_d):
                total = total + loss.weight_d * l_d
            scalars = {"loss": total, "bce": bce, "dice_loss": dice, "l_d": l_d}
            scalars |= {f"l_{name}": term.mean() for name, term in terms._asdict().items()}
            scalars |= {k: torch.tensor(v) for k, v in collapse_signs(parts, target).items()}
            asked = target * parts.total_asymmetry if loss.size_target == "asymmetry" else target
            scalars["target_p"] = asked.mean()
            scalars["dice"] = batch_dice(probability, reference)
            if not bool(target.any()):  # without infarct these are undefined: NaN, which the log leaves out
                scalars |= {name: torch.tensor(math.nan) for name in ("dice", "p_inside", "q_inside")}
        return scalars

    return objective


def _is_warm(loss: LossConfig, epoch: int) -> bool:
    return epoch < loss.warm_start_epochs


def dice_term(loss: LossConfig, p: Tensor, reference: Tensor, counted: Tensor) -> Tensor:
    """Dice loss as `loss.l_f` says: generalised Dice of each scan, averaged, or Dice pooled over the batch."""
    if loss.l_f == "bce_batch_dice":
        return soft_dice(p, reference, counted, loss.dice_smooth)
    return generalised_dice(p, reference, counted).mean()


def _l_f(loss: LossConfig, p: Tensor, reference: Tensor, counted: Tensor, voxels: float | Tensor) -> Tensor:
    """L_F at a coarser level."""
    bce = binary_cross_entropy(p, reference, voxels, counted).mean()
    return loss.bce_weight * bce + dice_term(loss, p, reference, counted)


def _warm_start(loss: LossConfig, gate: Tensor, target: Tensor, counted: Tensor, voxels: float | Tensor) -> Tensor:
    """G supervises σ(D(X)), which is P where P is a probability, by cross-entropy, or by cross-entropy and Dice."""
    warm = loss.bce_weight * binary_cross_entropy(gate, target, voxels, counted).mean()
    return warm + dice_term(loss, gate, target, counted) if loss.warm_start_dice else warm


def _in_label_space(recipe: Recipe, batch: Sample, carried: Carried, aligned: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Probability, reference and counted voxels in the space of L_F: the aligned box, or the input."""
    probability = carried.output.infarct_probability_aligned
    if recipe.loss.label_space == "aligned" or aligned:
        return probability, carried.infarct, carried.counted
    grid, pose = recipe.grid, carried.output.pose
    home = warp(probability, invert_rigid(pose), grid.spacing_mm, grid.shape)
    return home, batch.infarct.clamp(min=0), which_count(batch.infarct, recipe.loss.invisible)


class Carried(NamedTuple):
    """The networks' output for a batch, and its labels in the same space, the aligned box.

    infarct: 0 or 1. tissue: `TissueLabel`. counted: 0 where the recipe excludes voxels from all losses, else 1.
    """

    output: AdnOutput
    infarct: Tensor
    tissue: Tensor
    counted: Tensor


def carry_sample(
    model: ADN | Baseline, batch: Sample, aligned: bool, invisible: str = "background", slices: int | None = None
) -> Carried:
    """Run the networks, and bring infarct and tissue to the aligned box as well.

    aligned: the batch is already there; otherwise T's pose is applied. invisible: as in `LossConfig`. slices: use only
    this many slices of each scan, drawn at random.
    """
    if slices:
        network = cast(ADN, model)  # possibly wrapped by Fabric; the recipe has checked that it is ADN
        return _carry_slices(network, batch if aligned else _align_batch(network, batch), invisible, slices)
    brain, infarct, tissue = batch
    counted, infarct = which_count(infarct, invisible), infarct.clamp(min=0)
    if aligned:
        output = model.from_aligned(brain, torch.eye(4, device=brain.device).expand(len(brain), 4, 4))
        return Carried(output, infarct, tissue, counted)
    with torch.no_grad():
        pose = model.align(brain)
    output = model(brain, pose)
    grid = model.grid
    marks = warp(torch.cat([infarct, 1 - counted], 1), pose, grid.spacing_mm, grid.box) > 0.5
    return Carried(output, marks[:, :1].float(), carry_tissue(tissue, pose, grid), 1 - marks[:, 1:].float())


def _align_batch(model: ADN, batch: Sample) -> Sample:
    """Bring a batch to the aligned box with T's pose."""
    grid = model.grid
    with torch.no_grad():
        pose = model.align(batch.brain)
        layers = torch.cat([batch.brain, (batch.infarct > 0).float(), (batch.infarct < 0).float()], 1)
        brain, infarct, silent = warp(layers, pose, grid.spacing_mm, grid.box).split(1, 1)
    marks = (infarct > 0.5).float() - (silent > 0.5).float()
    return Sample(brain, marks, carry_tissue(batch.tissue, pose, grid))


def _carry_slices(model: ADN, batch: Sample, invisible: str, count: int) -> Carried:
    """The networks' output and the labels for some slices of an aligned batch."""
    chosen = draw_slices(batch.brain, batch.infarct, count)
    infarct, tissue = chosen_slices(batch.infarct, chosen), chosen_slices(batch.tissue, chosen)
    pose = torch.eye(4, device=chosen.device).expand(len(chosen), 4, 4)
    output = model.from_aligned(batch.brain, pose, chosen)
    return Carried(output, infarct.clamp(min=0), tissue, which_count(infarct, invisible))


def which_count(infarct: Tensor, invisible: str) -> Tensor:
    """1 where voxels count in the losses: everywhere, or (`invisible` 'excluded') except where infarct is −1."""
    return (infarct >= 0).float() if invisible == "excluded" else torch.ones_like(infarct)


def carry_tissue(tissue: Tensor, pose: Tensor, grid: GridConfig) -> Tensor:
    """Labels (B, 1, D, H, W) resampled to the aligned box: one-hot, linear interpolation, then the largest."""
    classes = nn.functional.one_hot(tissue[:, 0].long(), len(TissueLabel)).movedim(-1, 1).float()
    return warp(classes, pose, grid.spacing_mm, grid.box).argmax(1, keepdim=True).to(torch.uint8)


def tissue_maps_objective(recipe: Recipe, aligned: bool) -> Objective:
    """Cross-entropy for the network that learns the cases' tissue maps on the aligned volume (as in the released code).

    Its batches are those of D and F; brain voxels of unknown tissue are ignored.
    """
    grid = recipe.grid

    def objective(model: TissueMaps, batch: Sample, epoch: int) -> dict[str, Tensor]:
        brain, _, tissue = batch
        if not aligned:
            with torch.no_grad():
                pose = model.align(brain)
            brain, tissue = warp(brain, pose, grid.spacing_mm, grid.box), carry_tissue(tissue, pose, grid)
        logits = model(brain)
        with torch.autocast(brain.device.type, enabled=False):
            known = (tissue != TissueLabel.OUTSIDE) | (brain == 0)
            loss = nn.functional.cross_entropy(logits.float(), tissue[:, 0].long(), reduction="none")[:, None]
            loss = (loss * known).sum() / known.sum().clamp(min=1)
        return {"loss": loss}

    return objective


def read_tissue(network: nn.Module, aligned: Tensor) -> Tensor:
    """Tissue labels (B, 1, D, H, W), uint8, predicted from the aligned volume without gradients."""
    with torch.no_grad():
        return network(aligned).argmax(1, keepdim=True).to(torch.uint8)


def batch_dice(probability: Tensor, reference: Tensor) -> Tensor:
    """Dice of the batch at 0.5, pooled over scans."""
    mask = probability > 0.5
    return 2 * (mask * reference).sum() / (mask.sum() + reference.sum()).clamp(min=1)
