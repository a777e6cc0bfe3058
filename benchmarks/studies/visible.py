"""How dark the infarcts of a recipe's virtual patients are, and how far grey matter lies above white matter.

    python benchmarks/studies/visible.py RECIPE [--anatomy DIR --lesions DIR] [--looks 200] [--pool 40]

Contrast is that of the infarct against its mirrored twin on the model grid, as networks see it; an infarct below 1.5 HU
or 1 mL counts as invisible. Prints the share of such looks as first drawn, and after the recipe's redrawing
(`train.looks.visible_hu`, `tries`); the contrast (5, 25, 50, 75 and 95 %); and the same for grey minus white matter,
with the infarct left out.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from adn.config import Recipe
from adn.feed.mix import contrast_hu, to_hu
from adn.feed.pool import PooledPatients
from adn.feed.samples import Sample
from adn.recipes import load_recipe
from adn.space.labels import TissueLabel
from adn.virtual.library import Library

VISIBLE_HU, VISIBLE_ML = 1.5, 1.0
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def measured(sample: Sample, recipe: Recipe) -> tuple[float, float, float]:
    """mL of infarct, its contrast, and grey less white matter outside it, HU."""
    hu, healthy = to_hu(sample.brain[0], recipe.grid), sample.infarct[0] <= 0
    grey, white = (hu[(sample.tissue[0] == label) & healthy].mean() for label in (TissueLabel.GM, TissueLabel.WM))
    ml = float(sample.infarct.sum()) * float(np.prod(recipe.grid.spacing_mm)) / 1000
    return ml, contrast_hu(sample, recipe.grid), float(grey - white)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--looks", type=int, default=200)
    parser.add_argument("--pool", type=int, default=40)
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    looks = recipe.train.looks.model_copy(update={"tries": 1})
    as_drawn = recipe.model_copy(update={"train": recipe.train.model_copy(update={"looks": looks})})
    library = Library.from_folders(arguments.anatomy, arguments.lesions, "train")
    print(
        "| looks | with an infarct | below 1.5 HU or 1 mL | contrast, HU: 5, 25, 50, 75, 95 % | grey less white, HU |"
    )
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, one in (("as drawn", as_drawn), ("drawn again", recipe)):
            patients = PooledPatients(one, library, 0, arguments.looks, arguments.pool, Path(folder))
            found = np.array([measured(patients[i], one) for i in range(arguments.looks)])
            ill = found[found[:, 0] > 0]
            hidden = (ill[:, 1] < VISIBLE_HU) | (ill[:, 0] < VISIBLE_ML)
            contrast, grey = (
                ", ".join(f"{x:.1f}" for x in np.quantile(values, QUANTILES)) for values in (ill[:, 1], found[:, 2])
            )
            print(f"| {name} | {len(ill)} of {len(found)} | {hidden.mean():.0%} | {contrast} | {grey} |", flush=True)


if __name__ == "__main__":
    main()
