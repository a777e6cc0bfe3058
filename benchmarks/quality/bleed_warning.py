"""How often the warning of possible blood comes with a bleed of 3 mL, and without, on virtual patients.

python benchmarks/quality/bleed_warning.py [--anatomy DIR] [-n 8]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from adn.findings.quality import MAX_BRIGHT_ML, bright_ml, noise_hu
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan, scanner_lattice
from adn.virtual.library import Library
from adn.virtual.plan import BrightPlan

BLEED = BrightPlan("bleed", (28.0, 5.0, 10.0), (9.0, 9.0, 9.0), 65.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("-n", type=int, default=8)
    arguments = parser.parse_args()
    library = Library.from_folders(arguments.anatomy, None, "val")
    warned = {"with": 0, "without": 0}
    for i in range(arguments.n):
        plan = draw_patient(patient_generator(55, i), library.choices())
        others = tuple(spot for spot in plan.bright if spot.kind != "bleed")
        for name, bright in (("without", others), ("with", (*others, BLEED))):
            patient_plan = replace(plan, bright=bright)
            lattice = scanner_lattice(patient_plan, 256)
            patient = render_plan(patient_plan, library, lattice)
            grid = Grid.centred(lattice.shape, lattice.spacing_mm)
            scan = Volume(patient.ct.numpy().astype(np.float32), grid)
            brain = Volume(patient.brain.numpy().astype(np.uint8), grid)
            found = bright_ml(scan, brain)
            warned[name] += found > MAX_BRIGHT_ML
            noise = f"noise {noise_hu(scan, brain):.1f} HU, drawn {plan.scanner.noise_hu:.1f}"
            print(f"{i} {name} bleed: {found:.2f} mL bright; {noise}", flush=True)
    print(f"warned of {warned['with']} of {arguments.n} with, {warned['without']} of {arguments.n} without a bleed")


if __name__ == "__main__":
    main()
