"""Whether bf16 learns what fp32 does from nothing: gradients compared step by step, and Dice on the same validation.

    python benchmarks/studies/precision.py RECIPE OUT --data DIR --split CSV --heads DIR --heads-split CSV
        [--fold 0] [--anatomy DIR --lesions DIR] [--rows clerigues] [--seeds 0 1 2] [--steps 160] [--every 4]

RECIPE: as for `adn benchmark`, with [train.mix]; OUT keeps its pool of virtual patients and each run's log. Every row
is trained in both precisions with every seed, on the same samples. At every fourth step the gradient is computed in
both, at the same weights and on the same batch. Prints a line a run: the cosine between both gradients (the median and
the lowest of these steps), the ratio of their norms (bf16 to fp32, median), and validation Dice at each look.
"""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adn.config import Recipe
from adn.feed.aligned import load_aligner
from adn.feed.samples import collate
from adn.nn.baselines import build_model
from adn.nn.precision import spare_two_slices
from adn.recipes import load_recipe, row_names, row_recipe
from adn.training.fit import Hooks, Machine, Stage, fit
from adn.training.logbook import read_log
from adn.training.objectives import Objective
from adn.training.sources import Source, open_sets
from adn.training.stages import segment_task
from adn.training.validate import validator


@dataclass
class Compared:
    """An objective that also notes, at every n-th step, how the gradients of both precisions agree."""

    objective: Objective
    every: int
    steps: int = 0
    cosines: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    def __call__(self, model: Any, batch: Any, epoch: int) -> dict[str, Tensor]:
        """The scalars of the objective, in the precision of the stage."""
        if self.steps % self.every == 0:
            network = getattr(model, "module", model)  # without Fabric, which sets the precision of its own
            state = torch.get_rng_state()
            right, quick = (self._gradient(network, batch, epoch, quick) for quick in (False, True))
            torch.set_rng_state(state)
            self.cosines.append(float(torch.nn.functional.cosine_similarity(right, quick, 0)))
            self.ratios.append(float(quick.norm() / right.norm()))
        self.steps += 1
        return self.objective(model, batch, epoch)

    def _gradient(self, network: nn.Module, batch: Any, epoch: int, quick: bool) -> Tensor:
        torch.manual_seed(self.steps)  # of dropout
        with torch.autocast("cpu", torch.bfloat16, enabled=quick):
            loss = self.objective(network, batch, epoch)["loss"]
        weights = [one for one in network.parameters() if one.requires_grad]
        parts = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        return torch.cat([part.flatten().double() for part in parts])


class Enough(Exception):
    """The steps that were asked for are done."""


def run(recipe: Recipe, source: Source, out: Path, precision: str, compared_every: int, steps: int) -> str:
    """Train one row for its first steps, with the schedule of the whole training; its line of the table."""
    seed = recipe.train.seed
    torch.manual_seed(seed)
    model = build_model(recipe)
    if recipe.align.apply:
        model.align.load_state_dict(load_aligner(recipe.train.mix.align_with).network.state_dict())
    model.align.requires_grad_(False)
    sets = open_sets(recipe, source, out / "patients")
    data, objective = segment_task(model, sets.training, recipe, sets.aligned)
    if precision == "fp32":
        spare_two_slices(model)  # `fit` does so for bf16 alone
    compared = Compared(objective, compared_every)

    def stop(_: str, step: int, __: int, ___: Any) -> None:
        if step > steps:
            raise Enough

    folder = out / f"{recipe.name}-{seed}-{precision}"
    stage = Stage("segment", folder, recipe.train.segment, collate, precision, seed, "score")
    hooks = Hooks(stop, validator(model, sets.validation, sets.aligned, recipe, sets.groups))
    with contextlib.suppress(Enough):
        fit(model, data, compared, stage, Machine("cpu"), hooks)
    looks = " ".join(f"{float(row['val_dice']):.3f}" for row in read_log(folder / "log.csv"))
    cosines = compared.cosines
    cells = (f"{np.median(cosines):.4f}", f"{min(cosines):.4f}", f"{np.median(compared.ratios):.3f}", looks)
    return " | ".join(("", recipe.name, str(seed), precision, *cells, "")).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("out", type=Path)
    for name in ("data", "split", "heads", "heads-split"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("anatomy", "lesions"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--fold", type=int)
    parser.add_argument("--rows", nargs="+", choices=row_names(), default=["clerigues"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--every", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    base = load_recipe(arguments.recipe)
    source = Source(
        arguments.data, arguments.anatomy, arguments.lesions, arguments.split, arguments.fold,
        arguments.heads, arguments.heads_split,
    )  # fmt: skip
    print("| row | seed | precision | cosine, median | lowest | ratio of norms | Dice at each look |")
    print("|---|--:|---|--:|--:|--:|---|")
    for row in arguments.rows:
        for seed in arguments.seeds:
            recipe = row_recipe(base, row)
            recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": seed})})
            for precision in ("fp32", "bf16"):
                print(run(recipe, source, arguments.out, precision, arguments.every, arguments.steps), flush=True)


if __name__ == "__main__":
    main()
