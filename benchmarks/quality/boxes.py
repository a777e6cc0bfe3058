"""Several weights on the same validation boxes, rendered as training renders them: a Markdown table with differences.

    python benchmarks/quality/boxes.py NAME=WEIGHTS... --anatomy DIR --lesions DIR [-n 150]

Quick (no skull, no alignment), for choosing between networks and their parts: many more patients than a training run
validates on, none of them from a test set (validation heads and lesions). Dice at the recipe's threshold, and the
paired difference from the first weights', with a 95 % bootstrap interval. All weights must take aligned boxes on the
same grid. For the whole pipeline see `weights.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from adn.feed.samples import Sample
from adn.feed.virtual import AlignedPatients
from adn.findings.measure import without_small
from adn.metrics.overlap import dice
from adn.metrics.statistics import bootstrap_mean
from adn.metrics.strata import LARGE, MIDDLE, SMALL, volume_stratum
from adn.prediction.model import Model, load_model
from adn.virtual.library import Library

SEED = 4242  # used by no training run
SIZES = (SMALL, MIDDLE, LARGE)


def marks(model: Model, sample: Sample, voxel_ml: float) -> NDArray[np.bool_]:
    """The mask on the box, small parts left out as the recipe says."""
    with torch.no_grad():
        output = model.network.from_aligned(sample.brain[None].to(model.device), torch.eye(4)[None].to(model.device))
    probability = output.infarct_probability_aligned[0, 0].cpu().numpy()
    threshold = model.recipe.threshold
    return without_small(probability, threshold, model.recipe.smallest_ml, voxel_ml) >= threshold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", metavar="NAME=WEIGHTS")
    parser.add_argument("--anatomy", type=Path, required=True)
    parser.add_argument("--lesions", type=Path, required=True)
    parser.add_argument("-n", type=int, default=150)
    arguments = parser.parse_args()
    pairs = [text.partition("=")[::2] for text in arguments.weights]
    models = [(name, load_model(path)) for name, path in pairs]
    library = Library.from_folders(arguments.anatomy, arguments.lesions, "val")
    voxel_ml = float(np.prod(models[0][1].recipe.grid.spacing_mm)) / 1000
    patients = AlignedPatients(models[0][1].recipe, library, SEED, arguments.n)
    infarct_ml, marked_ml, scores = [], [], []
    for i in range(arguments.n):
        sample = patients[i]
        reference = sample.infarct[0].numpy() > 0
        masks = [marks(model, sample, voxel_ml) for _, model in models]
        infarct_ml.append(reference.sum() * voxel_ml)
        marked_ml.append([mask.sum() * voxel_ml for mask in masks])
        scores.append([dice(mask, reference) or 0.0 for mask in masks])
    volume, marked, score = np.array(infarct_ml), np.array(marked_ml), np.array(scores)
    ill = volume > 0
    size = np.array([volume_stratum(ml) for ml in volume])
    strata = " | ".join(f"{title} (n = {(size == title).sum()})" for title in SIZES)
    print(f"| {ill.sum()} with infarct, {(~ill).sum()} without | Dice | less the first's | {strata} "
          f"| of {LARGE} marked, % | marked without infarct, mL |")  # fmt: skip
    print("|---" * 8 + "|")
    for j, (name, _) in enumerate(models):
        gain = score[ill, j] - score[ill, 0]
        interval = bootstrap_mean(gain) if j else None
        difference = f"{gain.mean():+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]" if interval else "–"
        by_volume = [score[size == title, j].mean() for title in SIZES]
        share = 100 * marked[size == LARGE, j].sum() / volume[size == LARGE].sum()
        cells = [f"{score[ill, j].mean():.3f}", difference, *(f"{x:.3f}" for x in by_volume), f"{share:.0f}"]
        print(f"| {name} | " + " | ".join(cells) + f" | {marked[~ill, j].mean():.1f} |", flush=True)


if __name__ == "__main__":
    main()
