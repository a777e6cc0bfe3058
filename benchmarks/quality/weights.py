"""Shipped weights on a fixed set of virtual patients: the whole pipeline, from CT with skull to mask; Markdown tables.

    adn synth --preset vp52 --anatomy DIR --lesions DIR -o CASES
    python benchmarks/quality/weights.py CASES -o OUT [--weights NAME|PATH] [--thresholds 0.3 0.5 0.7]

Infarct by volume, contrast and region, with intervals over heads; infarct marked where there is none; the mid-sagittal
plane; brain and tissue. A stopped run resumes; OUT/evaluation holds every metric, as `adn evaluate` writes it.
--thresholds is for calibration, and only for a validation set (vp52-val): mean Dice and false positives at each.
Contrast: mean HU that grey and white matter lose in the patient's acute infarcts. Region: where most of the reference
lies, by the territories of `adn.findings.territory`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from alignment import error

from adn.brain import Brain, find_brain
from adn.evaluation import evaluate
from adn.findings.territory import mni_from_aligned, territory_shares
from adn.io import open_scan
from adn.io.atomic import atomic_folder
from adn.io.nifti import read_volume, write_volume
from adn.metrics.overlap import dice
from adn.metrics.strata import ALL, LARGE, MIDDLE, SMALL, volume_stratum
from adn.metrics.summary import CaseScores
from adn.prediction.assemble import predict
from adn.prediction.model import Model, load_model
from adn.space.affine import Affine
from adn.space.labels import TISSUES
from adn.space.volume import Volume
from adn.virtual.plan import PatientPlan

POSTERIOR_FOSSA = ("cerebellum", "brainstem")
CONTRASTS = (("contrast < 5 HU", 0.0, 5.0), ("5–9 HU", 5.0, 9.0), ("> 9 HU", 9.0, 1e9))
METRICS = ("dice", "hd95_mm", "surface_dice_5mm", "volume_difference_ml", "lesion_f1")


def plane_error(record: dict, aligned_from_scan: np.ndarray, brain: Volume) -> tuple[float, float]:
    """Angle (degrees) and distance at the brain's centroid (mm) between the true and the found mid-sagittal plane."""
    world_from_index = brain.grid.affine
    normal = np.array(record["midplane"]["normal_ras"])
    true = np.append(normal, -record["midplane"]["offset_mm"])
    found = aligned_from_scan[0] @ np.linalg.inv(world_from_index)  # x of the aligned frame, of a RAS point in mm
    found /= np.linalg.norm(found[:3])
    centroid = Affine(world_from_index).apply(np.argwhere(brain.data).mean(0))
    return error(found, true / np.linalg.norm(normal), centroid)


def contrast_hu(plan: PatientPlan) -> float:
    """Mean HU that grey and white matter lose in the acute infarcts; 0 without any."""
    drops = [(infarct.drop_gm_hu + infarct.drop_wm_hu) / 2 for infarct in plan.infarcts if infarct.acute]
    return float(np.mean(drops)) if drops else 0.0


def run_case(case: Path, model: Model, folder: Path, thresholds: Sequence[float]) -> None:
    """Predict one patient, and store in `case.json` what `adn evaluate` does not measure."""
    record = json.loads((case / "plan.json").read_text(encoding="utf-8"))
    truth = {name: read_volume(case / f"{name}.nii.gz", unit="label") for name in ("infarct", "brain", "tissue")}
    found_brain: list[Brain] = []

    def strip(volume: Volume) -> Volume:
        assert model.tissue
        found_brain.append(find_brain(volume, model.tissue))
        return found_brain[0].mask

    begin = time.perf_counter()
    found = predict(open_scan(case / "ct.nii.gz"), model, strip=strip)
    seconds = time.perf_counter() - begin
    tissue = found_brain[0].tissue
    labels = tissue.reoriented(truth["tissue"].grid.axes).data if tissue else np.zeros_like(truth["tissue"].data)
    inside, probability = truth["infarct"].data > 0, found.infarct_probability.data
    brain = truth["brain"].reoriented("SPL")
    true_aligned = found.aligned_from_scan @ reorder(truth["brain"], brain)
    shares = {}
    if inside.any():
        mni = mni_from_aligned(open_scan(case / "ct.nii.gz").volume.reoriented("SPL"), brain, true_aligned)
        infarct = truth["infarct"].reoriented("SPL")
        for share in territory_shares(infarct.data, infarct.grid.voxel_ml, mni @ true_aligned):
            shares[share.territory] = shares.get(share.territory, 0.0) + share.volume_ml
    note = {
        "head": record["head"],
        "contrast_hu": contrast_hu(PatientPlan.from_dict(record["plan"])),
        "territory_ml": shares,
        "plane": plane_error(record, found.aligned_from_scan, truth["brain"]),
        "brain": dice(found.brain_mask.data > 0, truth["brain"].data > 0),
        "tissue": [dice(labels == k, truth["tissue"].data == k) for k in TISSUES],
        "reference_ml": float(inside.sum() * truth["infarct"].grid.voxel_ml),
        "swept": [
            (dice(probability >= t, inside), float((probability >= t).sum() * found.infarct.grid.voxel_ml))
            for t in thresholds
        ],
        "seconds": seconds,
    }
    with atomic_folder(folder, marker="case.json") as temporary:
        write_volume(found.infarct, temporary / "infarct.nii.gz")
        write_volume(found.infarct_probability, temporary / "infarct_probability.nii.gz")
        (temporary / "case.json").write_text(json.dumps(note), encoding="utf-8")


