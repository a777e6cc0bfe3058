"""Scores of Table 1 on real patients: rows of `adn benchmark` out of fold, three rows without training, paired tests.

    python benchmarks/quality/table_1_scores.py OUT --real DIR [--shipped WEIGHTS] [--rows NAME...] [--csv DIR]
        [--part test --test --limit PERCENT]

OUT: as `benchmarks/studies/table_1.py` fills it; rows and folds that are not done yet are left out and reported. DIR of
--real: teknofest/ as `tools/real_cases.py` writes it. --shipped: weights from virtual patients alone. Only acquired
voxels count. The weights `fast-plus` locate brain and mid-plane for all rows. Writes <row>.csv to --csv (one line per
case) and prints the tables of `table_1_tables.py` for these rows.

The test part is for final judgement only, never for choosing: it needs --test as well, is marked by the mean of the
folds' networks, and each use is recorded in benchmarks/splits/test_uses.csv. --limit: for the water rule, as chosen on
the folds.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rules
from cases import RulerCase, mask_of, outlined
from numpy.typing import NDArray
from patients import ALIGNED_BY, Found, counted, left_share, note_test_use, predicted
from table_1_tables import COLUMNS, DARKER, SHIPPED, TEST, WATER, everything

import adn
from adn.benchmark import METHODS
from adn.config import Recipe
from adn.errors import InputError
from adn.findings.measure import measure
from adn.io.atomic import atomic_path
from adn.metrics.lesions import lesion_agreement
from adn.metrics.overlap import dice
from adn.metrics.surface import hd95_all_voxels_mm, hd95_mm, surface_dice
from adn.recipes import load_recipe
from adn.space.volume import Volume

FOLDS = 3
Row = dict[str, Any]


class Judged:
    """One case, with what all rows are judged by."""

    def __init__(self, case: RulerCase, fold: int, found: Found | None) -> None:
        self.case, self.fold, self.found = case, fold, found
        self.ct = adn.open_scan(case.ct).volume.reoriented("SPL")
        self.counts = counted(case, self.ct)
        reference = mask_of(case.infarct)
        assert reference is not None
        self.reference = reference & self.counts
        self.facts: Row = {"patient": case.patient, "case": case.name, "fold": fold}
        self.facts["reference_ml"] = float(self.reference.sum() * self.ct.grid.voxel_ml)
        if found is not None:
            twin = measure(self.reference, self.ct, self.brain, found.aligned_from_scan)
            if twin.mirror_hu is not None and twin.mean_hu is not None:
                self.facts["darker_hu"] = twin.mirror_hu - twin.mean_hu

    @property
    def brain(self) -> Volume:
        """The mask that all rows share."""
        assert self.found is not None
        return self.ct.with_data(self.found.brain.astype(np.uint8), "label")

    def row(self, mask: NDArray[np.bool_]) -> Row:
        """Scores of one row's marks, (D, H, W) in SPL order."""
        marked, reference, steps = mask & self.counts, self.reference, self.ct.grid.affine[:3, :3]
        row = dict(self.facts)
        row["marked_ml"] = float(marked.sum() * self.ct.grid.voxel_ml)
        row["dice"] = dice(marked, reference)
        row["hd95_mm"] = hd95_mm(marked, reference, steps)
        row["hd95_all_voxels_mm"] = hd95_all_voxels_mm(marked, reference, steps)
        row["surface_dice_5mm"] = surface_dice(marked, reference, steps)
        row["error_ml"] = abs(row["marked_ml"] - row["reference_ml"])
        row["lesion_f1"] = lesion_agreement(marked, reference).f1
        if self.found is not None and reference.any():
            left, true = (left_share(x, self.found.aligned_from_scan) for x in (marked, reference))
            row["side_right"] = int(bool(marked.any()) and (left > 0.5) == (true > 0.5))
        return row


def judged(real: Path, out: Path, test: bool) -> Iterator[Judged]:
    """Every case of the folds, or of the test part (fold −1)."""
    judge = adn.load_model(ALIGNED_BY)
    for fold, part in [(-1, "test")] if test else [(fold, f"fold {fold}") for fold in range(FOLDS)]:
        for case in outlined(real / "teknofest", part):
            yield Judged(case, fold, predicted(case, judge, out / "ruler"))


def mean_of_folds(row: Path, recipe: Recipe) -> Path:
    """A file that joins the networks of all folds of a row. Raises InputError where one is not trained."""
    members = [f"fold-{fold}/last.safetensors" for fold in range(FOLDS)]
    absent = [name for name in members if not (row / name).is_file()]
    if absent:
        raise InputError(f"{row}: the mean of the folds needs {', '.join(members)}, but {absent[0]} is not there.")
    lines = [f"threshold = {recipe.threshold}", f"smallest_ml = {recipe.smallest_ml}"]
    lines += [f'[[members]]\nweights = "{name}"' for name in members]
    with atomic_path(row / "mean.toml") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return row / "mean.toml"


