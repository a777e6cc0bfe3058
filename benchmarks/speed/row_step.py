"""CPU seconds and peak memory of a training step of each row of the benchmark, on one thread; a Markdown table.

    python benchmarks/speed/row_step.py RECIPE [--rows NAME...] [--steps 3] [--width 8]

A step is forward and backward through D and F, or through a row's single network, and AdamW; samples are random numbers
made beforehand. CPU seconds of the process are counted, so that other work on the machine hardly matters. --width:
channels at the finest level, in place of the recipe's. Each row runs in a separate process; the first step is left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from adn.config import Recipe
from adn.recipes import load_recipe, recipe_from_dict, row_names, row_recipe


def narrowed(recipe: Recipe, width: int | None) -> Recipe:
    """The recipe with `width` channels at the finest level, doubling at each coarser level."""
    if width is None:
        return recipe
    values = recipe.model_dump()
    values["network"]["channels"] = [width * 2**level for level in range(len(recipe.network.channels))]
    return recipe_from_dict(values)


def measure(recipe: Recipe, steps: int) -> dict[str, float]:
    """Train `steps` + 1 steps in this process; CPU seconds of a step, forward of one case, peak GiB, parameters."""
    import torch

    from adn.feed.samples import Sample, collate
    from adn.nn.baselines import build_model
    from adn.training.fit import Hooks, Machine, Stage, fit
    from adn.training.stages import segment_task
    from adn.training.validate import infer

    torch.set_num_threads(1)
    config = recipe.train.segment
    config = config.model_copy(update={"epoch_samples": config.batch_size * (steps + 1), "max_epochs": 1})
    generator = torch.Generator().manual_seed(0)
    shape = (1, *(recipe.grid.box or recipe.grid.shape))
    infarct = torch.zeros(shape)
    infarct[:, 10:16, 20:40, 20:35] = 1
    tissue = torch.randint(0, 4, shape, generator=generator, dtype=torch.uint8)
    samples: Any = [Sample(torch.rand(shape, generator=generator), infarct, tissue)] * 1000
    model = build_model(recipe)
    model.align.requires_grad_(False)
    data, objective = segment_task(model, samples, recipe, aligned=True)
    times = [time.process_time()]
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage("segment", Path(folder), config, collate, recipe.train.precision)
        fit(model, data, objective, stage, Machine("cpu"), Hooks(lambda *_: times.append(time.process_time())))
    began = time.process_time()
    infer(model, samples[0], True, recipe)
    return {
        "step": min(b - a for a, b in pairwise(times[1:])),
        "forward": time.process_time() - began,
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "millions": sum(p.numel() for n, p in model.named_parameters() if not n.startswith("align.")) / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--rows", nargs="+", default=row_names())
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--width", type=int)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        recipe = row_recipe(narrowed(load_recipe(arguments.recipe), arguments.width), arguments.rows[0])
        print(json.dumps(measure(recipe, arguments.steps)))
        return
    print(
        "| row | CPU s a step | CPU s to answer a case | peak GiB | parameters, M |\n|---|---:|---:|---:|---:|",
        flush=True,
    )
    for row in arguments.rows:
        command = [sys.executable, __file__, arguments.recipe, "--one", "--rows", row, "--steps", str(arguments.steps)]
        command += ["--width", str(arguments.width)] if arguments.width else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(f"| {row} | failed | | | |", flush=True)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        cells = [row, *(f"{found[name]:.2f}" for name in ("step", "forward", "gib", "millions"))]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
