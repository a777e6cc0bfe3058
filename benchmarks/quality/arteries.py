"""Can a hyperdense artery be found? A simple rule that adn does not ship, on virtual patients with and without one.

    python benchmarks/quality/arteries.py --anatomy DIR --lesions DIR [--phe-sich DIR] [--keep DIR] [-n 16]

At the usual place of the middle cerebral artery's first segment and of the basilar, found by adn's own registration:
the highest contrast of a short tube with the tissue 5 or 6 mm beside it, excluding bone; for the middle cerebral
artery, minus that of the other side. Limits are set so that a tenth of the heads without one (heads 11 and 12) give a
false alarm. Heads 13 to 16 and PHE-SICH (training and validation heads, excluding bleed and oedema) are scored.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mass_heads import FoundHead, real_heads, virtual_heads
from numpy.typing import NDArray
from ring_lesions import LIMIT_SEED, SEED
from scipy.ndimage import map_coordinates, maximum_filter, uniform_filter, uniform_filter1d

from adn.prediction.model import load_model
from adn.space.affine import Affine
from adn.virtual.library import Library

FALSE_ALARMS = 0.1
BONE_HU, INSTEAD_HU = 100.0, 30.0
NEVER_HU = -99.0


class Contrasts(NamedTuple):
    """Contrasts in HU: the left tube's minus the right one's, and the basilar's."""

    cerebral: float
    basilar: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomy", type=Path, required=True)
    parser.add_argument("--lesions", type=Path, required=True)
    parser.add_argument("--phe-sich", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("-n", type=int, default=16)
    arguments = parser.parse_args()
    model, n, keep = load_model(), arguments.n, arguments.keep
    others, heads = (Library.from_folders(arguments.anatomy, arguments.lesions, part) for part in ("val", "test"))
    without = asked(virtual_heads("infarct", LIMIT_SEED, 2 * n, others, model, keep))
    least = Contrasts(*np.quantile([(abs(x.cerebral), x.basilar) for _, x in without], 1 - FALSE_ALARMS, axis=0))
    print(f"limits: {least.cerebral:.1f} HU more than the other side, {least.basilar:.1f} HU at the basilar")
    hits, drawn = {"cerebral": 0, "basilar": 0}, {"cerebral": 0, "basilar": 0}
    for head, found in asked(virtual_heads("artery", SEED, n, heads, model, keep)):
        spots = [spot.centre_mm for spot in head.plan.bright if spot.kind == "artery"] if head.plan else []
        across = float(np.mean([x for x, _, _ in spots]))
        which = "basilar" if abs(across) < 5 else "cerebral"
        drawn[which] += 1
        right_side = found.cerebral * np.sign(across) > least.cerebral
        hits[which] += found.basilar > least.basilar if which == "basilar" else right_side
    for which, count in drawn.items():
        print(f"{which}: found in {hits[which]} of {count}")
    alarms("virtual heads without", asked(virtual_heads("infarct", SEED, n, heads, model, keep)), least)
    if arguments.phe_sich:
        alarms("PHE-SICH", asked(real_heads(arguments.phe_sich, "phe_sich.csv", model, 20, keep)), least)


def alarms(name: str, cases: list[tuple[FoundHead, Contrasts]], least: Contrasts) -> None:
    """Print in how many heads a limit is exceeded."""
    cerebral = sum(abs(found.cerebral) > least.cerebral for _, found in cases)
    basilar = sum(found.basilar > least.basilar for _, found in cases)
    print(f"{name}: false alarms of {len(cases)}: cerebral {cerebral}, basilar {basilar}")


def asked(heads: Iterable[FoundHead]) -> list[tuple[FoundHead, Contrasts]]:
    """The contrasts of those heads whose place in MNI space is known."""
    found = []
    for head in heads:
        if head.mni is not None:
            left, right = (_cerebral(head, side) for side in (1.0, -1.0))
            found.append((head, Contrasts(left - right, _basilar(head))))
    return found


def _cerebral(head: FoundHead, side: float) -> float:
    hu, bone = _box(head, side * np.arange(6, 40.1), np.arange(-16, 8.1), np.arange(-24, -7.9, 1.5))
    tube = uniform_filter1d(uniform_filter1d(hu, 3, axis=1), 9, axis=2)
    front, back = np.roll(tube, 6, 1), np.roll(tube, -6, 1)
    contrast = np.minimum(tube - (front + back) / 2, tube - np.maximum(front, back) + 4)
    return float(np.where(maximum_filter(bone, (1, 5, 9)), NEVER_HU, contrast)[:, 6:-6].max())


def _basilar(head: FoundHead) -> float:
    hu, bone = _box(head, np.arange(-12, 12.1), np.arange(2, 24.1), np.arange(-40, -13.9, 2.0))
    tube = uniform_filter(hu, size=3)
    contrast = tube - np.maximum(np.roll(tube, 5, 2), np.roll(tube, -5, 2))
    return float(np.where(maximum_filter(bone, (3, 5, 5)), NEVER_HU, contrast)[:, :, 7:-7].max())


def _box(head: FoundHead, x: NDArray, y: NDArray, z: NDArray) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """HU on a box of MNI, (z, y, x), LPS mm, and where bone is; bone, and blood and oedema of a bleed, as tissue."""
    assert head.mni is not None
    places = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], axis=-1)
    index = np.moveaxis(Affine(np.linalg.inv(head.mni)).apply(places), -1, 0)
    known = head.scan.data.astype(np.float32)
    if head.plan is None:
        known = np.where(head.true, np.float32(INSTEAD_HU), known)
    hu = map_coordinates(np.clip(known, -20, 140), index, order=1, mode="constant", cval=0.0)
    return np.where(hu > BONE_HU, INSTEAD_HU, hu), hu > BONE_HU


if __name__ == "__main__":
    main()
