"""Which training settings help: short trainings that differ in one setting, judged on validation patients; a table.

    python benchmarks/studies/taught.py OUT --data DIR --heads DIR --anatomy DIR --lesions DIR [--arms NAME...]
        [--plan benchmarks/studies/taught.toml] [--judge]

DIR of --data and --heads: teknofest/ and phe_sich/ as `real_cases.py` writes them. The plan names the arms, each with
the settings that it changes, or the number of outlined training patients; every arm is run with every seed, one after
the other. Finished runs are kept and stopped ones resume, so a plan can be spread over days.

All are then judged on the same samples: the outlined validation parts, the whole validation heads, and the same heads
with infarcts laid on them three times as the plan's own recipe does, whatever an arm was trained on. Prints one row per
arm, as mean over seeds and each seed's value: at a threshold of 0.5, Dice on outlined and on laid infarcts, the share
of heads marked with 5 mL or more and their mean mL; then the run's lowest threshold at which at most a tenth of the
heads is marked (the highest threshold if none achieves that), with Dice and that share. `P inside` is the last value on
the training samples.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import logging
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adn.config import Recipe
from adn.feed.mix import validation_samples
from adn.feed.samples import Sample
from adn.metrics.overlap import dice
from adn.nn.adn import ADN
from adn.prediction.model import load_model
from adn.recipes import load_recipe, recipe_from_dict
from adn.training import Begin, Machine, Source, resume, train
from adn.training.logbook import read_log
from adn.training.sources import open_cases
from adn.training.validate import FALSE_ML, infer

SPLITS = Path(__file__).parents[1] / "splits"
COLUMNS = (
    "outlined",
    "laid",
    "heads",
    "mL on heads",
    "threshold",
    "outlined then",
    "laid then",
    "heads then",
    "P inside",
)
LAID_SEEDS = (1, 2, 3)
CALLED = 0.1
THRESHOLDS = np.append(np.round(np.arange(0.05, 0.96, 0.05), 2), (0.97, 0.98, 0.99, 0.995, 0.998))


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings, overridden by others."""
    return {**values} | {
        name: merged(values.get(name, {}), change) if isinstance(change, Mapping) else change
        for name, change in changes.items()
    }


def recipe_of(plan: Mapping[str, Any], arm: str, seed: int) -> Recipe:
    """The recipe of one run."""
    changes = merged(plan["common"], {k: v for k, v in plan["arms"][arm].items() if k != "patients"})
    values = merged(load_recipe(plan["recipe"]).model_dump(), merged(changes, {"train": {"seed": seed}, "name": arm}))
    return recipe_from_dict(values)


def split_of(out: Path, patients: int | None) -> Path:
    """The fixed split of TEKNOFEST, or one that keeps only `patients` of its training patients."""
    fixed = SPLITS / "teknofest.csv"
    if patients is None:
        return fixed
    with fixed.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {row["patient"] for row in rows if row["part"] == "train"}
    kept = set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:patients])
    path = out / f"patients_{patients}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        # those left out become test patients, whom training never opens
        writer.writerows(row | ({"part": "test"} if row["part"] == "train" and row["patient"] not in kept else {})
                         for row in rows)  # fmt: skip
    return path


def run(out: Path, recipe: Recipe, source: Source) -> None:
    """Train or resume a run, unless it is finished."""
    if (out / "weights.safetensors").is_file():
        return
    if (out / "run.json").is_file():
        resume(out)
    else:
        train(recipe, out, source, Begin("fast-plus"), Machine("cpu", 1))


@dataclass(frozen=True, eq=False)
class Judged:
    """One validation sample on the box: its name, its infarct as far as it counts, and the predicted probability."""

    kind: str
    infarct: NDArray[np.bool_]
    probability: NDArray[np.float32]
    voxel_ml: float

    def dice(self, threshold: float) -> float:
        """Dice of what is marked at a threshold."""
        return dice(self.probability > threshold, self.infarct)

    def marked_ml(self, threshold: float) -> float:
        """How much is marked."""
        return float((self.probability > threshold).sum() * self.voxel_ml)


