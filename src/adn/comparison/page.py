"""What a comparison writes: comparison.html (scans side by side, one slider), comparison.json and comparison.csv."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adn.comparison.timepoint import TimePoint, laid
from adn.lang import Words
from adn.report.html import render
from adn.report.slices import slice_pictures
from adn.results import DISCLAIMER
from adn.space.volume import Volume

MARKER = "comparison.json"
SCHEMA_VERSION = 1  # raised when a key is removed or changes its meaning
SAME_ML, SAME_PERCENT = 1.0, 10.0  # less than either is no growth: virtual pairs, docs/answers.md
UNITS = {
    "volume_ml": "mL, on the scan's own voxels",
    "volume_interval_ml": "mL; 80 % of true volumes lie within; null where the weights are not calibrated",
    "growth_ml": "mL, this volume less the first",
    "growth_percent": "% of the first volume; null where that is 0",
    "sure": "whether the intervals of both volumes are apart; null where there are none",
    "parts": "parts of the infarct with no twin within 4 mm in the other scan, 0.2 mL and more",
    "registration": "matrix: array index of the first scan to that of this one, both SPL; brain_dice, likeness: how "
    "well the heads fit; covered: share of either brain that the other scan shows",
}
COLUMNS = (
    *("case", "volume_ml", "side", "growth_ml", "growth_percent", "sure", "new_ml", "vanished_ml"),
    *("brain_dice", "likeness", "verdict", "weights", "adn_version", "disclaimer"),
)


def verdict(points: Sequence[TimePoint], say: Words) -> str:
    """Growth from the first scan to the last, in one line."""
    growth = points[-1].growth
    assert growth is not None, "a comparison has two scans or more"
    first, second = say.volume(growth.first_ml), say.volume(growth.second_ml)
    if growth.first_ml == growth.second_ml == 0:
        return say("compare.none")
    if growth.percent is None:
        return say("compare.appeared", second=second)
    if growth.second_ml == 0:
        return say("compare.gone", first=first)
    small = abs(growth.growth_ml) < SAME_ML or abs(growth.percent) < SAME_PERCENT
    kind = "same" if small else "grew" if growth.growth_ml > 0 else "shrank"
    change, percent = signed(growth.growth_ml, say, " mL"), signed(growth.percent, say, "", 0)
    return say(f"compare.{kind}", first=first, second=second, change=change, percent=percent)


def signed(value: float, say: Words, unit: str, digits: int = 1) -> str:
    """A number with its sign, including plus."""
    text = say.number(value, digits, unit)
    return text if value < 0 and round(value, digits) else f"+{text}"


def comparison_dict(points: Sequence[TimePoint], say: Words) -> dict[str, Any]:
    """The content of comparison.json, in the order of the scans."""
    return {
        "schema_version": SCHEMA_VERSION,
        "disclaimer": DISCLAIMER,
        "language": say.code,
        "verdict": verdict(points, say),
        "scans": [_scan(point) for point in points],
        "units": UNITS,
    }


def write_comparison(points: Sequence[TimePoint], folder: Path, say: Words) -> None:
    """Write the three files into `folder`; the caller makes it appear as a whole."""
    content = comparison_dict(points, say)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / MARKER).write_text(text + "\n", encoding="utf-8")
    with (folder / "comparison.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(_row(scan) for scan in content["scans"])
    (folder / "comparison.html").write_text(render_comparison(points, say), encoding="utf-8")


def render_comparison(points: Sequence[TimePoint], say: Words) -> str:
    """The page as HTML text."""
    first = points[0]
    brain = first.head.brain.reoriented(first.axes)
    columns = [slice_pictures(*_shown(first, point), brain) for point in points]
    return render(
        "comparison",
        say,
        verdict=verdict(points, say),
        points=points,
        rows=list(zip(*columns, strict=True)),
        signed=lambda value, unit, digits=1: signed(value, say, unit, digits),
        unsure=points[-1].growth is not None and points[-1].growth.sure is False,
    )


def _shown(first: TimePoint, point: TimePoint) -> tuple[Volume, Volume, Volume]:
    """Scan, brain and infarct of a time point on the first scan's voxels, along the axes of its file."""
    brain = first.head.brain
    scan, infarct = (first.head.scan, first.head.infarct) if point is first else laid(first, point)
    return scan.reoriented(first.axes), brain.reoriented(first.axes), infarct.reoriented(first.axes)


def _scan(point: TimePoint) -> dict[str, Any]:
    result, growth, match = point.result, point.growth, point.match
    said = {
        "case": point.case,
        "verdict": result["verdict"],
        "volume_ml": result["volume_ml"],
        "volume_interval_ml": result.get("volume_interval_ml"),
        "side": result["side"],
        "warnings": result["warnings"],
        "weights": result["weights"],
        "weights_sha256": result["weights_sha256"],
        "adn_version": result["adn_version"],
    }
    if growth is None or match is None:
        return said
    percent = growth.percent
    return said | {
        "growth_ml": round(growth.growth_ml, 6),
        "growth_percent": None if percent is None else round(percent, 6),
        "sure": growth.sure,
        "parts": [{"what": one.what, "volume_ml": round(one.volume_ml, 6)} for one in growth.parts],
        "registration": {
            "matrix": match.matrix.tolist(),
            "brain_dice": round(match.brain_dice, 6),
            "likeness": round(match.likeness, 6),
            "covered": round(match.covered, 6),
        },
    }


def _row(scan: dict[str, Any]) -> dict[str, Any]:
    parts = scan.get("parts", [])
    sizes = {
        f"{what}_ml": sum(part["volume_ml"] for part in parts if part["what"] == what) if "parts" in scan else None
        for what in ("new", "vanished")
    }
    values = {**scan, **scan.get("registration", {}), **sizes, "disclaimer": DISCLAIMER}
    return {column: values.get(column) for column in COLUMNS}
