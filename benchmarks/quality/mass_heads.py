"""Heads with a tumour, an infarct or a bleed, processed by adn, for `ring_lesions.py` and `arteries.py`.

Virtual ones are drawn from a seed; real ones are training and validation patients only. A folder caches the results.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from cases import SPLITS, mask_of, patients_of
from known_heads import drawn_plans
from numpy.typing import NDArray

from adn.errors import AdnError
from adn.io import open_scan
from adn.prediction.assemble import mni_from_scan
from adn.prediction.model import Model
from adn.prediction.pipeline import home, infer, locate
from adn.results import Scan
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.virtual.arteries import draw_artery
from adn.virtual.folders import patient_generator, render_plan, scanner_lattice
from adn.virtual.library import Library
from adn.virtual.masses import draw_mass
from adn.virtual.plan import PatientPlan

MATRIX = 320
Kind = Literal["mass", "infarct", "artery"]


@dataclass(frozen=True, eq=False)
class FoundHead:
    """Arrays (D, H, W), SPL. marked: by the default weights, old infarcts too. true: infarct, or oedema of a bleed.

    aligned, mni: array index → LPS mm about the mid-sagittal plane and in MNI space; mni None where it is not known.
    """

    name: str
    scan: Volume
    brain: Volume
    marked: NDArray[np.uint8]
    true: NDArray[np.bool_]
    aligned: NDArray[np.float64]
    mni: NDArray[np.float64] | None
    plan: PatientPlan | None = None


def virtual_heads(
    kind: Kind, seed: int, count: int, library: Library, model: Model, keep: Path | None = None
) -> Iterator[FoundHead]:
    """`count` heads with a tumour, an acute infarct, or that and a hyperdense artery, every third the basilar."""
    plans = drawn_plans(library, seed)
    if kind != "mass":
        plans = (plan for plan in plans if any(infarct.acute for infarct in plan.infarcts))
    for i, plan in zip(range(count), plans, strict=False):
        yield _kept(f"{kind}-{seed}-{i:03d}", keep, lambda i=i, plan=plan: _render(kind, seed, i, plan, library, model))


def real_heads(folder: Path, split: str, model: Model, count: int, keep: Path | None = None) -> Iterator[FoundHead]:
    """Training and validation patients of a split in `benchmarks/splits`, validation patients first."""
    parts = [patients_of(SPLITS / split, part) for part in ("validation", "train")]
    names = [name for part in parts for name in sorted(part) if (folder / name / "ct.nii.gz").is_file()]
    for name in names[:count]:
        try:
            yield _kept(name, keep, lambda name=name: _real(folder / name, model))
        except AdnError as error:
            print(f"{name}: {error}")


def _kept(name: str, keep: Path | None, make: Callable[[], FoundHead]) -> FoundHead:
    path = keep / f"{name}.pkl" if keep else None
    if path and path.is_file():
        return pickle.loads(path.read_bytes())
    head = make()
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(head, protocol=5))
    return head


def _render(kind: Kind, seed: int, i: int, plan: PatientPlan, library: Library, model: Model) -> FoundHead:
    generator, spots = patient_generator(seed + 1, i), tuple(x for x in plan.bright if x.kind == "calcification")
    if kind == "mass":
        plan = replace(plan, infarcts=(), bright=(), metal=(), masses=(draw_mass(generator, plan),))
    elif kind == "infarct":
        plan = replace(plan, bright=spots, metal=())
    else:
        name = "basilar" if i % 3 == 2 else "middle cerebral"
        plan = replace(plan, bright=spots + draw_artery(generator, name, left=i % 2 == 0), metal=())
    lattice = scanner_lattice(plan, MATRIX)
    patient = render_plan(plan, library, lattice)
    grid = Grid.centred(lattice.shape, lattice.spacing_mm)
    scan = Volume(patient.ct.round().numpy().astype(np.int16), grid)
    return _found(Scan(f"{kind} {i}", scan, "virtual"), patient.infarct.numpy(), model, plan)


def _real(folder: Path, model: Model) -> FoundHead:
    scan = open_scan(folder / "ct.nii.gz")
    ignored = folder / "ignore.nii.gz"
    true = mask_of(ignored if ignored.is_file() else folder / "infarct.nii.gz")
    if true is None:
        raise FileNotFoundError(folder)
    return _found(replace(scan, name=folder.name), true, model, None)


def _found(scan: Scan, true: NDArray[np.bool_], model: Model, plan: PatientPlan | None) -> FoundHead:
    located = locate(scan, model)
    marked = home(infer(located, model), located, model.recipe).infarct
    brain = located.brain.mask
    small = Volume(np.rint(located.volume.data).clip(-1024, 3000).astype(np.int16), brain.grid)
    mask = Volume(brain.data.astype(np.uint8), brain.grid, "label")
    return FoundHead(scan.name, small, mask, marked, true, located.aligned_from_scan, mni_from_scan(located), plan)
