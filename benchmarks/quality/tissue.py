"""The tissue network on virtual heads with skull, against the classical stripper on the same heads, as Markdown.

    python benchmarks/quality/tissue.py --anatomy DIR --lesions DIR --split test [-n 40] [--weights NAME|PATH]

Patients are scanned as `adn synth` scans them (pose, tilt, slices, pixels, noise, headrest, fields cut off). Dice is
computed on the scan's own voxels. If a method finds no brain, the patient counts as 0. The last row is what `adn
predict` does: fall back on the classical stripper where the network's brain is not plausible.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from adn.brain import TissueModel, load_tissue, segment_tissue
from adn.errors import InputError
from adn.feed.heads import SLICE_SAMPLE_MM
from adn.prepare import strip_skull
from adn.space.labels import TISSUES
from adn.space.volume import Volume
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan, scanner_grid, scanner_lattice
from adn.virtual.library import Library

ROWS = ("GM", "WM", "CSF", "brain, tissue network", "brain, classical", "brain, network or fallback")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def score(ct: Volume, tissue: np.ndarray, brain: np.ndarray, model: TissueModel) -> tuple[list[float], str]:
    """Dice for each row of the table, and a remark on this patient. Arrays in the CT's axis order."""
    start = time.perf_counter()
    found = segment_tissue(ct, model)
    seconds = [time.perf_counter() - start]
    start = time.perf_counter()
    try:
        classical = strip_skull(ct).data > 0
        refused = ""
    except InputError as error:
        classical, refused = np.zeros(brain.shape, bool), f"; classical: {error}"
    seconds.append(time.perf_counter() - start)
    dices = [dice(found.tissue.data == k, tissue == k) for k in TISSUES]
    dices += [dice(found.brain.data > 0, brain), dice(classical, brain)]
    doubt = f"; network's outline {found.doubt}" if found.doubt else ""
    return [*dices, dices[4] if found.doubt else dices[3]], f"{seconds[0]:.1f} and {seconds[1]:.1f} s{doubt}{refused}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--split", default="test", choices=("train", "val", "test", "all"))
    parser.add_argument("--weights", default="tissue")
    parser.add_argument("--matrix", type=int, help="pixels per row; default: as drawn")
    parser.add_argument("--seed", type=int, default=7474)
    parser.add_argument("-n", type=int, default=40)
    arguments = parser.parse_args()
    model = load_tissue(arguments.weights)
    library = Library.from_folders(arguments.anatomy, arguments.lesions, arguments.split)
    choices, table = library.choices(), []
    for i in range(arguments.n):
        plan = draw_patient(patient_generator(arguments.seed, i), choices)
        lattice = scanner_lattice(plan, arguments.matrix)
        patient = render_plan(plan, library, lattice, slice_sample_mm=SLICE_SAMPLE_MM)
        ct = Volume(patient.ct.numpy(), scanner_grid(lattice))
        dices, remark = score(ct, patient.tissue.numpy(), patient.brain.numpy(), model)
        table.append(dices)
        values = "  ".join(f"{value:.3f}" for value in dices)
        print(f"{i:3d} {plan.head} {plan.scanner.step_mm:4.1f} mm  {values}  {remark}", flush=True)
    print(f"\n| n = {len(table)}, {arguments.split} | mean | median | worst |\n|---|---|---|---|")
    for name, column in zip(ROWS, np.array(table).T, strict=True):
        print(f"| {name} | {column.mean():.3f} | {np.median(column):.3f} | {column.min():.3f} |")


if __name__ == "__main__":
    main()
