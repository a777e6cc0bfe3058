"""The ruler: scores any weights on real patients and heads, through the whole of `adn predict`; Markdown tables.

    python benchmarks/quality/patients.py WEIGHTS... --real DIR -o OUT [--part validation|test] [--test]
        [--lesions DIR] [--heads DIR] [--cpaisd DIR] [--virtual DIR] [--about CSV]

--real: teknofest/ and phe_sich/ as `tools/real_cases.py` writes them. --lesions: SOOP's masks, to be laid on the
whole heads. --heads: the real heads. --cpaisd: cases of `adn data import-cpaisd`, or images/ and masks/ of single
slices. --virtual: VP-52. --about: `case`, `vendor` and `thickness_mm` of outlined parts. If a folder is not given, its
table is left out. Only acquired voxels count. OUT keeps every prediction but CPAISD's, keyed by the weights' bytes, so
a stopped run resumes and metrics can be recomputed (if the pipeline has changed, use a new OUT); OUT/cases.csv has a
row for each case. Contrast is measured between an outlined infarct and its mirrored twin, located for all weights by
the alignment of `fast-plus`.

The test part is for final judgement only, never for choosing: it needs --test, and each use is recorded in
benchmarks/splits/test_uses.csv.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tables
from cases import RulerCase, bleeds, grown, heads, laid, mask_of, outlined, virtual
from numpy.typing import NDArray

import adn
from adn.errors import InputError
from adn.findings.measure import measure
from adn.io.atomic import atomic_path
from adn.metrics.lesions import lesion_agreement
from adn.metrics.overlap import dice
from adn.metrics.ranking import matched_dice, roc_area
from adn.prediction.model import Model
from adn.space.volume import Volume

TEST_USES = Path(__file__).parents[1] / "splits" / "test_uses.csv"
ALIGNED_BY = "fast-plus"  # locates the twin for all weights
KINDS = ("outlined", "bleed", "laid", "head", "virtual")
COLUMNS: Sequence[str] = (
    "weights", "sha256", "kind", "case", "patient", "reference_ml", "marked_ml", "dice", "matched_dice", "roc_area",
    "side_right", "error_ml", "lesion_f1", "darker_hu", "laid_hu", "outside_ml", "left_ml", "right_ml", "refused",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Found:
    """A prediction as kept, (D, H, W) in SPL order. aligned_from_scan: 4 × 4, index → LPS mm about the mid-plane."""

    infarct: NDArray[np.bool_]
    probability: NDArray[np.float32]
    brain: NDArray[np.bool_]
    aligned_from_scan: NDArray[np.float64]


def predicted(case: RulerCase, model: Model, out: Path) -> Found | None:
    """Predict with `adn.open_scan` and `adn.predict`, or reuse an earlier run's result; None if it is refused."""
    path = out / "predictions" / model.weights.sha256[:16] / f"{case.kind}-{case.name}.npz"
    if not path.is_file():
        kept: dict[str, Any]
        try:
            found = adn.predict(adn.open_scan(case.ct), model)
        except InputError as error:
            kept = {"refused": np.array(str(error))}
        else:
            infarct, probability, brain = (
                volume.reoriented("SPL").data for volume in (found.infarct, found.infarct_probability, found.brain_mask)
            )
            upright = found.infarct.grid.reoriented("SPL")
            to_stored = np.linalg.inv(found.infarct.grid.affine) @ upright.affine
            kept = {"infarct": infarct > 0, "probability": probability.astype(np.float16), "brain": brain > 0,
                    "aligned_from_scan": found.aligned_from_scan @ to_stored}  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **kept)
    with np.load(path) as stored:
        if "refused" in stored:
            return None
        return Found(
            stored["infarct"], stored["probability"].astype(np.float32), stored["brain"], stored["aligned_from_scan"]
        )


