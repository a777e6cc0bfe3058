"""Errors of registration to MNI space for parts of heads.

    python benchmarks/quality/territory_parts.py RESULTS SCANS

RESULTS: folders of `adn predict` on virtual patients. SCANS: their folders, with ct.nii.gz. From each, slabs of several
heights are cut at random places and registered with the whole head's alignment. The error is the mean distance, over
the slab's brain, between where the slab's registration and the whole head's put it.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from adn.findings.quality import cut_ends
from adn.findings.territory import can_register, mni_from_aligned
from adn.io import read_volume
from adn.space.geometry import Grid
from adn.space.volume import Volume

HEIGHTS_MM = (10, 20, 35, 50, 70, 90)
TRIES = 3


def slab(volume: Volume, low: int, high: int) -> Volume:
    """Slices of a volume in SPL order."""
    affine = volume.grid.affine.copy()
    affine[:3, 3] += low * affine[:3, 0]
    data = volume.data[low:high]
    return Volume(data, Grid(data.shape, affine), volume.unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("scans", type=Path)
    parser.add_argument("-n", type=int, default=20)
    arguments = parser.parse_args()
    generator = np.random.default_rng(1)
    errors: dict[tuple, list[float]] = defaultdict(list)
    for case in sorted(path.parent for path in arguments.results.glob("*/result.json"))[: arguments.n]:
        ct = read_volume(arguments.scans / case.name / "ct.nii.gz", np.float32)
        to_spl = np.rint(np.linalg.inv(ct.grid.reoriented("SPL").affine) @ ct.grid.affine)
        stored = json.loads((case / "result.json").read_text(encoding="utf-8"))["aligned_from_scan"]
        aligned = np.array(stored) @ np.linalg.inv(to_spl)
        scan, brain = (v.reoriented("SPL") for v in (ct, read_volume(case / "brain_mask.nii.gz", np.uint8, "label")))
        whole = mni_from_aligned(scan, brain, aligned)
        used = np.flatnonzero(brain.data.any(axis=(1, 2)))
        for height_mm in HEIGHTS_MM:
            slices = max(1, round(height_mm / scan.grid.spacing_mm[0]))
            for low in generator.choice(np.arange(used[0], max(used[-1] - slices, used[0]) + 2), TRIES):
                part, mask = (slab(v, int(low), int(low) + slices) for v in (scan, brain))
                if mask.data.sum() * mask.grid.voxel_ml < 20.0:
                    continue
                shifted = aligned.copy()
                shifted[:3, 3] += aligned[:3, 0] * low
                found = mni_from_aligned(part, mask, shifted)
                index = np.argwhere(mask.data)[::997]
                place = np.c_[index @ shifted[:3, :3].T + shifted[:3, 3], np.ones(len(index))]
                error = float(np.linalg.norm((place @ (found - whole).T)[:, :3], axis=1).mean())
                errors["named" if can_register(mask) else "not named", "all"].append(error)
                base, vertex = cut_ends(mask)
                errors[
                    f"{height_mm} mm", f"base {'cut' if base else 'seen'}, vertex {'cut' if vertex else 'seen'}"
                ] += [error]
    for name, values in sorted(errors.items()):
        print(*name, f"n {len(values)}, median {np.median(values):.1f} mm, most {max(values):.1f} mm", sep="; ")


if __name__ == "__main__":
    main()
