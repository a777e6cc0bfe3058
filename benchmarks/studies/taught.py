"""What helps when it is taught: short trainings that differ in one setting, judged on validation patients; a table.

    python benchmarks/studies/taught.py OUT --data DIR --heads DIR --anatomy DIR --lesions DIR [--arms NAME...]
        [--plan benchmarks/studies/taught.toml]

DIR of --data and --heads: teknofest/ and phe_sich/ as `real_cases.py` writes them. The plan names the arms, each with
the settings that it changes, or the number of outlined training patients; every arm is run with every seed, one after
the other. Runs that are finished are kept and one that was stopped goes on, so that a plan can be spread over days.
Prints a row an arm: mean over seeds, and the seeds apart, of what `adn train` logs after the last epoch.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adn.config import Recipe
from adn.recipes import load_recipe, recipe_from_dict
from adn.training import Begin, Machine, Source, resume, train
from adn.training.logbook import read_log

SPLITS = Path(__file__).parents[1] / "splits"
COLUMNS = {"outlined: Dice": "val_dice_outlined", "laid: Dice": "val_dice_laid",
           "heads ≥ 5 mL": "val_falsely_called_whole", "mL there, median": "val_false_positive_ml_whole",
           "P inside": "p_inside", "score": "val_score"}  # fmt: skip


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with others put over them."""
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
    """The fixed split of TEKNOFEST, or one in which only so many of its training patients train."""
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
        # who is left out is put with the test patients, whom a training never opens
        writer.writerows(row | ({"part": "test"} if row["part"] == "train" and row["patient"] not in kept else {})
                         for row in rows)  # fmt: skip
    return path


def run(out: Path, recipe: Recipe, source: Source) -> None:
    """Train, go on, or keep what is finished."""
    if (out / "weights.safetensors").is_file():
        return
    if (out / "run.json").is_file():
        resume(out)
    else:
        train(recipe, out, source, Begin("fast-plus"), Machine("cpu", 1))


def line(arm: str, rows: list[dict[str, str]]) -> str:
    """One row of the table: means over seeds, and each seed's value."""
    cells = []
    for column in COLUMNS.values():
        values = [float(row[column]) for row in rows if row.get(column)]
        apart = ", ".join(f"{value:.2f}" for value in values)
        cells.append(f"{np.mean(values):.3f} ({apart})" if values else "–")
    return f"| {arm} | {len(rows)} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("data", "heads", "anatomy", "lesions"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--plan", type=Path, default=Path(__file__).with_suffix(".toml"))
    parser.add_argument("--arms", nargs="+", help="only these")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    plan = tomllib.loads(arguments.plan.read_text(encoding="utf-8"))
    arms = arguments.arms or list(plan["arms"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    for seed in plan["seeds"]:
        for arm in arms:
            source = Source(
                arguments.data, arguments.anatomy, arguments.lesions,
                split_of(arguments.out, plan["arms"][arm].get("patients")),
                heads=arguments.heads, heads_split=SPLITS / "phe_sich.csv",
            )  # fmt: skip
            run(arguments.out / f"{arm}-{seed}", recipe_of(plan, arm, seed), source)
    print(f"| arm | seeds | {' | '.join(COLUMNS)} |\n|{'---|' * (2 + len(COLUMNS))}")
    for arm in arms:
        logs = [read_log(arguments.out / f"{arm}-{seed}" / "log.csv") for seed in plan["seeds"]]
        print(line(arm, [log[-1] for log in logs if log]))


if __name__ == "__main__":
    main()
