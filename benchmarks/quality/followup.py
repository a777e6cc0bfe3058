"""How well follow-up scans register to the first, how accurate growth is, and whether other heads are refused.

    python benchmarks/quality/followup.py [--anatomy DIR] [-n 12] [--predict] [--csv FILE]

Each virtual patient is scanned twice: the second time the head is repositioned (turned, rolled, nodded, moved), slices
are thicker or thinner, noise is new, and the infarct has grown to a drawn volume around the same core. Masks are the
true ones, so that errors come from the comparison alone; with `--predict` they are what `adn predict` marks, so that
errors are those of the whole. The mid-sagittal plane is off by up to 2° and 2 mm, as the alignment's may be.
Registration error: mean over the brain's voxels, mm. Each first scan is also compared with the next patient's second,
which must be refused.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from adn.comparison.compare import fits
from adn.comparison.growth import measure_growth
from adn.comparison.register import Head, register
from adn.prediction.model import load_model
from adn.prediction.pipeline import home, infer, locate
from adn.results import Scan
from adn.space.affine import Affine
from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan, scanner_lattice
from adn.virtual.lattice import Lattice
from adn.virtual.library import Library
from adn.virtual.plan import PatientPlan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--matrix", type=int, default=192)
    parser.add_argument("-n", type=int, default=12)
    parser.add_argument("--predict", action="store_true")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    library = Library.from_folders(arguments.anatomy, None, arguments.split)
    model = load_model() if arguments.predict else None
    rows, before = [], None
    for number, (first_plan, second_plan) in enumerate(_pairs(library, arguments.n)):
        lattices = [scanner_lattice(plan, arguments.matrix) for plan in (first_plan, second_plan)]
        plans = zip((first_plan, second_plan), lattices, strict=True)
        patients = [render_plan(plan, library, lattice) for plan, lattice in plans]
        truth_ml = [float(p.infarct.sum()) * _grid(x).voxel_ml for p, x in zip(patients, lattices, strict=True)]
        random = np.random.default_rng(number)
        heads = [_head(p, x, random, model) for p, x in zip(patients, lattices, strict=True)]
        start = time.perf_counter()
        match = register(heads[0], heads[1])
        seconds = time.perf_counter() - start
        growth = measure_growth(heads[0], heads[1], match)
        row = {
            "pair": number,
            "slices_mm": f"{lattices[0].spacing_mm[0]:.1f} and {lattices[1].spacing_mm[0]:.1f}",
            "registration_mm": _registration_error_mm(match.matrix, heads, lattices),
            "true_growth_ml": truth_ml[1] - truth_ml[0],
            "growth_ml": growth.growth_ml,
            "growth_error_percent": 100 * (growth.growth_ml - truth_ml[1] + truth_ml[0]) / (truth_ml[1] - truth_ml[0]),
            "new_ml": growth.ml_of("new"),
            "vanished_ml": growth.ml_of("vanished"),
            "brain_dice": match.brain_dice,
            "likeness": match.likeness,
            "taken": fits(match),
            "seconds": seconds,
        }
        if before is not None:
            other = register(before, heads[1])
            row |= {"other_dice": other.brain_dice, "other_likeness": other.likeness, "other_refused": not fits(other)}
        before = heads[0]
        rows.append(row)
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}, flush=True)
    _say(rows)
    if arguments.csv:
        with arguments.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[-1]))
            writer.writeheader()
            writer.writerows(rows)


def _pairs(library: Library, count: int) -> list[tuple[PatientPlan, PatientPlan]]:
    """Plans of the same patients at two times, each with one acute infarct that grows to 1.3 to 3 times its volume."""
    pairs, i = [], 0
    while len(pairs) < count:
        plan = draw_patient(patient_generator(77, i), library.choices())
        random, i = np.random.default_rng(1000 + i), i + 1
        acute = [infarct for infarct in plan.infarcts if infarct.acute]
        if len(acute) != 1 or acute[0].source or not 4 < acute[0].volume_ml < 60:
            continue
        grown = replace(acute[0], volume_ml=acute[0].volume_ml * random.uniform(1.3, 3.0))
        slices = [float(random.choice([1.5, 2.5, 5.0])) for _ in range(2)]
        scanners = [
            replace(plan.scanner, tilt_deg=0.0, slice_mm=mm, step_mm=mm, below_mm=72.0, above_mm=82.0) for mm in slices
        ]
        turned = tuple(np.array(plan.rotation_deg) + random.uniform(-12, 12, 3))
        moved = tuple(np.array(plan.translation_mm) + random.uniform(-12, 12, 3))
        first = replace(plan, scanner=scanners[0], bright=())
        infarcts = tuple(grown if one is acute[0] else one for one in plan.infarcts)
        second = replace(first, scanner=scanners[1], infarcts=infarcts, rotation_deg=turned, translation_mm=moved)
        pairs.append((first, second))
    return pairs


def _grid(lattice: Lattice) -> Grid:
    return Grid.centred(lattice.shape, lattice.spacing_mm)


def _head(patient, lattice: Lattice, random: np.random.Generator, model) -> Head:
    """A scan with its true masks, or with predicted ones. The plane of symmetry is a little off."""
    grid = _grid(lattice)
    scan = Volume(patient.ct.numpy().astype(np.float32), grid)
    brain = Volume(patient.brain.numpy().astype(np.uint8), grid, "label")
    if model is not None:
        located = locate(Scan("virtual", scan, "virtual"), model)
        found = home(infer(located, model), located, model.recipe, None)
        infarct = Volume(found.infarct.astype(np.uint8), grid, "label")
        return Head(scan, located.brain.mask, infarct, located.aligned_from_scan)
    off = RigidTransform.from_parameters((0.0, *random.uniform(-2, 2, 2)), (random.uniform(-2, 2), 0.0, 0.0))
    patient_from_index = off.matrix @ lattice.pose.matrix @ np.linalg.inv(grid.index_from_frame)
    return Head(scan, brain, Volume(patient.infarct.numpy().astype(np.uint8), grid, "label"), patient_from_index)


def _registration_error_mm(matrix: np.ndarray, heads: list[Head], lattices: list[Lattice]) -> float:
    index = np.argwhere(heads[0].brain.data[::2, ::4, ::4] > 0) * [2, 4, 4]
    grids = [_grid(lattice) for lattice in lattices]
    frame = np.linalg.inv(lattices[1].pose.matrix) @ lattices[0].pose.matrix @ np.linalg.inv(grids[0].index_from_frame)
    found = Affine(np.linalg.inv(grids[1].index_from_frame) @ matrix).apply(index)
    return float(np.linalg.norm(found - Affine(frame).apply(index), axis=1).mean())


def _say(rows: list[dict]) -> None:
    errors = np.array([row["registration_mm"] for row in rows])
    growth = np.array([abs(row["growth_error_percent"]) for row in rows])
    others = [row for row in rows if "other_refused" in row]
    count = len(rows)
    print(f"registration: median {np.median(errors):.2f} mm, worst {errors.max():.2f}")
    print(f"1 mm or less: {(errors <= 1).sum()} of {count}")
    print(f"growth: median error {np.median(growth):.1f} %, worst {growth.max():.1f}")
    print(f"10 % or less: {(growth <= 10).sum()} of {count}")
    print(f"same patient taken: {sum(row['taken'] for row in rows)} of {count}")
    print(f"other patient refused: {sum(row['other_refused'] for row in others)} of {len(others)}")
    for name, other_name in (("brain_dice", "other_dice"), ("likeness", "other_likeness")):
        other = [row[other_name] for row in others]
        print(f"{name}: same least {min(row[name] for row in rows):.3f}, other most {max(other, default=math.nan):.3f}")


if __name__ == "__main__":
    main()