def judging_samples(recipe: Recipe, source: Source) -> list[tuple[str, Sample]]:
    """The samples that all arms are judged on."""
    parts, _ = open_cases(recipe, source)
    return [
        (kind, sample)
        for seed in LAID_SEEDS
        for kind, sample in validation_samples(parts["validation"], seed)
        if kind == "laid" or seed == LAID_SEEDS[0]
    ]


def judged(weights: Path, samples: Sequence[tuple[str, Sample]]) -> list[Judged]:
    """One network's predictions on the samples."""
    model = load_model(weights)
    network = model.network.eval()
    assert isinstance(network, ADN)
    voxel_ml = float(np.prod(model.recipe.grid.spacing_mm)) / 1000
    found = []
    for kind, sample in samples:
        carried = infer(network, sample, True, model.recipe)
        counted = carried.counted[0, 0].numpy() > 0
        probability = carried.output.infarct_probability_aligned[0, 0].float().numpy()
        found.append(
            Judged(kind, (carried.infarct[0, 0].numpy() > 0) & counted, np.where(counted, probability, 0.0), voxel_ml)
        )
    return found


def values_of(cases: Sequence[Judged]) -> dict[str, float]:
    """A run's table cells."""
    outlined, laid, heads = ([case for case in cases if case.kind == kind] for kind in ("outlined", "laid", "whole"))

    def mean_dice(of: Sequence[Judged], threshold: float) -> float:
        return float(np.mean([case.dice(threshold) for case in of]))

    def called(threshold: float) -> float:
        return float(np.mean([case.marked_ml(threshold) >= FALSE_ML for case in heads]))

    quiet = next((float(t) for t in THRESHOLDS if called(t) <= CALLED), float(THRESHOLDS[-1]))
    false_ml = float(np.mean([case.marked_ml(0.5) for case in heads]))
    return {"outlined": mean_dice(outlined, 0.5), "laid": mean_dice(laid, 0.5), "heads": called(0.5),
            "mL on heads": false_ml, "threshold": quiet, "outlined then": mean_dice(outlined, quiet),
            "laid then": mean_dice(laid, quiet), "heads then": called(quiet)}  # fmt: skip


def line(arm: str, runs: Sequence[Mapping[str, float]]) -> str:
    """One row of the table: means over seeds, and each seed's value."""
    cells = []
    for column in COLUMNS:
        apart = ", ".join(f"{run[column]:.2f}" for run in runs)
        cells.append(f"{np.mean([run[column] for run in runs]):.3f} ({apart})")
    return f"| {arm} | {len(runs)} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("data", "heads", "anatomy", "lesions"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--plan", type=Path, default=Path(__file__).with_suffix(".toml"))
    parser.add_argument("--arms", nargs="+", help="only these")
    parser.add_argument("--judge", action="store_true", help="train nothing, judge what is finished")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    plan = tomllib.loads(arguments.plan.read_text(encoding="utf-8"))
    arms = arguments.arms or list(plan["arms"])
    arguments.out.mkdir(parents=True, exist_ok=True)

    def source_of(arm: str) -> Source:
        return Source(
            arguments.data, arguments.anatomy, arguments.lesions,
            split_of(arguments.out, plan["arms"][arm].get("patients")),
            heads=arguments.heads, heads_split=SPLITS / "phe_sich.csv",
        )  # fmt: skip

    for seed in () if arguments.judge else plan["seeds"]:
        for arm in arms:
            run(arguments.out / f"{arm}-{seed}", recipe_of(plan, arm, seed), source_of(arm))
    samples = judging_samples(recipe_of(plan, "base", plan["seeds"][0]), source_of("base"))
    print(f"| arm | seeds | {' | '.join(COLUMNS)} |\n|{'---|' * (2 + len(COLUMNS))}")
    for arm in arms:
        folders = [arguments.out / f"{arm}-{seed}" for seed in plan["seeds"]]
        runs = [
            values_of(judged(folder / "weights.safetensors", samples))
            | {"P inside": float(read_log(folder / "log.csv")[-1]["p_inside"])}
            for folder in folders
            if (folder / "weights.safetensors").is_file()
        ]
        if runs:
            print(line(arm, runs), flush=True)


if __name__ == "__main__":
    main()
