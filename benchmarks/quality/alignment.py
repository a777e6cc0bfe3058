"""How accurately the mid-sagittal plane is found on virtual heads with skull: T alone, and conform + T + refinement.

    python benchmarks/quality/alignment.py --anatomy DIR [-n 50] [--weights NAME|PATH]

Prints the angle between the true and found plane normals (3D, degrees) and the distance of the planes at the brain's
centroid (mm): median and 95th percentile, by roll.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from adn.config_draws import HeadsConfig, PatientsConfig
from adn.prediction.model import load_model
from adn.prediction.pipeline import aligned_from_scan, as_rigid, locate
from adn.prepare import strip_skull
from adn.results import Scan
from adn.space.affine import Affine
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan, scanner_lattice
from adn.virtual.library import Library


def plane(matrix: np.ndarray) -> np.ndarray:
    """(normal, offset) of x = 0 in the aligned frame, given aligned ← scan frame."""
    return matrix[0] / np.linalg.norm(matrix[0, :3])


def error(found: np.ndarray, true: np.ndarray, centroid_mm: np.ndarray) -> tuple[float, float]:
    cosine = abs(float(found[:3] @ true[:3]))
    at = np.append(centroid_mm, 1.0)
    sign = np.sign(found[:3] @ true[:3])
    return float(np.rad2deg(np.arccos(min(cosine, 1.0)))), float(abs(sign * (found @ at) - true @ at))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--weights")
    parser.add_argument("--matrix", type=int, default=192)
    parser.add_argument("-n", type=int, default=50)
    arguments = parser.parse_args()
    model = load_model(arguments.weights)
    library = Library.from_folders(arguments.anatomy, arguments.lesions, arguments.split)
    choices = library.choices(PatientsConfig(heads=HeadsConfig(max_pitch_deg=10.0, max_shift_mm=30.0)))
    rows = []
    for i in range(arguments.n):
        plan = draw_patient(patient_generator(77, i), choices)
        roll = (0.0, 10.0, -10.0)[i % 3]
        plan = replace(plan, rotation_deg=(plan.rotation_deg[0], roll, plan.rotation_deg[2]))
        lattice = scanner_lattice(plan, arguments.matrix)
        patient = render_plan(plan, library, lattice)
        grid = Grid.centred(lattice.shape, lattice.spacing_mm)
        volume = Volume(patient.ct.numpy().astype(np.float32), grid)
        located = locate(Scan(library.head(plan.head).name, volume, "virtual"), model, strip=strip_skull)
        true = plane(lattice.pose.matrix)
        inside = np.argwhere(patient.brain.numpy()).mean(0)
        centroid = Affine(grid.index_from_frame).inverse().apply(inside)
        row = [roll]
        for pose in (torch.eye(4)[None], located.pose_network, located.pose):
            found = aligned_from_scan(located.conformed, as_rigid(pose), model.recipe.grid)
            row += error(plane(found @ grid.index_from_frame), true, centroid)
        rows.append(row)
        print(i, library.head(plan.head).name, " ".join(f"{v:.2f}" for v in row), flush=True)
    table = np.array(rows)
    for name, chosen in (("all", table[:, 0] > -99), ("roll 0", table[:, 0] == 0), ("roll ±10", table[:, 0] != 0)):
        for method, column in (("conform alone", 1), ("T alone", 3), ("T + refinement", 5)):
            angle, distance = table[chosen, column], table[chosen, column + 1]
            print(
                f"{name:9s} n={chosen.sum():2d} {method:15s} "
                f"angle {np.median(angle):5.2f}° (p95 {np.percentile(angle, 95):5.2f}°)  "
                f"distance {np.median(distance):5.2f} mm (p95 {np.percentile(distance, 95):5.2f} mm)"
            )


if __name__ == "__main__":
    main()
