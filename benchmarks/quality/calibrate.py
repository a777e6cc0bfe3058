"""Calibrate weights on validation patients: probability, threshold and volume; a reliability curve before and after.

    python benchmarks/quality/calibrate.py WEIGHTS [MEMBER...] --real DIR -o OUT [--lesions DIR] [--called 0.08]
        [--write FILE]

MEMBER: one network per fold of benchmarks/splits/*_folds.csv, in order. Then all but the test patients are judged, each
by the member that has not seen them, instead of the validation patients by WEIGHTS. WEIGHTS still gets the numbers: the
mean of members marks no worse than a single one, so they are cautious.
--real, --lesions, OUT: as for patients.py, whose predictions are reused if OUT has them. The logit's scale and shift
are fitted over voxels of 0.01 or more in outlined patients and heads without infarct; the printed results are for
patients left out in turn, over voxels where the probability or the truth is 0.05 or more. The threshold and the
coefficients for parts (part_rules.py) are chosen so that at most --called of the heads without infarct have 5 mL or
more marked outside blood and oedema; among those, the outlined patients' Dice plus the share of laid infarcts found is
maximised, as a network that marks nothing would be blind. --write: the weights with these numbers.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from cases import RulerCase, bleeds, laid, mask_of, outlined
from numpy.typing import NDArray
from part_rules import Part, PartsCase, Rule, fitted_rule, marked_ml, scores_of
from patients import counted, predicted

import adn
from adn.errors import InputError
from adn.findings.measure import volume_interval
from adn.findings.parts import parts_with_evidence
from adn.findings.twins import twins_of
from adn.io.weights import NO_LICENCE, find_weights, read_weights, save_weights
from adn.metrics.calibration import calibrated, fit_interval, fit_logit
from adn.metrics.reliability import Reliability, reliability, reliability_counts
from adn.recipes import recipe_from_dict
from adn.space.geometry import bounding_box
from adn.space.volume import Volume

LEAST = 0.05  # voxels of lower probability without infarct are so many that they would swamp all others
FITTED = 0.01  # the logit is fitted over voxels of at least this probability, whatever their truth
FOLDS = 5
THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """One case as `patients.py` predicts it, (D, H, W): probability, reference, and the voxels that count."""

    kind: str
    patient: str
    probability: NDArray[np.float32]
    reference: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    ct: Volume
    brain: Volume
    aligned_from_scan: NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Voxels:
    """A case's data for the logit: probability and reference, (n,), of the voxels where either suggests infarct, and of
    those chosen by probability alone."""

    patient: str
    judged: tuple[NDArray, NDArray]
    fitted: tuple[NDArray, NDArray]


def seen(case: RulerCase, model: adn.Model, out: Path) -> Seen | None:
    """A case as `patients.py` predicts it; None where it is refused."""
    found = predicted(case, model, out)
    if found is None:
        return None
    ct = adn.open_scan(case.ct).volume.reoriented("SPL")
    counts, reference = counted(case, ct), mask_of(case.infarct)
    inside = np.zeros(ct.grid.shape, bool) if reference is None else reference & counts
    brain = ct.with_data(found.brain.astype(np.uint8), "label")
    return Seen(case.kind, case.patient, found.probability, inside, counts, ct, brain, found.aligned_from_scan)


def voxels_of(case: Seen) -> Voxels:
    """Both selections of a case's voxels."""
    probability = np.where(case.counts, case.probability, 0).astype(np.float32)
    judged, fitted = (probability >= LEAST) | case.reference, probability >= FITTED
    return Voxels(
        case.patient,
        (probability[judged], case.reference[judged]),
        (probability[fitted], case.reference[fitted]),
    )


def parts_of(case: Seen, thresholds: Sequence[float], logit: tuple[float, float], smallest_ml: float) -> PartsCase:
    """The parts of a case at each threshold of the calibrated probability; those below `smallest_ml` are left out."""
    probability = (calibrated(case.probability, *logit) * (case.probability > 0)).astype(np.float32)
    twins = twins_of(case.ct, case.brain, np.zeros(probability.shape, np.uint8), case.aligned_from_scan)
    box, ml = bounding_box(case.brain.data > 0), case.ct.grid.voxel_ml
    found = PartsCase(case.kind, case.patient, float(case.reference.sum() * ml))
    for threshold in thresholds:
        labels, evidence = parts_with_evidence(probability, threshold, twins, box, ml)
        count, counts, inside = (
            np.bincount(labels.ravel(), weights=weights) * ml
            for weights in (None, case.counts.ravel(), case.reference.ravel())
        )
        large = [label for label in range(1, len(count)) if count[label] >= smallest_ml]
        found.at[threshold] = [Part(counts[label], inside[label], evidence.get(label)) for label in large]
    return found


