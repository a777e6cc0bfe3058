"""Does anything but the infarct itself reveal that a training sample has one? AUC of a small classifier.

    python benchmarks/studies/sources_auc.py RECIPE --data DIR --split CSV --heads DIR --heads-split CSV
        [--anatomy DIR --lesions DIR] [--samples 600]

Gradient boosting sees each sample's geometry, noise, window, blood and brain volume, but not its pattern of HU; it
learns from training patients' samples whether they show an infarct, and is tested on validation patients. Done for a
naive mix (outlined parts have infarcts, whole heads have none) and for the recipe's own; 0.5 is chance, and a shipped
recipe stays at 0.6 or below. Also prints seconds per sample for each source.
"""

from __future__ import annotations

import argparse
import logging
import math
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from adn.config import GridConfig, Recipe
from adn.feed.mix import Cases, MixedSamples
from adn.feed.pool import PooledPatients
from adn.feed.samples import Sample
from adn.recipes import load_recipe
from adn.training.sources import Source, open_cases

BLOOD_HU = 46.0
FEATURES = ("slices", "lowest", "highest", "brain mL", "largest area", "mean area", "rows", "columns", "middle row",
            "noise HU", "noise between slices", "equal slices", "median HU", "99 % HU", "saturated", "blood mL",
            "left share")  # fmt: skip


def features(sample: Sample, grid: GridConfig) -> list[float]:
    """What may reveal a sample's source: geometry, noise, window and blood; no pattern of HU (see FEATURES)."""
    unit, brain = sample.brain[0], sample.brain[0] > 0
    if not brain.any():
        return [0.0] * len(FEATURES)
    hu = unit * (grid.window_hu[1] - grid.window_hu[0]) + grid.window_hu[0]
    ml = math.prod(grid.spacing_mm) / 1000
    area = brain.flatten(1).sum(1).float()
    used = [brain.movedim(axis, 0).flatten(1).any(1).nonzero()[:, 0] for axis in range(3)]
    mean = F.avg_pool2d(hu[:, None], 3, 1, 1)[:, 0]
    inner = F.avg_pool2d(brain.float()[:, None], 5, 1, 2)[:, 0] > 0.99
    fine = (hu - mean)[inner].abs()
    apart = (hu[1:] - hu[:-1]).abs()[inner[1:] & inner[:-1]]
    held = area > 0
    equal = (unit[1:] - unit[:-1]).abs().flatten(1).mean(1)[held[1:] & held[:-1]]
    values = hu[brain]
    rows = (brain.sum((0, 2)) * torch.arange(brain.shape[1])).sum() / brain.sum()
    return [float(x) for x in (
        len(used[0]), used[0][0], used[0][-1], brain.sum() * ml, area.max(), area[held].mean(), len(used[1]),
        len(used[2]), rows, fine.median() if len(fine) else 0, apart.median() if len(apart) else 0,
        (equal < 0.01).float().mean() if len(equal) else 0, values.median(), values.quantile(0.99),
        (values >= grid.window_hu[1] - 0.5).float().mean(), ((mean > BLOOD_HU) & inner).sum() * ml,
        brain[..., brain.shape[2] // 2 :].sum() / brain.sum())]  # fmt: skip


def auc(train: tuple[NDArray, NDArray], test: tuple[NDArray, NDArray], seed: int = 0) -> float:
    """AUC of shallow boosted trees that learn (features, shows an infarct) on some patients and predict others."""
    trees = GradientBoostingClassifier(
        n_estimators=60, max_depth=3, learning_rate=0.05, subsample=0.7, min_samples_leaf=10, random_state=seed
    )
    trees.fit(*train)
    return float(roc_auc_score(test[1], trees.predict_proba(test[0])[:, 1]))


def table(samples: MixedSamples, count: int) -> tuple[NDArray, NDArray, NDArray, dict[str, list[float]]]:
    """Features, infarct labels and sources of `count` samples, and seconds by source."""
    rows, ill, sources, seconds = [], [], [], defaultdict(list)
    for index in range(count):
        draw = samples.draw(index)
        start = time.perf_counter()
        sample = samples.show(draw)
        seconds[draw.source].append(time.perf_counter() - start)
        rows.append(features(sample, samples.recipe.grid))
        ill.append(bool((sample.infarct > 0).any()))
        sources.append(draw.source)
    return np.array(rows), np.array(ill), np.array(sources), dict(seconds)


def naive(recipe: Recipe) -> Recipe:
    """The recipe with outlined parts as the only samples with infarct, whole heads as the only ones without."""
    plain = {"outlined": 1.0, "whole": 1.0, "emptied": 0.0, "virtual": 0.0, "filled_share": 0.0, "cut_share": 0.0,
             "whole_laid_share": 0.0, "whole_twin_share": 0.0}  # fmt: skip
    mix = recipe.train.mix.model_copy(update=plain)
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"mix": mix})})


def report(recipe: Recipe, parts: dict[str, Cases], libraries: dict[str, Any], count: int, folder: Path) -> None:
    """Print the AUC of one mix, over all samples and within each source."""
    found = {}
    for seed, (part, cases) in enumerate(parts.items()):
        own = Cases(recipe, cases.outlined, cases.whole, cases.masks)
        pool, mix = recipe.train.pool or 40, recipe.train.mix
        virtual = PooledPatients(recipe, libraries[part], seed, count, pool, folder / part) if mix.virtual else None
        found[part] = table(MixedSamples(own, virtual, seed, count), count)
    (x, y, _, seconds), (other_x, other_y, where, _) = found["train"], found["validation"]
    areas = [auc((x, y), (other_x, other_y), seed) for seed in range(3)]
    print(f"{recipe.name}: AUC {np.mean(areas):.3f} (three seeds: {', '.join(f'{a:.3f}' for a in areas)}); "
          f"{y.mean():.0%} and {other_y.mean():.0%} of {count} and {count} samples show an infarct")  # fmt: skip
    for source in sorted(set(where)):
        here, there = found["train"][2] == source, where == source
        if len(set(y[here])) == 2 and len(set(other_y[there])) == 2:
            area = auc((x[here], y[here]), (other_x[there], other_y[there]))
            print(f"  among {source} alone ({there.sum()} samples): {area:.3f}")
    for source, times in seconds.items():
        print(f"  {source}: {np.median(times):.3f} s a sample (median), {np.mean(times):.3f} (mean)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    for name in ("data", "split", "heads", "heads-split", "anatomy", "lesions"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--pool", type=int, default=24, help="virtual heads that are rendered")
    options = vars(parser.parse_args())
    logging.basicConfig(level=logging.WARNING)
    recipe = load_recipe(options["recipe"])
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"pool": options["pool"]})})
    source = Source(**{name: options[name] for name in ("data", "split", "heads", "heads_split", "anatomy", "lesions")})
    parts, libraries = open_cases(recipe, source)
    with torch.no_grad(), tempfile.TemporaryDirectory() as rendered:
        plain, patients = naive(recipe).model_copy(update={"name": "naive mix"}), Path(rendered)
        report(plain, parts, libraries, options["samples"], patients / "naive")
        report(recipe, parts, libraries, options["samples"], patients / "mix")


if __name__ == "__main__":
    main()