def reorder(stored: Volume, turned: Volume) -> np.ndarray:
    """4 × 4: array index in another axis order → array index as stored."""
    return np.linalg.inv(stored.grid.affine) @ turned.grid.affine


def row(name: str, cases: list[CaseScores]) -> str:
    """A line of the table: mean (median) of Dice, then means; missing HD95s are counted."""
    cells = []
    for metric in METRICS:
        values = [getattr(case.scores, metric) for case in cases]
        known = [value for value in values if value is not None]
        mean = (
            f"{np.mean(known):.3f}" if metric in ("dice", "surface_dice_5mm", "lesion_f1") else f"{np.mean(known):.1f}"
        )
        cells.append(mean + (f" ({len(values) - len(known)} missing)" if len(known) < len(values) else ""))
        if metric == "dice":
            cells.append(f"{np.median(known):.3f}")
    return f"| {name} | {len(cases)} | {' | '.join(cells)} |"


def print_tables(cases: list[CaseScores], notes: dict[str, dict], thresholds: Sequence[float]) -> None:
    sick = [case for case in cases if case.scores.reference_ml > 0]
    groups: list[tuple[str, Callable[[CaseScores], bool]]] = [(ALL, lambda _: True)]
    for size in (SMALL, MIDDLE, LARGE):
        groups.append((size, lambda case, size=size: volume_stratum(case.scores.reference_ml) == size))
    for name, low, high in CONTRASTS:
        groups.append((name, lambda case, a=low, b=high: a <= notes[case.case]["contrast_hu"] < b))

    def posterior(case: CaseScores) -> bool:
        shares = notes[case.case]["territory_ml"]
        return sum(shares.get(name, 0.0) for name in POSTERIOR_FOSSA) > sum(shares.values()) / 2

    groups += [("posterior fossa", posterior), ("above the tentorium", lambda case: not posterior(case))]
    print("\n| infarct | n | Dice | median | HD95 mm | surface Dice 5 mm | volume error mL | lesion F1 |")
    print("|---|---|---|---|---|---|---|---|")
    for name, belongs in groups:
        chosen = [case for case in sick if belongs(case)]
        print(row(name, chosen) if chosen else f"| {name} | 0 | | | | | | |")
    false_ml = [case.scores.prediction_ml for case in cases if case.scores.reference_ml == 0]
    if false_ml:
        mean, median = np.mean(false_ml), np.median(false_ml)
        print(f"\nWithout infarct (n = {len(false_ml)}): {mean:.1f} mL marked, median {median:.1f}.")
    kept = list(notes.values())
    angle, distance = np.array([note["plane"] for note in kept]).T
    print(f"Plane: {np.median(angle):.2f}° (95 % below {np.percentile(angle, 95):.2f}°), "
          f"{np.median(distance):.2f} mm ({np.percentile(distance, 95):.2f} mm).")  # fmt: skip
    brain, tissue = np.array([note["brain"] for note in kept]), np.array([note["tissue"] for note in kept])
    print(f"Dice of brain {brain.mean():.3f} (worst {brain.min():.3f}), GM {tissue[:, 0].mean():.3f}, "
          f"WM {tissue[:, 1].mean():.3f}, CSF {tissue[:, 2].mean():.3f}.")  # fmt: skip
    for k, threshold in enumerate(thresholds):
        dices = [note["swept"][k][0] for note in kept if note["reference_ml"] > 0]
        marked = [note["swept"][k][1] for note in kept if note["reference_ml"] == 0]
        print(f"threshold {threshold:.2f}: mean Dice {np.mean(dices):.3f}, marked without infarct "
              f"{np.mean(marked) if marked else np.nan:.1f} mL")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--weights")
    parser.add_argument("--thresholds", type=float, nargs="*", default=[])
    arguments = parser.parse_args()
    model = load_model(arguments.weights)
    predictions = arguments.out / "predictions"
    for case in sorted(path.parent for path in arguments.cases.glob("*/plan.json")):
        if not (predictions / case.name / "case.json").is_file():
            run_case(case, model, predictions / case.name, arguments.thresholds)
            print(case.name, json.loads((predictions / case.name / "case.json").read_text())["swept"], flush=True)
    found = evaluate({"weights": predictions}, arguments.cases, arguments.out / "evaluation", overwrite=True)
    notes = {path.parent.name: json.loads(path.read_text()) for path in predictions.glob("*/case.json")}
    print_tables([case for case in found.cases if case.grid == "own"], notes, arguments.thresholds)
    for stratum in ("all", "with infarct"):
        summary = found.summary("weights", "dice", stratum)
        if summary and summary.cluster_interval:
            low, high = summary.cluster_interval
            print(
                f"Dice, {stratum}: {summary.mean:.3f}, 95 % interval by head {low:.3f} to {high:.3f} (n = {summary.n})"
            )


if __name__ == "__main__":
    main()
