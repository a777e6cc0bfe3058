"""Errors of the shifts of septum and third ventricle on real heads, compared with points placed by eye.

    python benchmarks/quality/midline_by_eye.py --phe-sich DIR --heads DIR

midline_points.csv holds, for each head, level and reading, three points in the scan's own LPS mm: where the falx meets
the inner table in front and behind in the slice, and the septum (septum) or the middle of the third ventricle (pineal).
They were placed on enlarged slices before the method was run on the heads; the second reading, of 11 heads in another
order, shows how well the eye agrees with itself. Shift by eye: the distance of the middle point from the line between
the other two, within the slice, positive to the patient's left; the first reading is used. --phe-sich: cases as
`tools/real_cases.py` writes them, training and validation only. --heads: the real heads.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import adn
from adn.answers import MassEffect
from adn.findings.mass_effect import mass_effect
from adn.findings.territory import mni_from_aligned
from adn.findings.twins import twins_of
from adn.prediction.model import Model, load_model
from adn.prediction.pipeline import locate
from adn.space.affine import Affine

POINTS = Path(__file__).with_name("midline_points.csv")
LEVELS = ("septum", "pineal")
LIMITS_MM = (3.0, 5.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phe-sich", type=Path, required=True)
    parser.add_argument("--heads", type=Path, required=True)
    arguments = parser.parse_args()
    model = load_model()
    seen = {1: read_points(1), 2: read_points(2)}
    cases = sorted({case for case, _ in seen[1]})
    rows: dict[str, list[tuple[float, float, float]]] = {level: [] for level in LEVELS}
    for case in cases:
        path = arguments.heads / case
        path = path if path.exists() else arguments.phe_sich / case / "ct.nii.gz"
        said, plane = said_of(path, {level: seen[1][case, level] for level in LEVELS}, model)
        for level in LEVELS:
            eye = shift_mm(seen[1][case, level])
            rows[level].append((eye, said[level], plane[level]))
            print(f"{case} {level}: by eye {eye:.1f}, said {said[level]:.1f}; the plane is off by {plane[level]:+.1f} "
                  f"and the middle by {said[level] + plane[level] - eye:+.1f}", flush=True)  # fmt: skip
    again = [shift_mm(points) - shift_mm(seen[1][key]) for key, points in seen[2].items()]
    print(f"eye against itself: {np.mean(np.abs(again)):.1f} mm on average, {np.max(np.abs(again)):.1f} at most, "
          f"{len(again)} levels")  # fmt: skip
    for level in LEVELS:
        tell(level, np.array(rows[level]))
    tell("both", np.array(rows["septum"] + rows["pineal"]))


def read_points(reading: int) -> dict[tuple[str, str], NDArray[np.float64]]:
    """(case, level) → front, back and middle, (3, 3), LPS mm."""
    with POINTS.open(newline="", encoding="utf-8") as file:
        return {
            (row["case"], row["level"]): np.array(
                [[float(row[f"{place}_{axis}"]) for axis in "xyz"] for place in ("front", "back", "middle")]
            )
            for row in csv.DictReader(file)
            if int(row["reading"]) == reading
        }


def shift_mm(points: NDArray[np.float64]) -> float:
    """Distance of the middle from the line between front and back, in the slice, positive to the patient's left."""
    front, back, middle = points
    along = (back - front) / np.linalg.norm(back - front)
    across = np.array([1.0, 0.0, 0.0]) - along[0] * along
    return float((middle - front) @ across / np.linalg.norm(across))


def said_of(
    path: Path, points: dict[str, NDArray[np.float64]], model: Model
) -> tuple[dict[str, float], dict[str, float]]:
    """By level: the reported shift, NaN where there is none; and how far the alignment's plane lies left of the line by
    eye, at the middle point's height."""
    located = locate(adn.open_scan(path), model)
    scan, brain, aligned = located.volume, located.brain.mask, located.aligned_from_scan
    twins = twins_of(scan, brain, np.zeros(scan.grid.shape, np.uint8), aligned)
    found = mass_effect(scan, twins, aligned, mni_from_aligned(scan, brain, aligned))
    said = (found.septum_shift_mm, found.pineal_shift_mm) if isinstance(found, MassEffect) else (None, None)
    to_index = np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.grid.affine)
    to_aligned = Affine(aligned @ to_index)
    plane = {level: shift_mm(three) - float(to_aligned.apply(three[2])[0]) for level, three in points.items()}
    return {k: np.nan if x is None else x for k, x in zip(LEVELS, said, strict=True)}, plane


def tell(name: str, rows: NDArray[np.float64]) -> None:
    """Print the errors of one level. rows: shift by eye, reported shift, and the plane's error, mm."""
    eye, said, plane = rows.T
    known = np.isfinite(said)
    size = np.abs(said - eye)[known]
    print(f"{name}: by eye up to {np.abs(eye).max():.1f} mm, not said in {(~known).sum()} of {len(rows)}")
    print(f"  error {np.mean(said - eye, where=known):+.1f}, absolute {size.mean():.1f} on average")
    print(f"  {np.median(size):.1f} median, {size.max():.1f} at most; at most 1.5 mm in {np.mean(size <= 1.5):.0%}")
    print(f"  of which the plane: {np.mean(np.abs(plane)):.1f} on average, {np.abs(plane).max():.1f} at most")
    for limit in LIMITS_MM:
        by_eye, by_method = np.abs(eye[known]) >= limit, np.abs(said[known]) >= limit
        print(f"  {limit:.0f} mm or more: agreed in {np.mean(by_eye == by_method):.0%}; by eye {by_eye.sum()}, said "
              f"{by_method.sum()}, both {(by_eye & by_method).sum()} of {known.sum()}")  # fmt: skip


if __name__ == "__main__":
    main()
