"""Validation after each epoch, and pictures of sample results."""

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
FALSE_ML = 5.0  # a head without infarct counts as falsely called if at least this much is marked


def align_validator(
    model: AlignNet, samples: Sequence[PosedBrain], recipe: Recipe
) -> Callable[[int], dict[str, float]]:
    """Return a function that validates T after an epoch: its loss and the parts of it, on held-out samples.

    plane_mm is left out if the plane is not known. Without samples the function returns nothing.
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
    """Return a function that validates after an epoch, in aligned space, at 0.5.

    It gives the Dice of patients with infarct and the false positive mL of those without. aligned: samples are already
    on the brain box; otherwise T's pose is applied. Voxels excluded from all losses are not scored either. groups: the
    kind of each sample; the function then also gives, per kind, Dice or the median of false positive mL with the share
    of heads without infarct that have FALSE_ML or more, and `score`: the mean, over kinds, of Dice or of the share of
    heads with less. Without samples the function returns nothing.
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
        return found | _scores_by_kind(apart)

    return validate


def _scores_by_kind(apart: dict[str, list[float]]) -> dict[str, float]:
    """Dice or false positive mL of each kind of sample, and the overall score, as described in `validator`."""
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
    """Output for one sample and its reference, on the brain box, in the recipe's precision (`choose_precision`)."""
    device = next(model.parameters()).device
    batch = Sample(*(x.to(device) for x in collate([sample])))
    bf16 = choose_precision(recipe.train.precision, device) == "bf16"
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        return carry_sample(model, batch, aligned, recipe.loss.invisible)


def pictures(
    model: ADN | Baseline, samples: Sequence[Sample], aligned: bool, recipe: Recipe
) -> tuple[TrainingPicture, ...]:
    """Results for a few samples: those with infarct first, and one without if there is one."""
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
