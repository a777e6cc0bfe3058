"""Slabs cut from whole heads: are they processed, and does the mask on them agree with the whole head's?

    python benchmarks/quality/slabs.py RESULTS SCANS [--height-mm 50] [--at infarct|base] [-n 40] [--brain]

RESULTS: folders of `adn predict` on whole virtual patients. SCANS: their folders, with ct.nii.gz. A slab is cut around
the middle of the marked infarct (patients with 5 mL and more), or starts at the lowest slice with 30 cm² of brain. Each
line: the Dice of the slab's brain and infarct with those of the whole head within the slab, or the refusal; medians at
the end. --brain: only the brain.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from territory_parts import slab

from adn import load_model, predict
from adn.brain import find_brain
from adn.errors import InputError
from adn.io import read_volume
from adn.metrics.overlap import dice
from adn.results import Scan

LEAST_ML, BASE_CM2 = 5.0, 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("scans", type=Path)
    parser.add_argument("--height-mm", type=float, default=50.0)
    parser.add_argument("--at", choices=("infarct", "base"), default="infarct")
    parser.add_argument("-n", type=int, default=40)
    parser.add_argument("--brain", action="store_true")
    arguments = parser.parse_args()
    model, scores = load_model(), []
    for case in sorted(path.parent for path in arguments.results.glob("*/result.json")):
        infarct, brain = (
            read_volume(case / f"{name}.nii.gz", np.uint8, "label").reoriented("SPL")
            for name in ("infarct", "brain_mask")
        )
        step_mm, count = brain.grid.spacing_mm[0], len(brain.data)
        area = infarct.data.sum(axis=(1, 2))
        if arguments.at == "infarct" and area.sum() * infarct.grid.voxel_ml < LEAST_ML:
            continue
        slices = max(1, round(arguments.height_mm / step_mm))
        area_cm2 = brain.data.sum(axis=(1, 2)) * brain.grid.voxel_ml * 10.0 / step_mm
        first = int(np.flatnonzero(area_cm2 >= BASE_CM2)[0])
        if arguments.at == "infarct":
            first = round(float((area * np.arange(count)).sum() / area.sum())) - slices // 2
        low = min(max(first, 0), count - slices)
        head = read_volume(arguments.scans / case.name / "ct.nii.gz", np.float32).reoriented("SPL")
        part, own = slab(head, low, low + slices), slice(low, low + slices)
        try:
            if arguments.brain:
                assert model.tissue is not None
                found = find_brain(part, model.tissue)
                scores.append((dice(found.mask.data > 0, brain.data[own] > 0),))
            else:
                made = predict(Scan(case.name, part, "nifti"), model)
                pairs = ((made.brain_mask, brain), (made.infarct, infarct))
                scores.append(tuple(dice(a.data > 0, b.data[own] > 0) for a, b in pairs))
        except InputError as error:
            print(f"{case.name}, {slices} slices: refused: {error.what}", flush=True)
            scores.append((0.0,) * (1 if arguments.brain else 2))
        else:
            print(f"{case.name}, {slices} slices: Dice", *(f"{score:.3f}" for score in scores[-1]), flush=True)
        if len(scores) == arguments.n:
            break
    print(f"{len(scores)} slabs, median Dice", *(f"{value:.3f}" for value in np.median(scores, axis=0)))


if __name__ == "__main__":
    main()