def scored(case: RulerCase, found: Found | None, aligned: Found | None) -> dict[str, Any]:
    """The row of one case. aligned: the prediction that locates the twin; None: no contrast."""
    row: dict[str, Any] = {"kind": case.kind, "case": case.name, "patient": case.patient}
    ct = adn.open_scan(case.ct).volume.reoriented("SPL")
    reference, counts = mask_of(case.infarct), counted(case, ct)
    ml = ct.grid.voxel_ml
    if reference is not None:
        reference &= counts
        row["reference_ml"] = float(reference.sum() * ml)
    if found is None:
        row["refused"] = 1
        if reference is not None:
            row |= {"dice": 0.0 if reference.any() else 1.0, "marked_ml": 0.0, "error_ml": row["reference_ml"],
                    "matched_dice": 0.0, "lesion_f1": 0.0, "side_right": 0}  # fmt: skip
        return row
    marked = found.infarct & counts
    row["marked_ml"] = float(marked.sum() * ml)
    left = left_share(marked, found.aligned_from_scan)
    row |= {"left_ml": left * row["marked_ml"], "right_ml": (1 - left) * row["marked_ml"]}
    if case.kind == "bleed":
        row["outside_ml"] = row["marked_ml"]
    if reference is None:
        return row
    judge = aligned or found
    row |= agreement(marked, reference, np.where(counts, found.probability, 0.0), counts & (found.brain | reference))
    row["error_ml"] = abs(row["marked_ml"] - row["reference_ml"])
    if reference.any():
        true = left_share(reference, judge.aligned_from_scan)
        row["side_right"] = int(bool(marked.any()) and (left > 0.5) == (true > 0.5))
        brain = ct.with_data(judge.brain.astype(np.uint8), "label")
        twin = measure(reference, ct, brain, judge.aligned_from_scan)
        if twin.mirror_hu is not None and twin.mean_hu is not None:
            row["darker_hu"] = twin.mirror_hu - twin.mean_hu
    if case.kind == "laid":
        row["laid_hu"] = case.facts["hu"]
    return row


def counted(case: RulerCase, ct: Volume) -> NDArray[np.bool_]:
    """Acquired voxels, away from blood and oedema."""
    seen = mask_of(case.seen)
    return ~grown(case, ct) if seen is None else seen & ~grown(case, ct)


def agreement(
    marked: NDArray[np.bool_], reference: NDArray[np.bool_], probability: NDArray, counts: NDArray[np.bool_]
) -> dict[str, Any]:
    """Scores of one mask and probability against a reference; ranking of voxels over `counts`."""
    return {
        "dice": dice(marked, reference),
        "matched_dice": matched_dice(probability[counts], reference[counts]),
        "roc_area": roc_area(probability[counts], reference[counts]),
        "lesion_f1": lesion_agreement(marked, reference).f1,
    }


def left_share(mask: NDArray[np.bool_], aligned_from_scan: NDArray[np.float64]) -> float:
    """Share of a mask on the patient's left of the mid-sagittal plane; 0 of nothing."""
    index = np.argwhere(mask)
    x = index @ aligned_from_scan[0, :3] + aligned_from_scan[0, 3]
    return float((x > 0).mean()) if len(index) else 0.0


def all_cases(arguments: argparse.Namespace) -> Iterator[RulerCase]:
    """All cases in the given folders, patients first."""
    if arguments.real:
        yield from outlined(arguments.real / "teknofest", arguments.part)
        yield from bleeds(arguments.real / "phe_sich", arguments.part)
    if arguments.heads:
        yield from heads(arguments.heads)
    if arguments.real and arguments.lesions:
        yield from laid(
            arguments.real / "phe_sich", arguments.part, arguments.lesions, arguments.out / f"laid-{arguments.part}"
        )
    if arguments.virtual:
        yield from virtual(arguments.virtual)


