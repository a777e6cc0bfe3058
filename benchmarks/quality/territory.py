"""How accurate registration to MNI space is, and how often the named territory is the planned one, on virtual patients.

    python benchmarks/quality/territory.py --anatomy DIR [-n 30]

The alignment is T's with refinement; the brain mask is the true one. Truth: the head's own registration by grey and
white matter, with the drawn head size. Errors are over the brain's voxels, mm.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from adn.atlas import REGIONS
from adn.config_draws import HeadsConfig, PatientsConfig
from adn.findings.territory import mni_from_aligned, territory_shares
from adn.prediction.model import load_model
from adn.prediction.pipeline import locate
from adn.results import Scan
from adn.space.affine import Affine
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan, scanner_lattice
from adn.virtual.library import Library


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--matrix", type=int, default=128)
    parser.add_argument("-n", type=int, default=30)
    arguments = parser.parse_args()
    model = load_model()
    library = Library.from_folders(arguments.anatomy, None, arguments.split)
    choices = library.choices(PatientsConfig(heads=HeadsConfig(max_pitch_deg=20.0)))
    rows, named, i = [], Counter(), 0
    while len(rows) < arguments.n:
        plan = draw_patient(patient_generator(101, i), choices)
        i += 1
        acute = [x for x in plan.infarcts if x.acute]
        if len(acute) != 1 or acute[0].territory not in REGIONS:
            continue
        plan = replace(plan, scanner=replace(plan.scanner, tilt_deg=0.0))
        lattice = scanner_lattice(plan, arguments.matrix)
        patient = render_plan(plan, library, lattice)
        if not patient.infarct.any():
            continue
        grid = Grid.centred(lattice.shape, lattice.spacing_mm)
        volume = Volume(patient.ct.numpy().astype(np.float32), grid)
        mask = Volume(patient.brain.numpy().astype(np.uint8), grid)
        aligned = locate(Scan(plan.head, volume, "virtual"), model, strip=lambda _, mask=mask: mask).aligned_from_scan
        start = time.perf_counter()
        found = mni_from_aligned(volume, mask, aligned)
        seconds = time.perf_counter() - start
        head = library.head(plan.head)
        true = head.mni_from_aligned @ np.diag([*(1 / np.array(plan.scale)), 1.0]) @ lattice.pose.matrix
        true = true @ np.linalg.inv(grid.index_from_frame)
        error = np.linalg.norm(Affine(found @ aligned - true).apply(np.argwhere(mask.data)[::7]), axis=1)
        shares = territory_shares(patient.infarct.numpy(), grid.voxel_ml, found @ aligned)
        truth = territory_shares(patient.infarct.numpy(), grid.voxel_ml, true)
        rows.append((np.median(error), np.percentile(error, 95), seconds))
        named["plan"] += shares[0].territory == acute[0].territory
        named["true"] += truth[0].territory == acute[0].territory
        named["same"] += shares[0].territory == truth[0].territory
        print(i, plan.head, f"{rows[-1][0]:.1f} mm, p95 {rows[-1][1]:.1f} mm, {seconds:.2f} s;",
              acute[0].territory, "->", shares[0].territory, flush=True)  # fmt: skip
    table = np.array(rows)
    print(f"n = {len(rows)}: median error {np.median(table[:, 0]):.1f} mm (worst patient {table[:, 0].max():.1f}), "
          f"95th percentile {np.median(table[:, 1]):.1f} mm; {np.median(table[:, 2]):.2f} s")  # fmt: skip
    print(f"main territory is the plan's in {named['plan']}, by the true registration in {named['true']}; "
          f"found and true registration name the same in {named['same']} of {len(rows)}")  # fmt: skip


if __name__ == "__main__":
    main()
