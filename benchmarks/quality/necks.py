"""Heads with a neck added below: are they processed, and does the brain mask stay within the head?

    python benchmarks/quality/necks.py RESULTS SCANS [-n 16] [--neck-mm 120]

RESULTS: folders of `adn predict` on virtual patients. SCANS: their folders, with ct.nii.gz. Only scans that end in the
spinal canal are used. Below the lowest slice they get a neck of soft tissue, spine, canal with cord, and airway. Each
line: how far the mask reaches below the foramen magnum, its Dice with the head's original mask above the foramen, and
how much of the head's brain is lost there; or the refusal.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import adn.brain
import adn.prepare.model_grid
from adn import load_model
from adn.errors import InputError
from adn.io import read_volume
from adn.metrics.overlap import dice
from adn.prediction.pipeline import locate
from adn.prepare import coarse as cm
from adn.prepare.canal import canal_slices
from adn.results import Scan
from adn.space.geometry import Grid
from adn.space.volume import Volume


def with_neck(head: Volume, brain: Volume, neck_mm: float) -> tuple[Volume, int]:
    """A head in SPL order with a neck below its lowest slice, and the number of slices of that neck."""
    depth_mm, *plane_mm = head.grid.spacing_mm
    count = round(neck_mm / depth_mm)
    lowest = head.data[0]
    body = cm.fill_slices((lowest > -300.0)[None])[0]
    rows, columns = np.indices(lowest.shape)
    y, x = (np.argwhere(brain.data[0] > 0).mean(0) * plane_mm).tolist()
    down, across = rows * plane_mm[0] - y, columns * plane_mm[1] - x
    noise = np.random.default_rng(0)
    slices = []
    for number in range(count):
        below_mm = (count - number) * depth_mm  # of the lowest slice first
        narrow = max(0.0, min(1.0, below_mm / 40.0))
        inside = body & (np.hypot(across / (95 - 35 * narrow), (down + 20) / (120 - 50 * narrow)) < 1)
        hu = np.where(inside, np.where(np.sin(across / 9) * np.sin(down / 11) > 0.5, -80.0, 55.0), -1000.0)
        spine, vertebra = np.hypot(across, down), np.hypot(across, down + 22)
        if below_mm % 20 > 4:  # discs and ligaments between vertebrae
            hu[(spine < 16) & (spine >= 10)] = 600.0
            hu[vertebra < 13] = np.where(vertebra[vertebra < 13] > 10, 700.0, 250.0)
        hu[spine < 10] = 12.0
        hu[spine < 5] = 36.0
        hu[np.hypot(across, down + 55) < 8] = -1000.0
        slices.append(hu + noise.normal(0, 5, hu.shape))
    affine = head.grid.affine.copy()
    affine[:3, 3] -= count * affine[:3, 0]
    data = np.concatenate([np.asarray(slices, np.float32), head.data.astype(np.float32)])
    return Volume(data, Grid(data.shape, affine), "HU"), count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("scans", type=Path)
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--neck-mm", type=float, default=120.0)
    parser.add_argument("--uncut", action="store_true", help="as before the canal was cut off")
    arguments = parser.parse_args()
    if arguments.uncut:
        adn.brain.without_long_canal = lambda brain, _: brain
        adn.prepare.model_grid.canal_slices = lambda *_: 0
    model, done = load_model(), 0
    for case in sorted(path.parent for path in arguments.results.glob("*/brain_mask.nii.gz")):
        brain = read_volume(case / "brain_mask.nii.gz", np.uint8, "label").reoriented("SPL")
        below = canal_slices(brain.data > 0, brain.grid.spacing_mm)
        if not brain.data[0].any() or not below:
            continue
        head = read_volume(arguments.scans / case.name / "ct.nii.gz", np.float32).reoriented("SPL")
        volume, count = with_neck(head, brain, arguments.neck_mm)
        try:
            located = locate(Scan(case.name, volume, "nifti"), model)
        except InputError as error:
            print(f"{case.name}: refused: {error.what}", flush=True)
        else:
            found = located.brain.mask.data > 0
            own = brain.data[below:] > 0
            used = np.flatnonzero(found.any(axis=(1, 2)))[0]
            tail_mm = (count + below - used) * head.grid.spacing_mm[0]
            above = found[count + below :]
            print(
                f"{case.name}: {located.brain.stripper}, {tail_mm:.0f} mm below the foramen, "
                f"Dice above it {dice(above, own):.3f}, lost {(own & ~above).sum() / own.sum():.1%}",
                flush=True,
            )
        done += 1
        if done == arguments.n:
            break


if __name__ == "__main__":
    main()
