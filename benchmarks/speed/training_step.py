"""Seconds and peak memory of a training step of D + F, as adn runs it and plainly; a Markdown table.

python benchmarks/speed/training_step.py [--steps 3] [--recipe fast]

Plainly: the same networks and losses in fp32 on the whole model grid, without torch.compile. Each line is a separate
process on samples made beforehand, so that neither data loading nor another line's memory counts; the first step is
left out. Without --recipe: `fast` on the CPU and, if there is a GPU, `paper` (batch 6) on it.
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

WAYS = {"adn": "bf16 where fast, brain box", "adn compiled": "the same, torch.compile", "plain": "fp32, whole grid"}
PAPER_BOX = (32, 176, 144)  # the brain box of the shipped recipes on the paper's grid


def measure(name: str, way: str, device: str, steps: int) -> dict[str, float | str]:
    """Train `steps` + 1 steps in this process; seconds of the quickest after the first, and peak memory in GiB."""
    import torch

    from adn.feed.samples import Sample, collate
    from adn.nn.adn import build_adn
    from adn.nn.precision import choose_precision
    from adn.recipes import load_recipe
    from adn.training.fit import Hooks, Machine, Stage, fit
    from adn.training.objectives import segment_objective

    recipe = load_recipe(name)
    grid = recipe.grid
    box = grid.shape if way == "plain" else PAPER_BOX if grid.box == grid.shape else grid.box or grid.shape
    recipe = recipe.model_copy(update={"grid": recipe.grid.model_copy(update={"box": box})})
    config = recipe.train.segment
    config = config.model_copy(update={"epoch_samples": config.batch_size * (steps + 1), "max_epochs": 1})
    generator = torch.Generator().manual_seed(0)
    shape = (1, *box)
    infarct = torch.zeros(shape)
    infarct[:, 10:16, 20:40, 20:35] = 1
    tissue = torch.randint(0, 4, shape, generator=generator, dtype=torch.uint8)
    sample = Sample(torch.rand(shape, generator=generator), infarct, tissue)
    model = build_adn(recipe)
    model.align.requires_grad_(False)
    if way == "adn compiled":
        model.asymmetry.compile()
        model.segment.compile()
    times = [time.perf_counter()]

    def note(*_: object) -> None:
        times.append(time.perf_counter())

    precision = "fp32" if way == "plain" else "auto"
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage("segment", Path(folder), config, collate, precision)
        samples: Any = [sample] * 10_000
        fit(model, samples, segment_objective(recipe, aligned=True), stage, Machine(device), Hooks(note))
    gpu = device == "cuda"
    peak = torch.cuda.max_memory_allocated() if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": min(b - a for a, b in pairwise(times[1:])),
        "gib": peak / 2**30,
        "precision": choose_precision(precision, torch.device(device)),
        "box": "×".join(map(str, shape[1:])),
        "batch": config.batch_size,
        "machine": torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads",
    }


def in_own_process(name: str, way: str, device: str, steps: int) -> dict | None:
    """`measure` in a separate process; None if it failed, in which case it prints why."""
    command = [sys.executable, __file__, "--one", name, way, device, "--steps", str(steps)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--recipe", help="this one only, on the GPU if there is one")
    parser.add_argument("--compile", action="store_true", help="a line with torch.compile, too (minutes on a CPU)")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, way, device = arguments.one
        print(json.dumps(measure(name, way, device, arguments.steps)))
        return
    gpu = torch.cuda.is_available()
    plan = [(arguments.recipe, "cuda" if gpu else "cpu")] if arguments.recipe else [("fast", "cpu")]
    if gpu and not arguments.recipe:
        plan.append(("paper", "cuda"))
    print("| recipe | way | precision | grid | batch | s per step | peak GiB | times as fast as plain | on |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, device in plan:
        ways = [way for way in WAYS if way != "adn compiled" or arguments.compile or device == "cuda"]
        found = {way: in_own_process(name, way, device, arguments.steps) for way in ways}
        for way, row in found.items():
            if row is None:
                print(f"| {name} | {way}: {WAYS[way]} | | | | failed | | | |")
                continue
            ratio = f"{found['plain']['seconds'] / row['seconds']:.1f}" if found["plain"] else "?"
            print(
                f"| {name} | {way}: {WAYS[way]} | {row['precision']} | {row['box']} | {row['batch']} "
                f"| {row['seconds']:.2f} | {row['gib']:.2f} | {ratio} | {row['machine']} |",
                flush=True,
            )
    print(f"\ntorch {torch.__version__}; on a GPU plain fp32 convolutions use TF32, as torch does by default.")


if __name__ == "__main__":
    main()
