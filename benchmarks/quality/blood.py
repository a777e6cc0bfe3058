"""How often blood is detected, on heads with and without: the rules of `adn.findings`, and weights for bright lesions.

    python benchmarks/quality/blood.py OUT [--bleeds DIR] [--infarcts DIR] [--virtual N] [--anatomy DIR]
        [--weights FILE...] [--part trained|test] [-n 40]

--bleeds, --infarcts: PHE-SICH and TEKNOFEST as tools/real_cases.py writes them. Each head with a bleed is used as it
is, and again with the blood and everything within 4 mm of it set to the brain's median. --virtual: number of virtual
patients, each with a bleed drawn for it and without, keeping calcification and arteries. --part: 'trained', training
and validation heads, or 'test', the heads that benchmarks/splits keep for testing. OUT/blood.csv stores the mL of the
largest part for each case and method; stored rows are not computed again.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from cases import SPLITS, patients_of
from numpy.typing import NDArray

import adn
from adn.brain import find_brain, shipped_tissue
from adn.datasets.bleeds import find_blood
from adn.errors import AdnError
from adn.findings.quality import bright_parts
from adn.metrics.statistics import wilson
from adn.prediction.pipeline import home, infer, locate
from adn.prepare import coarse as cm
from adn.results import Scan
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan, scanner_lattice
from adn.virtual.library import Library
from adn.virtual.plan import BrightPlan

SEED = 55
GROWN_MM = 4.0
LOWEST, HIGHEST = (3, -55, -35, 4, 0.7, 0.7, 50), (55, 72, 55, 16, 1.5, 1.3, 80)  # x, y, z, half axis, ratios; HU
PARTS = {"trained": ("train", "validation"), "test": ("test",)}
LIMITS_ML = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
CHANCES = (0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True, eq=False)
class Head:
    """A scan, and whether it has a bleed. kind: the set it counts in."""

    name: str
    kind: str
    volume: Volume


def real(folder: Path, split: str, part: str, kind: str, count: int) -> Iterator[Head]:
    """The first `count` of a data set; heads with a bleed twice, the second time without it."""
    chosen = sorted(case for name in PARTS[part] for case in patients_of(SPLITS / split, name))[:count]
    for case in chosen:
        path = folder / case / "ct.nii.gz"
        if path.is_file():
            volume = adn.open_scan(path).volume.reoriented("SPL")
            yield Head(case, kind, volume)
            if kind == "bleed":
                yield Head(case, "bleed taken out", without_blood(volume))


def without_blood(volume: Volume) -> Volume:
    """The head with blood and everything within 4 mm of it set to the brain's median, without noise."""
    brain = find_brain(volume, shipped_tissue()).mask
    blood = cm.dilate(find_blood(volume, brain), GROWN_MM, volume.grid.spacing_mm) & (brain.data > 0)
    hu = np.where(blood, np.median(volume.data[brain.data > 0]), volume.data)
    return volume.with_data(hu.astype(volume.data.dtype))


def virtual(anatomy: Path | None, count: int, part: str) -> Iterator[Head]:
    """Virtual patients on the scanner's grid, with a bleed and without."""
    library = Library.from_folders(anatomy, None, "test" if part == "test" else "val")
    for i in range(count):
        plan = draw_patient(patient_generator(SEED, i), library.choices())
        others = tuple(spot for spot in plan.bright if spot.kind != "bleed")
        for kind, bright in (("virtual bleed", (*others, drawn_bleed(i))), ("virtual, none", others)):
            shown = replace(plan, bright=bright)
            lattice = scanner_lattice(shown, 256)
            hu = render_plan(shown, library, lattice).ct.numpy().astype(np.float32)
            yield Head(f"{part}-{i:03d}", kind, Volume(hu, Grid.centred(lattice.shape, lattice.spacing_mm)))


def drawn_bleed(number: int) -> BrightPlan:
    """A bleed anywhere in the brain."""
    dice = np.random.default_rng((SEED, number))
    x, y, z, size, along, up, hu = (float(value) for value in dice.uniform(LOWEST, HIGHEST))
    return BrightPlan("bleed", (x * float(dice.choice((-1, 1))), y, z), (size, size * along, size * up), hu)


def largest_ml(mask: NDArray[np.bool_], voxel_ml: float) -> float:
    """mL of the largest connected part."""
    return float(np.bincount(cm.components(mask).ravel())[1:].max(initial=0) * voxel_ml)


def measured(head: Head, models: dict[str, adn.Model]) -> dict[str, float]:
    """mL of the largest part, by each method. Raises AdnError where no brain is found."""
    brain = find_brain(head.volume, shipped_tissue()).mask
    found = {
        "rule": max((ml for _, ml in bright_parts(head.volume, brain)), default=0.0),
        "above 50 HU": largest_ml(find_blood(head.volume, brain), head.volume.grid.voxel_ml),
    }
    for name, model in models.items():
        located = locate(Scan(head.name, head.volume, "nifti"), model)
        maps = infer(located, model)
        for chance in CHANCES:
            marked = home(maps, located, model.recipe, chance).infarct > 0
            found[f"{name} {chance}"] = largest_ml(marked, head.volume.grid.voxel_ml)
    return found


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows that an earlier run stored."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def report(rows: list[dict[str, str]]) -> None:
    """Print, for each method and limit, the share of heads in each set with a part that large."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    print(f"| way | part of | {' | '.join(kinds)} |\n|---|---|{'---|' * len(kinds)}")
    for way in dict.fromkeys(row["way"] for row in rows):
        for limit in LIMITS_ML:
            shares = []
            for kind in kinds:
                found = [float(row["ml"]) >= limit for row in rows if (row["way"], row["kind"]) == (way, kind)]
                interval = wilson(sum(found), len(found))
                spread = f" ({interval.low:.0%} to {interval.high:.0%})" if interval else ""
                shares.append(f"{sum(found)} of {len(found)}{spread}")
            print(f"| {way} | {limit} mL | {' | '.join(shares)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("bleeds", "infarcts", "anatomy"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--virtual", type=int, default=0)
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--part", choices=tuple(PARTS), default="trained")
    parser.add_argument("-n", type=int, default=40)
    asked = parser.parse_args()
    models = {Path(weights).stem: adn.load_model(weights) for weights in asked.weights}
    path = asked.out / "blood.csv"
    asked.out.mkdir(parents=True, exist_ok=True)
    rows = read_rows(path)
    known = {(row["part"], row["kind"], row["case"], row["way"]) for row in rows}
    ways = ["rule", "above 50 HU", *(f"{name} {chance}" for name in models for chance in CHANCES)]
    for head in heads_of(asked):
        key = (asked.part, head.kind, head.name)
        if all((*key, way) in known for way in ways):
            continue
        try:
            found = measured(head, models)
        except AdnError as error:
            print(f"{head.name}: {error}")
            continue
        new = [(*key, way, f"{ml:.3f}") for way, ml in found.items() if (*key, way) not in known]
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(("part", "kind", "case", "way", "ml"))
            writer.writerows(new)
    report([row for row in read_rows(path) if row["part"] == asked.part])


def heads_of(asked: argparse.Namespace) -> Iterator[Head]:
    """Every head that was asked for."""
    if asked.bleeds:
        yield from real(asked.bleeds, "phe_sich.csv", asked.part, "bleed", asked.n)
    if asked.infarcts:
        yield from real(asked.infarcts, "teknofest.csv", asked.part, "infarct", asked.n)
    yield from virtual(asked.anatomy, asked.virtual, asked.part)


if __name__ == "__main__":
    main()
