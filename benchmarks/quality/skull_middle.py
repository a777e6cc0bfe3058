"""Whether the middle of the skull measures midline shifts better than the alignment's plane does.

    python benchmarks/quality/skull_middle.py --anatomy DIR --lesions DIR --keep DIR [-n 28]
    python benchmarks/quality/skull_middle.py --phe-sich DIR --heads DIR

The alignment compares the halves' brightness, so a midline shift may pull its plane along. The inner table does not
move: the plane here lies halfway between the left and right borders of the brain mask, which reaches the skull. First
command: every third known head of `reader_answers.py`, before and after a smooth field, 0 at the skull, moves its
midline by up to 7 mm to the left or 5 mm to the right; the truth comes from the head's labels, moved with it. Second:
the points placed by eye for `midline_by_eye.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from known_heads import KnownHead
from midline import true_shift_mm
from midline_by_eye import LEVELS, read_points, shift_mm
from numpy.typing import NDArray
from reader_answers import heads
from scipy.ndimage import map_coordinates

import adn
from adn.answers import MassEffect
from adn.findings.mass_effect import mass_effect
from adn.findings.territory import mni_from_aligned
from adn.findings.twins import twins_of
from adn.prediction.model import Model, load_model
from adn.prediction.pipeline import locate
from adn.prepare.resample import resample
from adn.results import Scan
from adn.space.affine import Affine
from adn.space.volume import Volume
from adn.virtual.library import Library

CENTRES_MNI_MM = ((0.0, -9.0, 14.0), (0.0, 14.0, 0.0))  # of the septum's and the pineal level, LPS
_ACROSS_MM, _BACK_MM, _UP_MM = 0.75, 2.0, 4.0
_HALF_MM = 90.0
_BACK_MNI_MM, _UP_MNI_MM = (-75.0, 100.0), (-10.0, 40.0)  # LPS: forehead to occiput; third ventricle to vault
_MIDDLE_MNI_MM = 10.0  # front to back, where heights are taken
_NARROWEST_MM = 60.0  # of a chord: shorter ones lie at the poles, where a border runs across
_USUAL_MM, _TURNS = 1.0, 20  # chords further off the plane count less; rounds of the fit


class Row(NamedTuple):
    """One level, mm to the left: the true and the reported shift, the skull's middle relative to the alignment's plane,
    and that plane relative to the true one."""

    true: float
    said: float
    skull: float
    plane: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--anatomy", "--lesions", "--keep", "--phe-sich", "--heads"):
        parser.add_argument(name, type=Path)
    parser.add_argument("-n", type=int, default=28)
    arguments = parser.parse_args()
    model = load_model()
    if arguments.anatomy:
        known = heads(Library.from_folders(arguments.anatomy, arguments.lesions, "test"), arguments.n, arguments.keep)
        rows = [virtual_rows(head, i, model) for i, head in enumerate(islice(known, 1, None, 3))]
        tell("not shifted", [pair[0] for pair in rows])
        tell("shifted", [pair[1] for pair in rows])
    if arguments.phe_sich:
        tell("by eye", list(real_rows(arguments.phe_sich, arguments.heads, model)))


def virtual_rows(head: KnownHead, number: int, model: Model) -> tuple[list[Row], list[Row]]:
    """Both levels of a known head, as it is and with its midline shifted."""
    most_mm = 7.0 if number % 2 == 0 else -5.0
    place = head.mni - np.array([0.0, 17.0, 10.0])[:, None, None, None]
    far = (place[0] / 68) ** 2 + (place[1] / 87) ** 2 + (place[2] / 68) ** 2
    way = np.linalg.inv(head.true_aligned[:3, :3])[:, 0]  # array steps for 1 mm to the left
    moved = np.indices(far.shape) - way[:, None, None, None] * most_mm * np.clip(1 - far, 0, None) ** 2
    scan = head.scan.with_data(map_coordinates(head.scan.data, moved, order=1, mode="nearest", prefilter=False))
    labels = map_coordinates(head.labels, moved, order=0, mode="nearest", prefilter=False)
    found = locate(Scan("shifted", scan, "virtual"), model, strip=lambda _: head.brain)
    shifted = replace(head, scan=scan, labels=labels, aligned=found.aligned_from_scan)
    return known_rows(head), known_rows(shifted)


def known_rows(head: KnownHead) -> list[Row]:
    said, skull, mni = read_levels(head.scan, head.brain, head.aligned)
    true_from_aligned = head.true_aligned @ np.linalg.inv(head.aligned)
    rows = []
    for i, true in enumerate(true_shift_mm(head)):
        _, y, z = Affine(np.linalg.inv(mni)).apply(CENTRES_MNI_MM[i])
        off = float(Affine(true_from_aligned).apply([0.0, y, z])[0] / true_from_aligned[0, 0])
        rows.append(Row(true, said[i], float(skull @ [1.0, y, z]), off))
    return rows


def real_rows(phe_sich: Path, folder: Path, model: Model) -> Iterator[list[Row]]:
    """Heads with points by eye: the truth is the line between the falx's ends."""
    seen = read_points(1)
    for case in sorted({case for case, _ in seen}):
        path = folder / case
        located = locate(adn.open_scan(path if path.exists() else phe_sich / case / "ct.nii.gz"), model)
        scan, aligned = located.volume, located.aligned_from_scan
        said, skull, _ = read_levels(scan, located.brain.mask, aligned)
        to_aligned = Affine(aligned @ np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.grid.affine))
        rows = []
        for i, level in enumerate(LEVELS):
            eye = shift_mm(seen[case, level])
            x, y, z = to_aligned.apply(seen[case, level][2])
            rows.append(Row(eye, said[i], float(skull @ [1.0, y, z]), eye - float(x)))
        print(case, *(f"{x:.2f}" for row in rows for x in row), flush=True)
        yield rows


