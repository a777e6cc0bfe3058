"""Stage 'tissue': trains the network that labels GM, WM, CSF and the brain, on virtual heads with skull."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adn.config import Recipe
from adn.errors import InputError
from adn.feed.heads import HeadSample, VirtualHeads
from adn.losses.tissue import tissue_terms
from adn.nn.tissue import TissueNet
from adn.space.labels import TISSUES, TissueLabel
from adn.training.fit import Hooks, Machine, Stage, fit
from adn.training.objectives import Objective
from adn.training.sources import Source, library

NAMES = ("gm", "wm", "csf", "brain")


def fit_tissue(recipe: Recipe, source: Source, stage: Stage, machine: Machine, hooks: Hooks) -> TissueNet:
    """Train the tissue network of a recipe. Raises InputError for cases on disk: only virtual heads are used."""
    if source.data is not None:
        raise InputError(f"Recipe '{recipe.name}' learns from virtual patients only: give no `data`.")
    config, seed = stage.config, recipe.train.seed
    if config.batch_size != 1:
        raise InputError(
            f"train.tissue.batch_size must be 1, because heads differ in size, but is {config.batch_size}."
        )
    model, count = TissueNet(recipe.tissue), recipe.train.validation_samples
    heads = VirtualHeads(recipe, library(source, "train"), seed, config.max_epochs * config.epoch_samples)
    held_out = VirtualHeads(recipe, library(source, "val"), seed + 1, count)
    hooks = replace(hooks, validate=tissue_validator(model, held_out, count))
    fit(model, heads, tissue_objective(), stage, machine, hooks)
    return model


def collate_heads(samples: list[HeadSample]) -> HeadSample:
    """Stack heads of equal shape; batches hold one head, since heads differ in size."""
    return HeadSample(*(torch.stack(x) for x in zip(*samples, strict=True)))


def tissue_objective() -> Objective:
    """Cross-entropy and soft Dice of GM, WM, CSF and brain."""

    def objective(model: Any, batch: HeadSample, epoch: int) -> dict[str, Tensor]:
        logits = model(batch.ct)
        with torch.autocast(batch.ct.device.type, enabled=False):
            terms = tissue_terms(logits, batch.tissue, batch.brain)
        return {"loss": terms.loss, **terms._asdict()}

    return objective


def tissue_validator(model: TissueNet, held_out: Dataset[HeadSample], count: int) -> Callable[[int], dict[str, float]]:
    """Return a function that gives, each epoch, mean and worst Dice of the most probable class on held-out heads."""
    samples: list[HeadSample] = []

    def validate(epoch: int) -> dict[str, float]:
        if not samples:
            samples.extend(held_out[i] for i in range(count))
        device = next(model.parameters()).device
        with torch.no_grad():
            rows = [class_dices(model(s.ct[None].to(device))[0].cpu(), s) for s in samples]
        table = torch.tensor(rows)
        mean = {name: float(v) for name, v in zip(NAMES, table.mean(0), strict=True)}
        worst = {f"{name}_worst": float(v) for name, v in zip(NAMES, table.amin(0), strict=True)}
        return {**mean, **worst}

    return validate


def class_dices(logits: Tensor, sample: HeadSample) -> list[float]:
    """Dice of GM, WM, CSF and brain; logits (4, D, H, W)."""
    brain = logits.softmax(0)[0] < 0.5
    commonest = torch.where(brain, logits[1:].argmax(0) + TissueLabel.GM, TissueLabel.OUTSIDE)
    pairs = [(commonest == k, sample.tissue == k) for k in TISSUES] + [(brain, sample.brain)]
    return [float(2 * (a & b).sum() / (a.sum() + b.sum()).clamp(min=1)) for a, b in pairs]