def report(name: str, rows: Sequence[dict[str, Any]], part: str) -> list[str]:
    """All tables of one set of weights."""
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
    lines = [f"## {name}, {part}", ""]
    refused = [row["case"] for row in rows if row.get("refused")]
    if refused:
        lines += [f"Refused, and counted as nothing marked: {', '.join(refused)}.", ""]
    if kinds["outlined"]:
        lines += [*tables.patient_table(tables.by_patient(kinds["outlined"])), ""]
    if kinds["bleed"]:
        lines += [tables.bleed_line([row for row in kinds["bleed"] if not row.get("refused")]), ""]
    if kinds["laid"]:
        lines += [*tables.laid_table(kinds["laid"]), ""]
    if kinds["head"]:
        known = [row for row in kinds["head"] if "left_ml" in row]
        shown = ", ".join(f"{row['case']} {row['left_ml']:.1f} / {row['right_ml']:.1f}" for row in known)
        lines += [f"Real heads, mL left / right: {shown}.", ""]
    if kinds["virtual"]:
        sick = [row["dice"] for row in kinds["virtual"] if row["reference_ml"] > 0]
        well = [row["marked_ml"] for row in kinds["virtual"] if row["reference_ml"] == 0]
        lines += [f"Virtual patients: Dice {tables.with_interval(sick)} (n = {len(sick)}); marked where there is no "
                  f"infarct: mean {np.mean(well) if well else 0:.1f} mL (n = {len(well)}).", ""]  # fmt: skip
    return lines


def note_test_use(models: Sequence[Model]) -> None:
    """Add a line for each set of weights: date, commit, sha256."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=TEST_USES.parent, capture_output=True, text=True, check=True
    ).stdout.strip()
    new = not TEST_USES.is_file()
    with TEST_USES.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(("date", "commit", "weights", "sha256"))
        for model in models:
            writer.writerow((datetime.date.today(), commit, model.weights.name, model.weights.sha256))


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write one row per case and weights; missing values are empty."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def parsed() -> argparse.Namespace:
    """The command line. Exits if the test part is requested without --test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--test", action="store_true", help="yes, score the test part, and note it")
    for name in ("real", "lesions", "heads", "cpaisd", "virtual", "about"):
        parser.add_argument(f"--{name}", type=Path)
    arguments = parser.parse_args()
    if (arguments.part == "test") != arguments.test:
        parser.error("the test part needs both --part test and --test: nothing is chosen on it, and each use is noted")
    return arguments


def main() -> None:
    arguments = parsed()
    models = [adn.load_model(weights) for weights in arguments.weights]
    if arguments.test:
        note_test_use(models)
    judge = adn.load_model(ALIGNED_BY)
    rows: list[dict[str, Any]] = []
    for case in all_cases(arguments):
        aligned = predicted(case, judge, arguments.out) if case.infarct else None
        for model in models:
            row = scored(case, predicted(case, model, arguments.out), aligned)
            rows.append({"weights": model.weights.name, "sha256": model.weights.sha256, **row})
            write_rows(rows, arguments.out / "cases.csv")
            print(f"{model.weights.name}, {case.kind} {case.name}: {summary(row)}", file=sys.stderr, flush=True)
    for model in models:
        own = [row for row in rows if row["sha256"] == model.weights.sha256]
        print("\n".join(report(model.weights.name, own, arguments.part)))
        if arguments.about:
            with arguments.about.open(newline="", encoding="utf-8") as file:
                about = {line["case"]: line for line in csv.DictReader(file)}
            print("\n".join(tables.scanner_table([row for row in own if row["kind"] == "outlined"], about)))
        if arguments.cpaisd:
            from cpaisd_ruler import cpaisd_lines

            print("\n".join(cpaisd_lines(arguments.cpaisd, model)))


def summary(row: dict[str, Any]) -> str:
    """What is printed about a case during the run."""
    if row.get("refused"):
        return "refused"
    shown = f"{row['marked_ml']:.1f} mL"
    return f"{shown} of {row['reference_ml']:.1f} mL, Dice {row['dice']:.2f}" if "dice" in row else shown


if __name__ == "__main__":
    main()