def read_levels(
    scan: Volume, brain: Volume, aligned: NDArray[np.float64]
) -> tuple[tuple[float, float], NDArray[np.float64], NDArray[np.float64]]:
    """The reported shifts at both levels, NaN where there is none; the skull's middle; aligned frame → MNI."""
    mni = mni_from_aligned(scan, brain, aligned)
    found = mass_effect(scan, twins_of(scan, brain, np.zeros(scan.grid.shape, np.uint8), aligned), aligned, mni)
    said = (found.septum_shift_mm, found.pineal_shift_mm) if isinstance(found, MassEffect) else (None, None)
    septum, pineal = (np.nan if mm is None else mm for mm in said)
    return (septum, pineal), skull_middle(brain, aligned, mni), mni


def tell(name: str, rows: list[list[Row]]) -> None:
    for i, level in enumerate(LEVELS):
        true, said, skull, plane = np.array([pair[i] for pair in rows]).T
        for which, off, error in (("alignment", plane, said - true), ("skull", plane + skull, said - skull - true)):
            print(f"{name}, {level}, {which}: plane off by {np.mean(np.abs(off)):.2f} mm, {np.abs(off).max():.1f} at "
                  f"most; shift off by {np.nanmean(np.abs(error)):.2f}, {np.nanmax(np.abs(error)):.1f} at most, "
                  f"{np.isfinite(error).sum()} of {len(error)} seen")  # fmt: skip


def skull_middle(
    mask: Volume, aligned_from_scan: NDArray[np.float64], mni_from_aligned: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A plane x = a + b · y + c · z as (a, b, c), LPS mm in the aligned frame.

    mask: brain, SPL.
    """
    chords = _chords(mask, aligned_from_scan, mni_from_aligned)
    terms = np.column_stack([np.ones(len(chords)), chords[:, 1:]])
    weights = np.ones(len(chords))
    plane: NDArray[np.float64] = np.zeros(3)
    for _ in range(_TURNS):  # least absolute distance beyond 1 mm
        root = np.sqrt(weights)
        plane[:] = np.linalg.lstsq(terms * root[:, None], chords[:, 0] * root, rcond=None)[0]
        weights = 1.0 / np.maximum(_USUAL_MM, np.abs(chords[:, 0] - terms @ plane))
    return plane


def _chords(
    mask: Volume, aligned_from_scan: NDArray[np.float64], mni_from_aligned: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For each row from right to left: the middle between the mask's borders, and its place, (n, 3) x, y, z mm."""
    aligned_from_mni = Affine(np.linalg.inv(mni_from_aligned))
    (_, front, _), (_, back, _) = aligned_from_mni.apply([[0.0, y, 0.0] for y in _BACK_MNI_MM])
    (_, _, low), (_, _, high) = aligned_from_mni.apply([[0.0, _MIDDLE_MNI_MM, z] for z in _UP_MNI_MM])
    ups, backs = np.arange(low, high, _UP_MM), np.arange(front, back, _BACK_MM)
    places = np.arange(-_HALF_MM, _HALF_MM + _ACROSS_MM / 2, _ACROSS_MM)
    box = np.eye(4)  # index of the box → aligned mm
    box[:3, :3] = [[0.0, 0.0, _ACROSS_MM], [0.0, _BACK_MM, 0.0], [_UP_MM, 0.0, 0.0]]
    box[:3, 3] = places[0], backs[0], ups[0]
    shape = len(ups), len(backs), len(places)
    inside = resample((mask.data > 0).astype(np.float32), np.linalg.inv(aligned_from_scan) @ box, shape)
    rows = inside.reshape(-1, len(places))
    at = np.stack(np.meshgrid(ups, backs, indexing="ij"), axis=-1).reshape(-1, 2)[:, ::-1]
    right, left = _border(rows, places), -_border(rows[:, ::-1], places)
    wide = left - right >= _NARROWEST_MM
    return np.column_stack([(left + right) / 2, at])[wide]


def _border(rows: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each row first rises to one half, mm, between voxels; NaN where it never does, or does at once."""
    index = np.argmax(rows >= 0.5, axis=1)
    row = np.arange(len(rows))
    above, below = rows[row, index], rows[row, np.maximum(index - 1, 0)]
    place = places[index] - _ACROSS_MM * (above - 0.5) / np.maximum(above - below, 1e-6)
    return np.where(index > 0, place, np.nan)


if __name__ == "__main__":
    main()