def left_out(cases: Sequence[Voxels]) -> tuple[Reliability, Reliability]:
    """Reliability before and after calibration, each patient calibrated on the others."""
    patients = sorted({case.patient for case in cases})
    before, after = [], []
    for fold in range(FOLDS):
        out = set(patients[fold::FOLDS])
        scale, shift = fit_logit([case.fitted for case in cases if case.patient not in out])
        for case in cases:
            if case.patient in out:
                p, r = case.judged
                before.append(reliability_counts(p, r))
                after.append(reliability_counts(calibrated(p, scale, shift), r))
    return reliability(before), reliability(after)


def curve(before: Reliability, after: Reliability) -> list[str]:
    """Both curves as a table."""
    lines = ["| probability | observed before | observed after | voxels after |", "|---|---|---|---|"]
    for place, (a, b, n) in enumerate(zip(before.observed, after.observed, after.voxels, strict=True)):
        lines.append(f"| {place / 20:.2f} to {(place + 1) / 20:.2f} | {a:.2f} | {b:.2f} | {n} |")
    return lines


def chosen_rule(cases: Sequence[PartsCase], thresholds: Sequence[float], called: float) -> tuple[Rule, list[str]]:
    """The best threshold and rule for parts with at most `called` heads marked, and a table of all candidates."""
    lines = [
        "| threshold | parts | outlined: Dice | heads with 5 mL or more | laid infarcts found |",
        "|---|---|---|---|---|",
    ]
    rules = []
    for threshold in thresholds:
        lines.append(scores_of(cases, threshold).row(f"{threshold:.2f}", "all"))
        if rule := fitted_rule(cases, threshold, called):
            lines.append(rule.scores.row(f"{threshold:.2f}", "likely"))
            rules.append(rule)
    if not rules:
        raise InputError(
            f"No threshold and rule mark at most {called:.0%} of the heads; give more cases or more --called."
        )
    return max(rules, key=lambda rule: rule.scores.worth), lines


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
    judges = parts or {"validation": model}

    def every_case() -> Iterator[Seen]:
        for part, judge in judges.items():
            for case in cases_of(part, arguments):
                if (found := seen(case, judge, arguments.out)) is not None:
                    yield found

    voxels = [voxels_of(case) for case in every_case() if case.kind != "laid"]
    before, after = left_out(voxels)
    scale, shift = fit_logit([case.fitted for case in voxels])
    print(f"Logit × {scale:.3f} + {shift:.3f}. Expected calibration error, patients left out: "
          f"{before.expected_error:.3f} before, {after.expected_error:.3f} after.\n")  # fmt: skip
    print("\n".join(curve(before, after)) + "\n")
    del voxels
    cases = [parts_of(case, THRESHOLDS, (scale, shift), model.recipe.smallest_ml) for case in every_case()]
    rule, lines = chosen_rule(cases, THRESHOLDS, arguments.called)
    print("\n".join(lines) + f"\n\nThreshold {rule.threshold:.2f}; {rule.config}\n")
    judged = [case for case in cases if case.kind == "outlined"]
    marked = [marked_ml(case, rule.threshold, 0.0, rule.score)[0] for case in judged]
    errors = volumes(marked, [case.reference_ml for case in judged])
    if arguments.write:
        found = find_weights(arguments.weights)
        tensors, values = read_weights(found.path)
        values |= {
            "threshold": rule.threshold,
            "calibration": {
                "logit_scale": scale,
                "logit_shift": shift,
                "volume_errors": errors,
                "parts": rule.config.model_dump(),
            },
        }
        save_weights(
            tensors,
            recipe_from_dict(values).model_dump(mode="json"),
            arguments.write,
            licence="" if found.licence == NO_LICENCE else found.licence,
        )


def volumes(marked_ml: list[float], true_ml: list[float]) -> tuple[float, float]:
    """The errors in √mL; the printed result is for patients left out in turn."""
    marked, true = np.array(marked_ml), np.array(true_ml)
    held = []
    for place in range(len(marked)):
        others = fit_interval(np.delete(marked, place).tolist(), np.delete(true, place).tolist())
        low, high = volume_interval(marked[place], others)
        held.append(low <= true[place] <= high)
    errors = fit_interval(marked_ml, true_ml)
    print(f"Errors of √mL {errors[0]:.2f} to {errors[1]:.2f}; {np.mean(held):.0%} of {len(held)} volumes lie within "
          "the interval of the others.")  # fmt: skip
    return errors


if __name__ == "__main__":
    main()
