"""Check that each row of the benchmark can learn at all: train on four patients until its Dice on them exceeds 0.9.

    python benchmarks/studies/overfit.py RECIPE --data DIR [--split FILE] [--rows NAME...] [--patients 4] [--steps 600]
        [--rate 2e-3]

RECIPE: as for `adn benchmark`, with [train.mix]. DIR: teknofest/ as `tools/real_cases.py` writes it. The patients are
the split's training patients with the darkest infarcts of 10 mL or more, on the brain box or, for rows that do not
align, unaligned; nothing is augmented. Prints each row's Dice as it learns, then a Markdown table.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from adn.config import Recipe
from adn.datasets.layouts import Case
from adn.feed.aligned import ensure_aligned, ensure_pose, load_aligned, load_pose
from adn.feed.cases import choose_cases
from adn.feed.mix import contrast_hu
from adn.feed.samples import Sample, collate
from adn.feed.unaligned import unaligned
from adn.nn.baselines import build_model
from adn.recipes import load_recipe, row_names, row_recipe
from adn.training.fit import Hooks, Machine, Stage, fit
from adn.training.stages import segment_task
from adn.training.validate import validator

SPLIT = Path(__file__).parents[1] / "splits" / "teknofest.csv"
EVERY = 25  # steps between validations
LEARNED = 0.9
LEAST_ML = 10.0


class Learned(Exception):
    """A row has learned its patients."""


class Repeated(Dataset[Sample]):
    """A few samples, again and again."""

    def __init__(self, samples: list[Sample], count: int) -> None:
        self.samples, self.count = samples, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index % len(self.samples)]


def patients(recipe: Recipe, data: Path, split: Path, count: int) -> list[tuple[Case, Path]]:
    """The cases with the darkest large infarcts, one per patient, and their aligned files."""
    found = []
    voxel_ml = math.prod(recipe.grid.spacing_mm) / 1000
    for case in choose_cases(data, split).train:
        path = ensure_aligned(case, recipe.grid, recipe.train.mix.align_with)[0]
        sample = load_aligned(path)
        if float((sample.infarct > 0).sum()) * voxel_ml >= LEAST_ML:
            found.append((contrast_hu(sample, recipe.grid), case, path))
    found.sort(key=lambda one: -one[0])
    subjects: dict[str, tuple[Case, Path]] = {}
    for _, case, path in found:
        subjects.setdefault(case.subject, (case, path))
    return list(subjects.values())[:count]


def learn(row: str, recipe: Recipe, samples: list[Sample], steps: int) -> tuple[int, float, float]:
    """Train until learned, but at most `steps` steps; returns steps taken, Dice, CPU seconds."""
    torch.manual_seed(recipe.train.seed)
    model = build_model(recipe)
    model.align.requires_grad_(False)
    batch = recipe.train.segment.batch_size
    update = {"epoch_samples": EVERY * batch, "max_epochs": math.ceil(steps / EVERY), "average_steps": 0,
              "poly_power": 0.0}  # fmt: skip
    config = recipe.train.segment.model_copy(update=update)
    data: Any = Repeated(samples, steps * batch + EVERY * batch)
    data, objective = segment_task(model, data, recipe, aligned=True)
    score = validator(model, samples, True, recipe)
    reached = [(0, 0.0)]

    def look(epoch: int) -> dict[str, float]:
        found = score(epoch)
        reached.append((epoch * EVERY, found["dice"]))
        print(f"{row}: step {epoch * EVERY}, Dice {found['dice']:.3f}", flush=True)
        if found["dice"] > LEARNED:
            raise Learned
        return found

    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage("segment", Path(folder), config, collate, recipe.train.precision)
        with contextlib.suppress(Learned):
            fit(model, data, objective, stage, Machine("cpu"), Hooks(validate=look))
    step, dice = max(reached, key=lambda one: one[1])
    return step, dice, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", type=Path, default=SPLIT, help="CSV of cases; default: the fixed one")
    parser.add_argument("--rows", nargs="+", default=row_names())
    parser.add_argument("--patients", type=int, default=4)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rate", type=float, default=2e-3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    base = load_recipe(arguments.recipe)
    chosen = patients(base, arguments.data, arguments.split, arguments.patients)
    lines = []
    for row in arguments.rows:
        recipe = row_recipe(base, row)
        segment = recipe.train.segment.model_copy(update={"learning_rate": arguments.rate})
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"segment": segment})})
        samples = [load_aligned(path) for _, path in chosen]
        if not recipe.align.apply:
            for case, path in chosen:
                ensure_pose(case, path, base.grid, base.train.mix.align_with)
            poses = [load_pose(path) for _, path in chosen]
            samples = [unaligned(sample, pose, recipe.grid) for sample, pose in zip(samples, poses, strict=True)]
        step, dice, seconds = learn(row, recipe, samples, arguments.steps)
        lines.append(f"| {row} | {dice:.3f} | {step} | {seconds:.0f} |")
    print("\n".join(["| row | Dice | steps | CPU s |", "|---|---:|---:|---:|", *lines]))


if __name__ == "__main__":
    main()
