"""Calibrate weights on validation patients: probability, threshold and volume; a reliability curve before and after.

    python benchmarks/quality/calibrate.py WEIGHTS [MEMBER...] --real DIR -o OUT [--lesions DIR] [--called 0.08]
        [--write FILE]

MEMBER: one of each fold of benchmarks/splits/*_folds.csv, in their order. All but the test patients are then judged,
each by the member that has not seen them, in place of the validation patients by WEIGHTS, which gets the numbers all
the same: the mean of members marks no less well than one of them, so what is found is cautious.
--real, --lesions, OUT: as of patients.py, whose predictions are used where OUT keeps them. The logit's scale and shift
are fitted over voxels of 0.01 or more, of outlined patients and of heads without infarct; what is printed of them is of
patients left out in turn, over voxels where the probability or the truth is 0.05 or more. The threshold is the lowest
with which at most --called of the heads without infarct have 5 mL or more marked outside blood and oedema; the share of
laid infarcts that are then found stands beside it, as a network that marks nothing is blind. --write: the weights with
these numbers.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from cases import RulerCase, bleeds, laid, mask_of, outlined
from numpy.typing import NDArray
from patients import counted, predicted
from tables import FALSE_ML, FOUND

import adn
from adn.findings.measure import volume_interval, without_small
from adn.io.weights import NO_LICENCE, find_weights, read_weights, save_weights
from adn.metrics.calibration import calibrated, fit_interval, fit_logit
from adn.metrics.overlap import dice
from adn.metrics.reliability import Reliability, reliability, reliability_counts
from adn.recipes import recipe_from_dict

LEAST = 0.05  # voxels with less probability, and without infarct, are so many that they would hide all others
FITTED = 0.01  # the logit is fitted over voxels with so much probability, whatever their truth
FOLDS = 5
THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """One case: probability and reference of the voxels that count, (D, H, W), 0 elsewhere."""

    kind: str
    patient: str
    probability: NDArray[np.float32]
    reference: NDArray[np.bool_]
    voxel_ml: float

    def voxels(self) -> tuple[NDArray, NDArray]:
        """Probability and reference where either says that there may be infarct."""
        chosen = (self.probability >= LEAST) | self.reference
        return self.probability[chosen], self.reference[chosen]

    def fitted(self) -> tuple[NDArray, NDArray]:
        """Probability and reference of voxels that are chosen by their probability alone."""
        chosen = self.probability >= FITTED
        return self.probability[chosen], self.reference[chosen]

    def marked(self, threshold: float, smallest_ml: float) -> NDArray[np.bool_]:
        """The mask at a threshold, without small parts."""
        return without_small(self.probability, threshold, smallest_ml, self.voxel_ml) >= threshold


def seen(case: RulerCase, model: adn.Model, out: Path) -> Seen | None:
    """A case as the ruler predicts it; None where it is refused."""
    found = predicted(case, model, out)
    if found is None:
        return None
    ct = adn.open_scan(case.ct).volume.reoriented("SPL")
    counts, reference = counted(case, ct), mask_of(case.infarct)
    inside = np.zeros(ct.grid.shape, bool) if reference is None else reference & counts
    probability = np.where(counts, found.probability, 0).astype(np.float32)
    return Seen(case.kind, case.patient, probability, inside, ct.grid.voxel_ml)


def left_out(cases: Sequence[Seen]) -> tuple[Reliability, Reliability]:
    """Reliability before calibration and after it, each patient calibrated by the others."""
    patients = sorted({case.patient for case in cases})
    before, after = [], []
    for fold in range(FOLDS):
        out = set(patients[fold::FOLDS])
        scale, shift = fit_logit([case.fitted() for case in cases if case.patient not in out])
        for case in cases:
            if case.patient in out:
                p, r = case.voxels()
                before.append(reliability_counts(p, r))
                after.append(reliability_counts(calibrated(p, scale, shift), r))
    return reliability(before), reliability(after)


def curve(before: Reliability, after: Reliability) -> list[str]:
    """Both curves as a table."""
    lines = ["| probability | observed before | observed after | voxels after |", "|---|---|---|---|"]
    for place, (a, b, n) in enumerate(zip(before.observed, after.observed, after.voxels, strict=True)):
        lines.append(f"| {place / 20:.2f} to {(place + 1) / 20:.2f} | {a:.2f} | {b:.2f} | {n} |")
    return lines


def thresholds(cases: Sequence[Seen], smallest_ml: float, called: float) -> tuple[float, list[str]]:
    """The lowest threshold with at most `called` heads marked, and what each threshold gives."""
    kinds = {kind: [case for case in cases if case.kind == kind] for kind in ("outlined", "bleed", "laid")}
    lines = ["| threshold | outlined: Dice | heads with 5 mL or more | laid infarcts found |", "|---|---|---|---|"]
    chosen = float(THRESHOLDS[-1])
    for threshold in THRESHOLDS[::-1]:
        masks = {kind: [case.marked(threshold, smallest_ml) for case in own] for kind, own in kinds.items()}
        false = [
            mask.sum() * case.voxel_ml >= FALSE_ML for mask, case in zip(masks["bleed"], kinds["bleed"], strict=True)
        ]
        score = [dice(mask, case.reference) for mask, case in zip(masks["outlined"], kinds["outlined"], strict=True)]
        found = [dice(mask, case.reference) >= FOUND for mask, case in zip(masks["laid"], kinds["laid"], strict=True)]
        share = float(np.mean(found)) if found else float("nan")
        lines.append(f"| {threshold:.2f} | {np.mean(score):.3f} | {np.mean(false):.0%} | {share:.0%} |")
        if np.mean(false) <= called:
            chosen = float(threshold)
    return chosen, lines


def cases_of(part: str, arguments: argparse.Namespace) -> Iterator[RulerCase]:
    """Outlined patients, heads without infarct and, with --lesions, infarcts laid on those, of one part or fold."""
    heads = arguments.real / "phe_sich"
    yield from outlined(arguments.real / "teknofest", part)
    yield from bleeds(heads, part)
    if arguments.lesions:
        yield from laid(heads, part, arguments.lesions, arguments.out / f"laid-{part.replace(' ', '-')}")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("members", nargs="*", metavar="MEMBER")
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--called", type=float, default=0.08)
    parser.add_argument("--write", type=Path)
    return parser.parse_args()


def main() -> None:
    arguments = read_arguments()
    model = adn.load_model(arguments.weights)
    parts = {f"fold {fold}": adn.load_model(name) for fold, name in enumerate(arguments.members)}
    cases = [
        case
        for part, judge in (parts or {"validation": model}).items()
        for case in (seen(one, judge, arguments.out) for one in cases_of(part, arguments))
        if case
    ]
    real = [case for case in cases if case.kind != "laid"]
    before, after = left_out(real)
    scale, shift = fit_logit([case.fitted() for case in real])
    print(f"Logit × {scale:.3f} + {shift:.3f}. Expected calibration error, patients left out: "
          f"{before.expected_error:.3f} before, {after.expected_error:.3f} after.\n")  # fmt: skip
    print("\n".join(curve(before, after)) + "\n")
    cases = [dataclasses.replace(c, probability=calibrated(c.probability, scale, shift).astype(np.float32)
                                 * (c.probability > 0)) for c in cases]  # fmt: skip
    threshold, lines = thresholds(cases, model.recipe.smallest_ml, arguments.called)
    print("\n".join(lines) + f"\n\nThreshold {threshold:.2f}.\n")
    judged = [case for case in cases if case.kind == "outlined"]
    smallest_ml = model.recipe.smallest_ml
    marked = np.array([case.marked(threshold, smallest_ml).sum() * case.voxel_ml for case in judged])
    true = np.array([case.reference.sum() * case.voxel_ml for case in judged])
    held = []
    for place in range(len(marked)):
        low, high = volume_interval(marked[place], fit_interval(np.delete(marked, place), np.delete(true, place)))
        held.append(low <= true[place] <= high)
    errors = fit_interval(marked.tolist(), true.tolist())
    print(f"Errors of √mL {errors[0]:.2f} to {errors[1]:.2f}; {np.mean(held):.0%} of {len(held)} volumes lie within "
          "the interval of the others.")  # fmt: skip
    if arguments.write:
        found = find_weights(arguments.weights)
        tensors, values = read_weights(found.path)
        values |= {
            "threshold": threshold,
            "calibration": {"logit_scale": scale, "logit_shift": shift, "volume_errors": errors},
        }
        save_weights(
            tensors,
            recipe_from_dict(values).model_dump(mode="json"),
            arguments.write,
            licence="" if found.licence == NO_LICENCE else found.licence,
        )


if __name__ == "__main__":
    main()
