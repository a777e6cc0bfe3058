"""The shipped weights on virtual patients, whole pipeline: skull on, random pose, the scanner's own grid.

    python benchmarks/weights.py --anatomy DIR --lesions DIR --split test [-n 40] [--weights NAME|PATH]

Prints Dice, HD95, volume error, and false positive mL of patients without infarct; by volume stratum. `--split val`
with `--thresholds` is for calibration: it prints Dice and false positives for several thresholds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from adn.geometry import Grid
from adn.metrics import score
from adn.predict import load_model, predict
from adn.results import Scan
from adn.synth.draw import draw_patient
from adn.synthesize import Library, patient_generator, render_plan, scanner_lattice
from adn.volume import Volume

STRATA = ((0.0, 30.0), (30.0, 70.0), (70.0, 1e9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--weights")
    parser.add_argument("--matrix", type=int, default=256)
    parser.add_argument("--seed", type=int, default=5252)
    parser.add_argument("--thresholds", type=float, nargs="*", default=[])
    parser.add_argument("-n", type=int, default=40)
    arguments = parser.parse_args()
    model = load_model(arguments.weights)
    library = Library.from_folders(arguments.anatomy, arguments.lesions, arguments.split)
    choices = library.choices()
    rows, swept = [], []
    for i in range(arguments.n):
        plan = draw_patient(patient_generator(arguments.seed, i), choices)
        lattice = scanner_lattice(plan, arguments.matrix)
        patient = render_plan(plan, library, lattice)
        grid = Grid.centred(lattice.shape, lattice.spacing_mm)
        reference = Volume(patient.infarct.numpy().astype(np.uint8), grid, "label")
        found = predict(Scan(f"vp-{i:04d}", Volume(patient.ct.numpy().astype(np.float32), grid), "virtual"), model)
        scores = score(found.infarct, reference)
        true_ml = float(reference.data.sum()) * grid.voxel_ml
        hd95 = np.nan if scores.hd95_mm is None else scores.hd95_mm
        rows.append((true_ml, found.measurements.volume_ml, scores.dice, hd95))
        p = found.infarct_probability.data
        swept.append([_dice(p >= t, reference.data > 0) for t in arguments.thresholds])
        print(
            f"{i:3d} true {true_ml:7.1f} mL  found {rows[-1][1]:7.1f} mL  Dice {scores.dice:.3f}  HD95 {hd95:6.1f}",
            flush=True,
        )
    table = np.array(rows)
    sick = table[:, 0] > 0
    for low, high in ((0.0, 1e9), *STRATA):
        chosen = sick & (table[:, 0] > low) & (table[:, 0] <= high)
        if chosen.any():
            t = table[chosen]
            print(
                f"{low:4.0f}-{high:<6.0g} mL n={chosen.sum():2d} "
                f"Dice mean {t[:, 2].mean():.3f} median {np.median(t[:, 2]):.3f}  "
                f"HD95 {np.nanmean(t[:, 3]):.1f} mm ({np.isnan(t[:, 3]).sum()} missing)  "
                f"volume error {np.abs(t[:, 1] - t[:, 0]).mean():.1f} mL"
            )
    if (~sick).any():
        false_ml = table[~sick, 1]
        mean, median = false_ml.mean(), np.median(false_ml)
        print(f"no infarct n={(~sick).sum()} false positive mean {mean:.1f} median {median:.1f} mL")
    for t, column in zip(arguments.thresholds, np.array(swept).T, strict=True):
        print(f"threshold {t:.2f}: mean Dice {column[sick].mean():.3f}")


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    total = a.sum() + b.sum()
    return float(2 * (a & b).sum() / total) if total else 1.0


if __name__ == "__main__":
    main()