class Marks:
    """Each row's marks: the benchmark's out-of-fold ones or, on test patients, those of the mean of the folds."""

    def __init__(self, out: Path, rows: Sequence[str], test: bool) -> None:
        self.out, self.models = out, {}
        if test:
            folders = [out / row for row in rows]
            recipes = [load_recipe(folder / "fold-0" / "recipe.json") for folder in folders]
            files = [mean_of_folds(*pair) for pair in zip(folders, recipes, strict=True)]
            self.models = {row: adn.load_model(file) for row, file in zip(rows, files, strict=True)}
            note_test_use(list(self.models.values()))

    def of(self, row: str, case: RulerCase) -> NDArray[np.bool_] | None:
        """The mark, (D, H, W) in SPL order; None if it is not done yet, or refused."""
        if row in self.models:
            found = predicted(case, self.models[row], self.out / "ruler")
            return None if found is None else found.infarct
        path = self.out / row / "predictions" / case.name / "infarct.nii.gz"
        return mask_of(path) if path.is_file() else None


def scored(arguments: argparse.Namespace) -> dict[str, list[Row]]:
    """Rows by name, each with the cases that are done."""
    shipped = adn.load_model(arguments.shipped)
    found: dict[str, list[Row]] = {name: [] for name in arguments.rows}
    by_limit: dict[float, list[Row]] = {limit: [] for limit in rules.LIMITS_PERCENT}
    marks = Marks(arguments.out, arguments.rows, arguments.test)
    for one in judged(arguments.real, arguments.out, arguments.test):
        for name in arguments.rows:
            mask = marks.of(name, one.case)
            if mask is not None:
                found[name].append(one.row(mask))
        alone = predicted(one.case, shipped, arguments.out / "ruler")
        nothing = np.zeros(one.reference.shape, bool)
        found.setdefault(SHIPPED, []).append(one.row(nothing if alone is None else alone.infarct))
        place = None if one.found is None else (one.ct, one.brain, one.found.aligned_from_scan)
        found.setdefault(DARKER, []).append(one.row(nothing if place is None else rules.darker(*place)))
        percent = np.zeros(one.reference.shape, np.float32) if place is None else rules.water(*place)
        for limit, rows in by_limit.items():
            rows.append(one.row(percent >= limit))
        print(one.case.name, flush=True)
    by_rule = by_limit[arguments.limit] if arguments.test else out_of_fold(by_limit)
    return {name: rows for name, rows in found.items() if rows} | {WATER: by_rule}


def out_of_fold(by_limit: dict[float, list[Row]]) -> list[Row]:
    """Rows of a rule with a limit, using for each fold the limit with the best mean Dice on the others."""
    kept = []
    for fold in range(FOLDS):
        others = {x: [row["dice"] for row in rows if row["fold"] != fold] for x, rows in by_limit.items()}
        best = max(by_limit, key=lambda x: float(np.mean(others[x] or [0.0])))
        print(f"{WATER}: fold {fold} is marked from {best:g} %")
        kept += [row for row in by_limit[best] if row["fold"] == fold]
    return kept


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write one line per case; missing values are empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in sorted(rows, key=lambda one: one["case"]):
            writer.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--shipped", default=ALIGNED_BY)
    parser.add_argument("--rows", nargs="+")
    parser.add_argument("--csv", type=Path, default=Path(__file__).parents[1] / "teknofest")
    parser.add_argument("--part", choices=("folds", "test"), default="folds")
    parser.add_argument("--test", action="store_true", help="yes, score the test part, and note it")
    parser.add_argument("--limit", type=float, choices=rules.LIMITS_PERCENT)
    arguments = parser.parse_args()
    if (arguments.part == "test") != arguments.test or (arguments.test and arguments.limit is None):
        parser.error("the test part needs --part test, --test and --limit: nothing is chosen on it, each use is noted")
    if arguments.rows is None:
        order = [method.name for method in METHODS]
        there = [path.parent.name for path in arguments.out.glob("*/predictions")]
        rows = [name for name in there if name.partition("@")[0] in order]  # and not what the ruler keeps
        arguments.rows = sorted(rows, key=lambda name: (order.index(name.partition("@")[0]), name))
    found = scored(arguments)
    for name, rows in found.items():
        write_csv(rows, arguments.csv / f"{name}{TEST if arguments.test else ''}.csv")
    print("\n".join(everything(found)))


if __name__ == "__main__":
    main()
