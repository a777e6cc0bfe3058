"""Table 1 on real patients from per-case scores: all rows, by size and contrast, and the paper's claims one by one.

    python benchmarks/quality/table_1_tables.py [--csv DIR] [--part folds|test]

DIR: benchmarks/teknofest, as `table_1_scores.py` wrote it. A patient counts once, by the mean of its series. Where a
row has a second seed, a claim is judged on the mean of both, and the tables show each. Prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tables

from adn.benchmark import METHODS, REFERENCE
from adn.metrics.statistics import bootstrap_mean, holm, wilcoxon_p
from adn.report.tables import p_text

DARKER, WATER, SHIPPED = "rule-darker", "rule-water", "virtual-only"
COLUMNS: tuple[str, ...] = (
    "patient", "case", "fold", "reference_ml", "darker_hu", "marked_ml", "dice", "hd95_mm", "hd95_all_voxels_mm",
    "surface_dice_5mm", "error_ml", "lesion_f1", "side_right",
)  # fmt: skip
NAMES = ("patient", "case", "fold")
SHOWN = {"dice": 3, "hd95_mm": 1, "hd95_all_voxels_mm": 1, "surface_dice_5mm": 3, "error_ml": 1, "lesion_f1": 2,
         "side_right": 2}  # fmt: skip
TEST = "-test"
# claim, row, and the row it should beat; first the paper's claims, then ours
CLAIMS: tuple[tuple[str, str, str], ...] = (
    ("alignment helps the 3D ResUNet", "resunet-aligned", "resunet"),
    ("F sees more in X̂ than in X", REFERENCE, "resunet-aligned"),
    ("L_tissue helps", REFERENCE, "adn-without-tissue"),
    ("better than DeepMedic", REFERENCE, "deepmedic"),
    ("better than 3D U-Net", REFERENCE, "unet"),
    ("better than the 3D ResUNet", REFERENCE, "resunet"),
    ("better than Clèrigues et al.", REFERENCE, "clerigues"),
    ("better than SEAN", REFERENCE, "sean"),
    ("ours: ADN+ is better than ADN", "adn-plus", REFERENCE),
    ("ours: slice-wise D and F are better", "adn-slicewise", REFERENCE),
    ("ours: better than tissue 3 % darker than its twin", REFERENCE, DARKER),
    ("ours: better than the rule of net water uptake", REFERENCE, WATER),
)
Row = Mapping[str, Any]
ByPatient = dict[str, dict[str, Any]]


def by_patient(rows: Sequence[Row]) -> ByPatient:
    """One row per patient: means over its series that have a value."""
    patients = dict.fromkeys(row["patient"] for row in rows)
    keys = [name for name in COLUMNS if name not in NAMES]
    return {p: {key: tables.mean([r for r in rows if r["patient"] == p], key) for key in keys} for p in patients}


def main_table(found: Mapping[str, ByPatient]) -> list[str]:
    """All rows: means with intervals, and Dice minus that of ADN with Holm's p."""
    versus = found.get(REFERENCE)
    head = ["row", "n", *SHOWN, f"Dice − {REFERENCE}", "p, Holm"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    tests = {name: paired(rows, versus) for name, rows in found.items() if versus and name != REFERENCE}
    corrected = dict(zip(tests, holm([p for _, p in tests.values()]), strict=True))
    for name, rows in found.items():
        cells = [name, str(len(rows))]
        for key, digits in SHOWN.items():
            known = [row[key] for row in rows.values() if row[key] is not None]
            interval = bootstrap_mean(known)
            missing = f" ({len(rows) - len(known)} missing)" if len(known) < len(rows) else ""
            around = f" [{interval.low:.{digits}f}, {interval.high:.{digits}f}]" if interval else ""
            cells.append(f"{np.mean(known):.{digits}f}{around}{missing}" if known else "")
        p = corrected.get(name)
        cells += [shown(tests[name][0]) if name in tests else "", "" if p is None else p_text(p)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def paired(rows: ByPatient, versus: ByPatient) -> tuple[tuple[float, float, float] | None, float | None]:
    """Mean difference in Dice over common patients with its interval; Wilcoxon's p."""
    differences = [rows[p]["dice"] - versus[p]["dice"] for p in rows if p in versus]
    interval = bootstrap_mean(differences)
    if interval is None:
        return None, None
    return (float(np.mean(differences)), interval.low, interval.high), wilcoxon_p(differences)


def shown(difference: tuple[float, float, float] | None) -> str:
    """+0.012 [−0.034, +0.056]."""
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*difference).replace("-", "−") if difference else ""


def strata_table(found: Mapping[str, ByPatient]) -> list[str]:
    """Mean Dice by size and by contrast."""
    strata: list[tuple[str, Callable[[Row], bool]]] = [*tables.SIZES, *tables.CONTRASTS]
    lines = [f"| Dice | {' | '.join(name for name, _ in strata)} |", "|---|" + "---|" * len(strata)]
    for name, rows in found.items():
        chosen = [[row["dice"] for row in rows.values() if belongs(row)] for _, belongs in strata]
        cells = [f"{np.mean(values):.2f} (n = {len(values)})" if values else "" for values in chosen]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def claims_table(found: Mapping[str, ByPatient]) -> list[str]:
    """Each claim whose rows are there: difference of Dice, p after Holm's correction over the claims, verdict."""
    held = [(claim, a, b) for claim, a, b in CLAIMS if a in found and b in found]
    tests = [paired(over_seeds(found, a), over_seeds(found, b)) for _, a, b in held]
    lines = ["| claim | rows | seeds | Dice, difference | p, Holm | here |", "|---|---|---|---|---|---|"]
    for (claim, a, b), (difference, _), p in zip(held, tests, holm([p for _, p in tests]), strict=True):
        seeds = f"{len(seeds_of(found, a))}, {len(seeds_of(found, b))}"
        cells = [claim, f"{a} − {b}", seeds, shown(difference), "" if p is None else p_text(p), verdict(difference)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def verdict(difference: tuple[float, float, float] | None) -> str:
    """What an interval says about the claim that the difference is above 0."""
    if difference is None or difference[1] <= 0 <= difference[2]:
        return "inconclusive"
    return "holds" if difference[1] > 0 else "does not hold: reversed"


def seeds_table(found: Mapping[str, ByPatient]) -> list[str]:
    """The effect of chance: a row's second seed minus the first."""
    lines = ["| second seed less the first | Dice, difference |", "|---|---|"]
    for name, rows in found.items():
        first = name.partition("@")[0]
        if first != name and first in found:
            lines.append(f"| {first} | {shown(paired(rows, found[first])[0])} |")
    return lines if len(lines) > 2 else []


def seeds_of(found: Mapping[str, ByPatient], row: str) -> list[str]:
    """The row and its repetitions."""
    return [name for name in found if name.partition("@")[0] == row]


def over_seeds(found: Mapping[str, ByPatient], row: str) -> ByPatient:
    """Dice of each patient, mean over the row's seeds that have it."""
    seeds = [found[name] for name in seeds_of(found, row)]
    patients = dict.fromkeys(p for rows in seeds for p in rows)
    return {p: {"dice": float(np.mean([rows[p]["dice"] for rows in seeds if p in rows]))} for p in patients}


def read(folder: Path, part: str) -> dict[str, list[Row]]:
    """Rows by name, in table order; missing values are None. Raises OSError."""
    ending = f"{TEST if part == 'test' else ''}.csv"
    order = [*(method.name for method in METHODS), SHIPPED, DARKER, WATER]
    names = [path.name.removesuffix(ending) for path in folder.glob(f"*{ending}")]
    names = [name for name in names if name.partition("@")[0] in order and not name.endswith(TEST)]
    found = {}
    for name in sorted(names, key=lambda name: (order.index(name.partition("@")[0]), name)):
        with (folder / f"{name}{ending}").open(newline="", encoding="utf-8") as file:
            found[name] = [{k: _value(k, v) for k, v in line.items()} for line in csv.DictReader(file)]
    return found


def _value(name: str, text: str) -> str | float | None:
    if name in NAMES:
        return text
    return float(text) if text else None


def everything(found: Mapping[str, Sequence[Row]]) -> list[str]:
    """All tables."""
    patients = {name: by_patient(rows) for name, rows in found.items()}
    made = (main_table, strata_table, claims_table, seeds_table)
    return [line for table in made for line in (*table(patients), "")][:-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, default=Path(__file__).parents[1] / "teknofest")
    parser.add_argument("--part", choices=("folds", "test"), default="folds")
    arguments = parser.parse_args()
    print("\n".join(everything(read(arguments.csv, arguments.part))))


if __name__ == "__main__":
    main()
