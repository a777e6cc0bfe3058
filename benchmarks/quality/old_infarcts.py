"""How often a part of the mark is left out as an old infarct: rightly on old ones, by mistake on new ones.

    python benchmarks/quality/old_infarcts.py SCANS RESULTS     # virtual patients, predicted with --keep-old
    python benchmarks/quality/old_infarcts.py --real DIR -n 24 # TEKNOFEST, training patients only; marked here
    python benchmarks/quality/old_infarcts.py --anatomy DIR -n 6 # heads 13 to 16 with one old infarct each

SCANS holds <case>/ct.nii.gz and infarct.nii.gz (and plan.json); RESULTS, <case>/ as `adn predict` writes it. Each part
that looks old is printed with its share of true new infarct. The rule is also applied to the outlines.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cases import SPLITS, patients_of
from known_heads import drawn_plans, known_head
from numpy.typing import NDArray

from adn.errors import AdnError
from adn.findings.age import old_parts
from adn.findings.twins import twins_of
from adn.io import open_scan, read_volume
from adn.prediction.model import load_model
from adn.prediction.pipeline import home, infer, locate
from adn.space.volume import Volume
from adn.virtual.library import Library
from adn.virtual.plan import InfarctPlan

SEED = 4040
TERRITORIES = (
    "middle cerebral artery, superior branch", "middle cerebral artery, inferior branch", "posterior cerebral artery",
    "lenticulostriate", "cerebellum",
)  # fmt: skip
VOLUMES_ML, FLUIDS = (30.0, 12.0, 20.0, 5.0, 15.0), (0.95, 0.75, 0.85)


class Marked(NamedTuple):
    """A scan, SPL, with the mark and the true infarct; old: the plan has an old infarct."""

    name: str
    volume: Volume
    brain: Volume
    marked: NDArray[np.uint8]
    true: NDArray[np.uint8]
    aligned: NDArray[np.float64]
    old: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="?")
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("--real", type=Path)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("-n", type=int, default=24)
    arguments = parser.parse_args()
    if arguments.anatomy:
        cases = drawn(arguments.anatomy, arguments.n)
    elif arguments.real:
        cases = real(arguments.real, arguments.n)
    else:
        cases = virtual(arguments.scans, arguments.results)
    count, lost, old_found, old_all, outlines, outlined = 0, 0, 0, 0, 0, 0
    for case in cases:
        count, old_all = count + 1, old_all + case.old
        part = _old(case, case.marked)
        if part.any():
            true = float((case.true[part] > 0).mean())
            lost, old_found = lost + (true > 0.1), old_found + case.old
            ml = part.sum() * case.volume.grid.voxel_ml
            print(f"{case.name}: {ml:.1f} mL left out, {true:.0%} of it new infarct; old one drawn: {case.old}")
        if case.true.any():
            outlined += 1
            outlines += bool(_old(case, case.true).any())
    print(f"{count} heads, {old_all} with an old infarct: in {old_found} of those something was left out")
    print(f"left out by mistake (a tenth of it or more new infarct): in {lost} heads")
    print(f"parts of the outline itself would be left out in {outlines} of {outlined}")


def _old(case: Marked, infarct: NDArray[np.uint8]) -> NDArray[np.bool_]:
    twins = twins_of(case.volume, case.brain, infarct, case.aligned)
    return old_parts(twins, infarct)


def virtual(scans: Path, results: Path) -> Iterator[Marked]:
    for folder in sorted(path for path in results.iterdir() if (path / "result.json").is_file()):
        scan = read_volume(scans / folder.name / "ct.nii.gz")
        spl = scan.reoriented("SPL")
        true, brain, marked = (
            read_volume(path).reoriented("SPL")
            for path in (
                scans / folder.name / "infarct.nii.gz", folder / "brain_mask.nii.gz", folder / "infarct.nii.gz"
            )
        )  # fmt: skip
        stored = np.array(json.loads((folder / "result.json").read_text())["aligned_from_scan"])
        aligned = stored @ np.linalg.inv(scan.grid.affine) @ spl.grid.affine
        plan = json.loads((scans / folder.name / "plan.json").read_text())["plan"]
        old = any(infarct["stage"] == "old" for infarct in plan["infarcts"])
        yield Marked(folder.name, spl, brain, marked.data.astype(np.uint8), true.data.astype(np.uint8), aligned, old)


def real(folder: Path, count: int) -> Iterator[Marked]:
    model = load_model()
    for case in list(patients_of(SPLITS / "teknofest.csv", "train"))[:count]:
        try:
            located = locate(open_scan(folder / case / "ct.nii.gz"), model)
        except AdnError as error:
            print(f"{case}: {error}")
            continue
        marked = home(infer(located, model), located, model.recipe).infarct
        true = read_volume(folder / case / "infarct.nii.gz").reoriented("SPL").data
        aligned = located.aligned_from_scan
        yield Marked(
            case, located.volume, located.brain.mask, marked, (true > 0).astype(np.uint8), aligned, False
        )  # fmt: skip


def drawn(anatomy: Path, count: int) -> Iterator[Marked]:
    library, model = Library.from_folders(anatomy, None, "test"), load_model()
    for i, plan in enumerate(islice(drawn_plans(library, SEED), count)):
        territory, volume_ml, fluid = TERRITORIES[i % 5], VOLUMES_ML[2 * i % 5], FLUIDS[i % 3]
        old = InfarctPlan("", territory, volume_ml, bool(i % 2), "old", 6.0, 7.0, 1.5, 0.0, 0.0, fluid)
        head = known_head(replace(plan, infarcts=(old,)), library, model, 192, mark=True, healthy=False)
        marked = np.zeros(head.brain.data.shape, np.uint8) if head.marked is None else head.marked
        marked_ml = marked.sum() * head.scan.grid.voxel_ml
        print(f"{territory}, {volume_ml:.0f} mL, {fluid:.0%} fluid: {marked_ml:.1f} mL marked")
        yield Marked(f"old {i}", head.scan, head.brain, marked, np.zeros_like(marked), head.aligned, True)


if __name__ == "__main__":
    main()
