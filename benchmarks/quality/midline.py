"""Errors of the shifts of septum and third ventricle on virtual heads with swelling, and age on old infarcts.

    python benchmarks/quality/midline.py --anatomy DIR [-n 10] [--old 6]

A large infarct of the middle cerebral artery swells by 4 to 12 mm. Truth: the distance from the true mid-sagittal plane
of the place where the head's FreeSurfer labels of both lateral ventricles meet (frontal horns), and of the middle of
the third ventricle's label, both mapped by the generator's warp. Old infarcts: the same head with an old infarct, whose
extent is given to the rule.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from known_heads import KnownHead, drawn_plans, known_head

from adn.answers import Age, MassEffect
from adn.findings.age import age
from adn.findings.mass_effect import mass_effect
from adn.findings.territory import mni_from_aligned
from adn.findings.twins import twins_of
from adn.prediction.model import Model, load_model
from adn.space.affine import Affine
from adn.virtual.library import Library
from adn.virtual.plan import InfarctPlan, PatientPlan

LEFT_VENTRICLE, RIGHT_VENTRICLE, THIRD_VENTRICLE = 4, 43, 14
SEPTUM, PINEAL = ((-20.0, 2.0), (8.0, 20.0)), ((4.0, 24.0), (-2.0, 8.0))  # y and z, MNI LPS mm
SWELLINGS_MM = (4.0, 6.0, 8.0, 10.0, 12.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomy", type=Path, required=True)
    parser.add_argument("-n", type=int, default=10)
    parser.add_argument("--old", type=int, default=6)
    arguments = parser.parse_args()
    library, model = Library.from_folders(arguments.anatomy, None, "test"), load_model()
    rows = []
    for i, plan in enumerate(islice(drawn_plans(library), arguments.n)):
        infarct = large(plan.noise_seed % 2 == 0, SWELLINGS_MM[i % len(SWELLINGS_MM)])
        head = known_head(replace(plan, infarcts=(infarct,)), library, model, 192, healthy=False)
        true = true_shift_mm(head)
        twins = twins_of(head.scan, head.brain, head.infarct.astype(np.uint8), head.aligned)
        found = mass_effect(head.scan, twins, head.aligned, mni_from_aligned(head.scan, head.brain, head.aligned))
        said = (found.septum_shift_mm, found.pineal_shift_mm) if isinstance(found, MassEffect) else (None, None)
        rows.append((*true, *(np.nan if x is None else x for x in said)))
        print(
            f"swelling {infarct.swelling_mm:.0f} mm: true {true[0]:.1f}, {true[1]:.1f}; said {said}; {found}",
            flush=True,
        )
    table = np.array(rows)
    for name, column in (("septum", 0), ("third ventricle", 1)):
        error = table[:, column + 2] - table[:, column]
        size = np.abs(error)
        print(f"{name}: true up to {np.nanmax(np.abs(table[:, column])):.1f} mm; error {np.nanmean(error):+.1f}")
        unseen = np.isnan(error).sum()
        print(f"  absolute {np.nanmean(size):.1f} mm on average, most {np.nanmax(size):.1f}; not seen in {unseen}")
    for plan in islice(drawn_plans(library, 4040), arguments.old):
        print_old(plan, library, model)


def large(left: bool, swelling_mm: float) -> InfarctPlan:
    """An acute infarct of the trunk of the middle cerebral artery."""
    return InfarctPlan(
        "", "middle cerebral artery, trunk", 150.0, not left, "acute", 6.0, 7.0, 2.0, 0.6, swelling_mm, 0.0
    )


def print_old(plan: PatientPlan, library: Library, model: Model) -> None:
    """Print the rule's verdict on one old infarct, given with the extent that it would have if it were new."""
    new = InfarctPlan(
        "", "middle cerebral artery, superior branch", 30.0, False, "acute", 6.0, 7.0, 1.5, 0.0, 0.0, 0.95
    )
    fresh = known_head(replace(plan, infarcts=(new,)), library, model, 192, healthy=False)
    old = known_head(replace(plan, infarcts=(replace(new, stage="old"),)), library, model, 192, healthy=False)
    twins = twins_of(old.scan, old.brain, fresh.infarct.astype(np.uint8), old.aligned)
    answer = age(twins)
    said = f"{answer.fluid_share:.0%} fluid-like, looks old: {answer.looks_old}" if isinstance(answer, Age) else answer
    fresh_said = age(twins_of(fresh.scan, fresh.brain, fresh.infarct.astype(np.uint8), fresh.aligned))
    print(
        f"old infarct of {fresh.infarct.sum() * fresh.scan.grid.voxel_ml:.0f} mL: {said}; new: {fresh_said}", flush=True
    )


def true_shift_mm(head: KnownHead) -> tuple[float, float]:
    """True shifts of septum and third ventricle, towards the patient's left."""
    left, right = (_places(head, label, SEPTUM) for label in (LEFT_VENTRICLE, RIGHT_VENTRICLE))
    cells = [np.round(side[:, 1:] / (3.0, 5.0)).astype(int) for side in (left, right)]
    meets = []
    for cell in np.unique(cells[0], axis=0):
        here = [side[(own == cell).all(axis=1), 0] for side, own in zip((left, right), cells, strict=True)]
        if min(len(x) for x in here) > 2:
            meets.append((here[0].min() + here[1].max()) / 2)
    third = _places(head, THIRD_VENTRICLE, PINEAL)
    return (float(np.median(meets)) if meets else np.nan, float(np.median(third[:, 0])) if len(third) else np.nan)


def _places(head: KnownHead, label: int, level: tuple[tuple[float, float], tuple[float, float]]) -> np.ndarray:
    (front, back), (low, high) = level
    _, y, z = head.mni
    here = (head.labels == label) & (y > front) & (y < back) & (z > low) & (z < high)
    return Affine(head.true_aligned).apply(np.argwhere(here))


if __name__ == "__main__":
    main()
