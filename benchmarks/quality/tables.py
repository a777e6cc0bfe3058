"""The tables of `patients.py`, made from rows of numbers: strata, intervals, Markdown. Nothing is predicted here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from adn.metrics.statistics import bootstrap_mean, wilson
from adn.metrics.strata import LARGE, LARGE_ML, MIDDLE, SMALL_ML

Row = Mapping[str, Any]
Stratum = tuple[str, Callable[[Row], bool]]
SIZES: tuple[Stratum, ...] = (
    ("< 10 mL", lambda row: row["reference_ml"] < 10),
    ("10–30 mL", lambda row: 10 <= row["reference_ml"] <= 30),
    (MIDDLE, lambda row: SMALL_ML < row["reference_ml"] <= LARGE_ML),
    (LARGE, lambda row: row["reference_ml"] > LARGE_ML),
)
CONTRASTS: tuple[Stratum, ...] = (
    ("≥ 3 HU darker than its twin", lambda row: (row["darker_hu"] or 0.0) >= 3),
    ("1.5–3 HU", lambda row: 1.5 <= (row["darker_hu"] or 0.0) < 3),
    ("less, or brighter", lambda row: (row["darker_hu"] or 0.0) < 1.5),
    ("≥ 3 HU and ≥ 10 mL", lambda row: (row["darker_hu"] or 0.0) >= 3 and row["reference_ml"] >= 10),
)
LAID: tuple[Stratum, ...] = (
    ("≥ 10 mL, ≥ 4 HU", lambda row: row["reference_ml"] >= 10),
    ("… 10–30 mL", lambda row: 10 <= row["reference_ml"] <= 30),
    ("… > 30 mL", lambda row: row["reference_ml"] > 30),
    ("… 4–6 HU", lambda row: row["reference_ml"] >= 10 and row["laid_hu"] < 6),
    ("… ≥ 6 HU", lambda row: row["reference_ml"] >= 10 and row["laid_hu"] >= 6),
    ("< 10 mL", lambda row: row["reference_ml"] < 10),
)
FOUND = 0.3  # a laid infarct with this Dice or more counts as found
FALSE_ML = 5.0  # a head without infarct with this much marked counts as falsely marked
AVERAGED = ("dice", "matched_dice", "roc_area", "side_right", "error_ml", "lesion_f1", "reference_ml", "darker_hu")


def by_patient(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One row per patient: means over the series that have a value."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["patient"]].append(row)
    return [{"patient": patient, **{key: mean(group, key) for key in AVERAGED}} for patient, group in groups.items()]


def mean(rows: Sequence[Row], key: str) -> float | None:
    """Mean of the known values; None if there are none."""
    known = [float(row[key]) for row in rows if row.get(key) is not None]
    return float(np.mean(known)) if known else None


def patient_table(patients: Sequence[Row]) -> list[str]:
    """Outlined parts: all, by size, and by contrast. patients: from `by_patient`."""
    lines = [
        "| patients | n | Dice, mean (95 %) | median | of equal area | ROC area | side right | error, mL | lesion F1 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, belongs in (("all", lambda _: True), *SIZES, *CONTRASTS):
        chosen = [row for row in patients if belongs(row)]
        if not chosen:
            lines.append(f"| {name} | 0 |" + " |" * 7)
            continue
        dice = [row["dice"] for row in chosen]
        cells = [name, str(len(chosen)), with_interval(dice), f"{np.median(dice):.2f}"]
        cells += [number(mean(chosen, "matched_dice"), 2), number(mean(chosen, "roc_area"), 2)]
        side, error = mean(chosen, "side_right"), mean(chosen, "error_ml")
        cells += ["" if side is None else f"{side:.0%}", number(error, 1), number(mean(chosen, "lesion_f1"), 2)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def scanner_table(rows: Sequence[Row], about: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Dice on outlined parts by maker and slice thickness. rows: of cases; about: case → `vendor`, `thickness_mm`."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        facts = about[row["case"]]
        thick = float(facts["thickness_mm"])
        groups[facts["vendor"]].append(row)
        groups["slices below 3 mm" if thick < 3 else "3 to 4.5 mm" if thick < 4.5 else "5 mm and more"].append(row)
    lines = ["| scanner, slices | patients | Dice, mean (95 %) | side right | error, mL |", "|---|---|---|---|---|"]
    for name in sorted(groups, key=lambda name: (not name.isupper(), "more" in name, "below" not in name, name)):
        patients = by_patient(groups[name])
        side = mean(patients, "side_right")
        cells = [name, str(len(patients)), with_interval([row["dice"] for row in patients])]
        cells += ["" if side is None else f"{side:.0%}", number(mean(patients, "error_ml"), 1)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def laid_table(rows: Sequence[Row]) -> list[str]:
    """Virtual infarcts on whole heads."""
    lines = ["| laid | n | found | Dice | side right | volume error, mL |", "|---|---|---|---|---|---|"]
    for name, belongs in LAID:
        chosen = [row for row in rows if belongs(row)]
        if chosen:
            found = sum(row["dice"] >= FOUND for row in chosen)
            cells = [name, str(len(chosen)), share(found, len(chosen)), with_interval([row["dice"] for row in chosen])]
            cells += [f"{mean(chosen, 'side_right') or 0.0:.0%}", number(mean(chosen, "error_ml"), 1)]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def bleed_line(rows: Sequence[Row]) -> str:
    """Heads without infarct: what is marked outside blood and oedema."""
    marked = [row["outside_ml"] for row in rows]
    if not marked:
        return "No head without infarct."
    wrong = share(sum(ml >= FALSE_ML for ml in marked), len(marked))
    return (
        f"Heads with a bleed and no infarct, marked outside blood and oedema (n = {len(marked)}): median "
        f"{np.median(marked):.1f} mL, mean {np.mean(marked):.1f} mL; {FALSE_ML:.0f} mL or more: {wrong}."
    )


def with_interval(values: Sequence[float]) -> str:
    """Mean with its bootstrap interval."""
    interval = bootstrap_mean(values)
    shown = f"{np.mean(values):.2f}"
    return shown if interval is None else f"{shown} ({interval.low:.2f} to {interval.high:.2f})"


def share(hits: int, n: int) -> str:
    """A share with its Wilson interval."""
    interval = wilson(hits, n)
    return "" if interval is None else f"{hits} of {n}, {hits / n:.0%} ({interval.low:.0%} to {interval.high:.0%})"


def number(value: float | None, digits: int) -> str:
    """A table cell; empty if the value is not known."""
    return "" if value is None else f"{value:.{digits}f}"
