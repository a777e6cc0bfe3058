"""A prediction as plain numbers: `result.json` and one row of `results.csv`."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adn.atlas import SUPPLY
from adn.io.atomic import atomic_path
from adn.lang import ENGLISH, words
from adn.remarks import blocking, warnings
from adn.report import answers
from adn.report.words import Check, checks, first_line
from adn.results import DISCLAIMER, Prediction
from adn.space.geometry import RigidTransform

SCHEMA_VERSION = 2  # of `result.json`: raised when a key is removed or redefined; docs/report.md lists the keys
UNITS = {
    "volume_ml": "mL",
    "volume_interval_ml": "mL; 80 % of true volumes lie within; null where the weights are not calibrated",
    "left_ml": "mL; the patient's left side",
    "right_ml": "mL; the patient's right side",
    "slices": "array indices along the superior-inferior axis as stored in the files, from 0",
    "mean_hu": "HU, mean over the infarct",
    "mirror_hu": "HU, mean over the infarct's mirror twin in the other hemisphere",
    "hu_ratio": "mean_hu / mirror_hu",
    "rotation_deg": "degrees: pitch about left, roll about posterior, in_plane about superior",
    "translation_mm": "mm towards the patient's left, posterior, superior",
    "assessable": "whether it could be judged: a head CT in HU, head-sized, aligned, with enough of the head in view",
    "not_assessable_because": "the kinds of the remarks that decided so; see remarks for their values",
    "poses": "aligned(p) = brain(M p), M = translation · in_plane · roll · pitch, about the model grid's centre",
    "territories": "mL of the infarct by arterial territory, approximate (an affine registration to MNI space)",
    "polarity": "dark: infarcts, darker than the mirror twin, were looked for; bright: bright lesions",
    "language": "of verdict, checks, warnings and sentences",
    "remarks": "facts to know, by kind and values; blocks: do not rely on the result; sentence: for people only",
    "warnings": "the sentences of the remarks that warn; others are in checks, or are notes",
    "checks": "what the report says of the quality, in words; good: nothing to look at",
    "quality": "mL, HU: brain mask, mean difference of the sides before and after alignment, noise in a 5 mm slice, "
    "brain cut by the scan's ends, brain of 55 to 95 HU away from bone",
    "aligned_from_scan": "array index of the scan to LPS mm in the aligned frame, mid-sagittal plane at x = 0",
    "mni_from_aligned": "LPS mm in the aligned frame to LPS mm in MNI space; null if too little of the head is seen",
    "threshold": "on infarct_probability, 0 to 1",
    "seconds": "s of wall time per step",
    "spacing_mm": "mm along each array axis",
    "axes": "direction in which each array axis grows (nearest, where oblique)",
    "affine": "array index to RAS mm",
    "infarct.nii.gz": "mask, 0 or 1",
    "infarct_probability.nii.gz": "0 to 1",
    "brain_mask.nii.gz": "mask, 0 or 1",
    "asymmetry_total.nii.gz": "HU darker than the mirror twin (A)",
    "asymmetry_pathological.nii.gz": "HU, the part of A that is infarct (P)",
    "asymmetry_intrinsic.nii.gz": "HU, the part of A that is normal anatomy (Q = A - P)",
    "relative_hypodensity.nii.gz": "fraction by which tissue is darker than its mirror twin, (X' - X) / X'",
    "salient.nii.gz": "HU, scan + Q: only pathology stays visible",
    "compensated.nii.gz": "HU, scan + P: pathology compensated",
    **answers.UNITS,
}
BRIGHT_UNITS = {  # where bright lesions were looked for
    "relative_hypodensity.nii.gz": "fraction by which tissue is brighter than its mirror twin, (X - X') / X'",
    "asymmetry_total.nii.gz": "HU brighter than the mirror twin (A)",
    "salient.nii.gz": "HU, scan - Q: only pathology stays visible",
    "compensated.nii.gz": "HU, scan - P: pathology compensated",
}
CSV_COLUMNS: tuple[str, ...] = (
    "case",
    "scan",
    "assessable",
    "not_assessable_because",
    "volume_ml",
    "side",
    "left_ml",
    "right_ml",
    "territories",
    "slices",
    "mean_hu",
    "mirror_hu",
    "hu_ratio",
    *answers.CSV_COLUMNS,
    "in_plane_deg",
    "roll_deg",
    "adn_version",
    "recipe",
    "weights",
    "weights_sha256",
    "precision",
    "device",
    "threshold",
    "seconds",
    "warnings",
    "error",
    "disclaimer",
)
CSV_NUMBERS = frozenset(  # the columns that hold numbers
    ("volume_ml", "left_ml", "right_ml", "mean_hu", "mirror_hu", "hu_ratio", "in_plane_deg", "roll_deg", "threshold")
) | {"seconds", *answers.CSV_NUMBERS}


def result_dict(prediction: Prediction, language: str = ENGLISH) -> dict[str, Any]:
    """The content of `result.json`: plain, finite values, with their units; a number that does not exist is None.

    language: of verdict, checks, warnings and sentences (`adn.lang`); keys, kinds and units stay as they are.
    """
    say = words(language)
    found, made, grid = prediction.measurements, prediction.provenance, prediction.scan.volume.grid
    result = {
        "schema_version": SCHEMA_VERSION,
        "case": prediction.case,
        "disclaimer": DISCLAIMER,
        "language": language,
        "verdict": first_line(prediction, say),
        "assessable": prediction.assessable,
        "not_assessable_because": [remark.kind for remark in blocking(prediction.remarks)],
        "volume_ml": found.volume_ml,
        "volume_interval_ml": found.volume_interval_ml,
        "side": found.side,
        "polarity": prediction.polarity,
        "left_ml": found.left_ml,
        "right_ml": found.right_ml,
        "slices": [int(index) for index in found.slices],
        "mean_hu": found.mean_hu,
        "mirror_hu": found.mirror_hu,
        "hu_ratio": found.hu_ratio,
        "poses": {"network": _pose(prediction.pose_network), "refined": _pose(prediction.pose)},
        "territories": [
            {
                "territory": share.territory,
                "artery": SUPPLY[share.territory],
                "side": share.side,
                "volume_ml": share.volume_ml,
            }
            for share in prediction.territories
        ],
        "answers": answers.answers_dict(prediction.answers),
        "quality": asdict(prediction.quality),
        "checks": [_check(check) for check in checks(prediction, say)],
        "aligned_from_scan": prediction.aligned_from_scan.tolist(),
        "mni_from_aligned": None if prediction.mni_from_aligned is None else prediction.mni_from_aligned.tolist(),
        "remarks": [
            {"kind": one.kind, "values": dict(one.values), "blocks": one.blocks, "sentence": one.told(say)}
            for one in prediction.remarks
        ],
        "warnings": list(warnings(prediction.remarks, say)),
        "adn_version": made.adn_version,
        "versions": dict(made.versions),
        "recipe": made.recipe,
        "weights": made.weights,
        "weights_sha256": made.weights_sha256,
        "weights_licence": made.licence,
        "precision": made.precision,
        "device": made.device,
        "stripper": made.stripper,
        "threshold": made.threshold,
        "seconds": dict(made.seconds),
        "source": prediction.scan.source,
        "grid": {
            "shape": list(grid.shape),
            "spacing_mm": list(grid.spacing_mm),
            "axes": grid.axes,
            "affine": grid.affine.tolist(),
        },
        "units": UNITS | (BRIGHT_UNITS if prediction.polarity == "bright" else {}),
    }
    return _plain(result)


def write_result(prediction: Prediction, path: Path, language: str = ENGLISH) -> None:
    """Write `result.json`."""
    text = json.dumps(result_dict(prediction, language), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def csv_row(result: Mapping[str, Any], scan: str = "") -> dict[str, Any]:
    """One row of `results.csv` from a `result_dict`. A failed scan gets a row with only `case`, `scan` and `error`.

    scan: the file or folder as it was given, because case names keep only Latin letters and digits.
    """
    refined = result["poses"]["refined"]["rotation_deg"]
    joined = {
        "scan": scan,
        "assessable": "yes" if result["assessable"] else "no",
        "not_assessable_because": " ".join(result["not_assessable_because"]),
        "territories": "; ".join(
            f"{share['side']} {share['territory']} {share['volume_ml']:.1f} mL" for share in result["territories"]
        ),
        "slices": " ".join(str(index) for index in result["slices"]),
        "in_plane_deg": refined["in_plane"],
        "roll_deg": refined["roll"],
        "seconds": round(sum(result["seconds"].values()), 3),
        "warnings": " | ".join(result["warnings"]),
        "error": None,
        **answers.csv_answers(result["answers"]),
    }
    return {column: joined[column] if column in joined else result[column] for column in CSV_COLUMNS}


def write_results_csv(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write `results.csv`, one row per scan, completely or not at all. Raises OutputError.

    A path that ends in .tsv gets tabs, and `n/a` where there is no value, as BIDS requires.
    """
    tabs = path.suffix == ".tsv"
    letters = "backslashreplace"  # for a file name that is not UTF-8
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8", errors=letters) as file:
        between, end = ("\t", "\n") if tabs else (",", "\r\n")
        writer = csv.DictWriter(file, CSV_COLUMNS, delimiter=between, lineterminator=end)
        writer.writeheader()
        for row in rows:
            cells = {"disclaimer": DISCLAIMER, **row}
            writer.writerow({name: _bids_cell(cells.get(name)) for name in CSV_COLUMNS} if tabs else cells)


def _bids_cell(value: Any) -> Any:
    return "n/a" if value is None or value == "" else value


def _check(check: Check) -> dict[str, Any]:
    return {"name": check.name, "measured": check.measured, "good": check.good, "meaning": check.meaning}


def _pose(pose: RigidTransform) -> dict[str, Any]:
    rotation = zip(("pitch", "roll", "in_plane"), pose.rotation_deg, strict=True)
    translation = zip(("left", "posterior", "superior"), pose.translation_mm, strict=True)
    return {"rotation_deg": dict(rotation), "translation_mm": dict(translation)}


def _plain(value: Any) -> Any:
    """A value for JSON, which has no NaN and no numpy; six decimals are finer than these numbers can be meaningful."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int):
        return value
    return round(float(value), 6) + 0.0 if math.isfinite(value) else None
