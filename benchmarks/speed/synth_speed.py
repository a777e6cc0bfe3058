"""Virtual patients per second at the grids of two recipes, on one CPU core or on a GPU.

    python benchmarks/speed/synth_speed.py [-n 20] [--device cpu] [--anatomy DIR --lesions DIR]

The lattice is the brain box; training adds room for a turned head. The first patients, which load heads, are not
counted; on a CPU, CPU seconds are counted, so that other work on the machine hardly matters.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from adn.recipes import load_recipe
from adn.space.geometry import RigidTransform
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan
from adn.virtual.lattice import Lattice
from adn.virtual.library import Library


def seconds_per_patient(library: Library, recipe_name: str, n: int, device: str) -> float:
    """Mean seconds for one patient."""
    grid, choices = load_recipe(recipe_name).grid, library.choices()
    plans = [draw_patient(patient_generator(0, i), choices) for i in range(n)]
    for name in {plan.head for plan in plans}:
        library.head(name)
    clock = time.process_time if device == "cpu" else time.perf_counter
    seconds = 0.0
    for warm in (False, True):
        start = clock()
        for plan in plans if warm else plans[:3]:
            pose = RigidTransform.from_parameters((-plan.rotation_deg[0], 0.0, 0.0))
            render_plan(plan, library, Lattice(grid.box or grid.shape, grid.spacing_mm, pose), device)
        if device != "cpu":
            torch.cuda.synchronize()
        seconds = (clock() - start) / n
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--lesions", type=Path)
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    library = Library.from_folders(arguments.anatomy, arguments.lesions)
    print(
        f"| grid | box, voxels | patients per second ({arguments.device}{', one core' * (arguments.device == 'cpu')}) |"
    )
    print("|---|---|---|")
    for name in ("fast", "paper"):
        grid = load_recipe(name).grid
        speed = 1 / seconds_per_patient(library, name, arguments.n, arguments.device)
        print(f"| {name} | {'×'.join(map(str, grid.box or grid.shape))} | {speed:.2f} |")


if __name__ == "__main__":
    main()
