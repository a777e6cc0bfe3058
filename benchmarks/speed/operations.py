"""Operations needed to train each row of the benchmark, counted without running it, and the resulting hours; Markdown.

    python benchmarks/speed/operations.py [--recipe paper] [--rows adn ...] [--samples 100000] [--tflops 50]

Counts the convolutions and matrix products of one training sample, forward and backward (torch.utils.flop_counter), on
the shapes that the recipe trains on; T is not counted. --tflops: what the device is assumed to achieve, in 10¹² per
second. The hours are an estimate, not a measurement: measure steps with training_step.py if you can.
"""

from __future__ import annotations

import argparse

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from adn.benchmark import METHODS
from adn.config import Recipe
from adn.nn.baselines import Baseline, build_model
from adn.nn.baselines.nnunet import patch_plan
from adn.recipes import load_recipe, row_recipe


def operations(recipe: Recipe) -> int:
    """Floating-point operations of one training sample: a multiplication and an addition are two."""
    with FakeTensorMode():  # only shapes: nothing is computed
        return _counted(recipe)


def _counted(recipe: Recipe) -> int:
    model = build_model(recipe)
    patches = recipe.train.patches
    shape: tuple[int, ...] = recipe.grid.box or recipe.grid.shape
    if patches.used:
        inner = patch_plan(recipe).size if recipe.method == "nnunet" else patches.size
        context = getattr(model.segment, "context", (0, 0, 0))
        assert inner
        shape = tuple(side + 2 * c for side, c in zip(inner, context, strict=True))
    x = torch.empty((patches.per_sample, 1, *shape))
    with FlopCounterMode(display=False) as counter:
        if isinstance(model, Baseline):
            torch.stack([level.sum() for level in model.logits(x, whole=not patches.used)]).sum().backward()
        else:
            model.from_aligned(x, torch.eye(4)).infarct_probability_aligned.sum().backward()
    return counter.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="paper")
    parser.add_argument("--rows", nargs="+", default=[method.name for method in METHODS])
    parser.add_argument("--samples", type=int, default=100_000, help="that a row is trained on")
    parser.add_argument("--tflops", type=float, default=50.0)
    arguments = parser.parse_args()
    base, total = load_recipe(arguments.recipe), 0.0
    print(f"| row | 10¹² operations a sample | hours for {arguments.samples:,} samples |\n|---|---:|---:|")
    for name in arguments.rows:
        count = operations(row_recipe(base, name)) / 1e12
        hours = count * arguments.samples / arguments.tflops / 3600
        total += hours
        print(f"| `{name}` | {count:.2f} | {hours:.1f} |", flush=True)
    print(f"\nRecipe `{base.name}`, {arguments.tflops:g} · 10¹² operations a second: {total:.0f} hours for these rows.")


if __name__ == "__main__":
    main()
