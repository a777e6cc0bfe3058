"""Average members of two kinds: what the mean of their logits marks on patients that neither has seen.

    python benchmarks/studies/two_members.py --first MEMBER... --second MEMBER... --real DIR --lesions DIR -o OUT
        [--weights 0 0.3 0.5 1] [--called 0.08]

One member of each kind per fold of benchmarks/splits/*_folds.csv, in order; with fewer, only the first folds are
judged. --weights: weights of the second kind's raw logits, before both are calibrated together; 0 is the first kind
alone. Everything else is as in `quality/calibrate.py`, whose tables are printed for each weight and whose predictions
in OUT are reused.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import adn
from adn.metrics.calibration import fit_logit

sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))
from calibrate import THRESHOLDS, Seen, cases_of, chosen_rule, left_out, parts_of, seen, voxels_of

_LEAST = 1e-4  # a probability of 0 has no logit


def averaged(first: NDArray, second: NDArray, weight: float) -> NDArray[np.float32]:
    """The probability for the weighted mean of two probabilities' logits; 0 where both are 0."""
    a, b = (np.log(p / (1 - p)) for p in (np.clip(x.astype(np.float64), _LEAST, 1 - _LEAST) for x in (first, second)))
    mean = 1 / (1 + np.exp(-((1 - weight) * a + weight * b)))
    return np.where((first > 0) | (second > 0), mean, 0).astype(np.float32)


def judged(arguments: argparse.Namespace, kinds: list[list[adn.Model]], weight: float) -> Iterator[Seen]:
    """Every case of the folds with the averaged probability."""
    for fold, (one, other) in enumerate(zip(*kinds, strict=True)):
        for case in cases_of(f"fold {fold}", arguments):
            found = seen(case, other if weight == 1 else one, arguments.out)
            if found is None:
                continue
            if 0 < weight < 1 and (second := seen(case, other, arguments.out)) is not None:
                probability = averaged(found.probability, second.probability, weight)
                found = dataclasses.replace(found, probability=probability)
            yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", nargs="+", required=True)
    parser.add_argument("--second", nargs="+", required=True)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--lesions", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.3, 0.5, 1.0])
    parser.add_argument("--called", type=float, default=0.08)
    arguments = parser.parse_args()
    kinds = [[adn.load_model(name) for name in names] for names in (arguments.first, arguments.second)]
    smallest_ml = kinds[0][0].recipe.smallest_ml
    for weight in arguments.weights:
        voxels = [voxels_of(case) for case in judged(arguments, kinds, weight) if case.kind != "laid"]
        before, after = left_out(voxels)
        logit = fit_logit([case.fitted for case in voxels])
        del voxels
        cases = [parts_of(case, THRESHOLDS, logit, smallest_ml) for case in judged(arguments, kinds, weight)]
        lines = chosen_rule(cases, THRESHOLDS, arguments.called)[1]
        errors = f"{before.expected_error:.2f} before, {after.expected_error:.2f} after"
        print(
            f"\nWeight {weight:g}: expected calibration error, patients left out, {errors}.\n",
            *lines,
            sep="\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
