"""Validation after each epoch, and the samples that pictures are drawn of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from adn.config import Recipe
from adn.feed.samples import PosedBrain, Sample, collate
from adn.nn.adn import ADN
from adn.nn.align import AlignNet
from adn.nn.baselines import Baseline
from adn.nn.precision import choose_precision
from adn.results import TrainingPicture
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.training.objectives import Carried, align_objective, carry_sample

PICTURES = 4
FALSE_ML = 5.0  # a head without infarct in which as much is marked was called wrongly


def align_validator(
    model: AlignNet, samples: Sequence[PosedBrain], recipe: Recipe
) -> Callable[[int], dict[str, float]]:
    """After each epoch: what T minimises, on samples it does not train on; with what that is made of.

    plane_mm is left out where the plane is not known. Gives nothing without samples.
    """
    objective = align_objective(recipe)

    def validate(epoch: int) -> dict[str, float]:
        rows = []
        for sample in samples:
            batch = PosedBrain(*(x.to(next(model.parameters()).device) for x in collate([sample])))
            with torch.no_grad():
                scalars = objective(model, batch, epoch)
            known = not bool(sample.pose.isnan().any())
            rows.append({name: float(x) for name, x in scalars.items() if known or name != "plane_mm"})
        return {name: sum(row[name] for row in rows) / len(rows) for name in (rows[0] if rows else ())}

    return validate


def validator(
    model: ADN | Baseline, samples: Sequence[Sample], aligned: bool, recipe: Recipe, groups: Sequence[str] = ()
) -> Callable[[int], dict[str, float]]:
    """After each epoch: Dice at 0.5 of the patients with infarct, false positive mL of those without (aligned space).

    aligned: samples lie on the brain box already, else T's pose puts them there. What the recipe lets no loss
    look at is not scored either. groups: what each sample is called; then Dice, and the median of false positive mL,
    are given for each kind apart, too, with the share of heads without infarct with FALSE_ML or more, and `score`: the
    mean over kinds of Dice, and of the share of heads with less. Gives nothing without samples.
    """
    depth, height, width = model.grid.spacing_mm
    voxel_ml = depth * height * width / 1000

    def validate(epoch: int) -> dict[str, float]:
        dices, false_ml = [], []
        apart: dict[str, list[float]] = {}
        for place, sample in enumerate(samples):
            carried = infer(model, sample, aligned, recipe)
            infarct = carried.infarct * carried.counted
            mask = (carried.output.infarct_probability_aligned > 0.5) & (carried.counted > 0)
            if infarct.any():
                score, name = float(2 * (mask * infarct).sum() / (mask.sum() + infarct.sum())), "dice"
                dices.append(score)
            else:
                score, name = float(mask.sum()) * voxel_ml, "false_positive_ml"
                false_ml.append(score)
            if groups:
                apart.setdefault(f"{name}_{groups[place]}", []).append(score)
        found: dict[str, float] = {}
        if dices:
            found |= {"dice": sum(dices) / len(dices), "dice_median": float(np.median(dices))}
        if false_ml:
            found["false_positive_ml"] = sum(false_ml) / len(false_ml)
        return found | _of_kinds(apart)

    return validate


def _of_kinds(apart: dict[str, list[float]]) -> dict[str, float]:
    """Dice and false positive mL of each kind of sample, and the score of all, as `validator` gives them."""
    found: dict[str, float] = {}
    scores = []
    for name, values in apart.items():
        if name.startswith("dice"):
            found[name] = float(np.mean(values))
            scores.append(found[name])
        else:
            found[name] = float(np.median(values))
            called = float(np.mean(np.array(values) >= FALSE_ML))
            found[name.replace("false_positive_ml", "falsely_called")] = called
            scores.append(1 - called)
    if scores:
        found["score"] = sum(scores) / len(scores)
    return found


def infer(model: ADN | Baseline, sample: Sample, aligned: bool, recipe: Recipe) -> Carried:
    """Output of one sample and its reference on the brain box, in the recipe's precision (`choose_precision`)."""
    device = next(model.parameters()).device
    batch = Sample(*(x.to(device) for x in collate([sample])))
    bf16 = choose_precision(recipe.train.precision, device) == "bf16"
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        return carry_sample(model, batch, aligned, recipe.loss.invisible)


def pictures(
    model: ADN | Baseline, samples: Sequence[Sample], aligned: bool, recipe: Recipe
) -> tuple[TrainingPicture, ...]:
    """What the networks make of a few samples: those with infarct first, and one without if there is one."""
    ill = [i for i, sample in enumerate(samples) if (sample.infarct > 0).any()]
    well = [i for i in range(len(samples)) if i not in ill][:1]
    return tuple(_picture(model, samples[i], aligned, recipe) for i in [*ill[: PICTURES - len(well)], *well])


def _picture(model: ADN | Baseline, sample: Sample, aligned: bool, recipe: Recipe) -> TrainingPicture:
    output, infarct, *_ = infer(model, sample, aligned, recipe)
    parts = output.parts
    grid = Grid.centred(parts.aligned.shape[2:], recipe.grid.spacing_mm)  # type: ignore[arg-type]
    lower, upper = recipe.grid.window_hu

    def volume(x: Tensor, unit: str = "1", scale: float = 1.0, offset: float = 0.0) -> Volume:
        return Volume(x[0, 0].float().cpu().numpy() * scale + offset, grid, unit)

    return TrainingPicture(
        aligned=volume(parts.aligned, "HU", upper - lower, lower),
        asymmetry_total=volume(parts.total_asymmetry, "HU", upper - lower),
        asymmetry_pathological=volume(parts.pathological_asymmetry, "HU", upper - lower),
        asymmetry_intrinsic=volume(parts.intrinsic_asymmetry, "HU", upper - lower),
        salient=volume(parts.salient, "HU", upper - lower, lower),
        infarct_probability=volume(output.infarct_probability_aligned),
        reference=volume(infarct, "label"),
    )
