"""Which connected parts of a mark are infarct: coefficients for `adn.findings.parts`, for `calibrate.py`.

A logistic regression on the evidence of every part, fitted on outlined patients, heads without infarct and infarcts
laid on these. A part is true if three tenths of it are infarct; parts with a small but non-zero share are not used for
fitting. The printed results are for patients left out in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import FALSE_ML, FOUND

from adn.config import PartsConfig
from adn.findings.parts import Evidence

FOLDS, C = 5, 0.3
TRUE, UNTOLD = 0.3, 0.05
LEAST_ML = 0.3  # least counted volume of a part
HEADS_WEIGHT = 3.0
CUTS = 80


@dataclass(frozen=True, eq=False)
class Part:
    """One connected part. counted_ml, inside_ml: mL that count, and infarct among them. evidence: None if too small."""

    counted_ml: float
    inside_ml: float
    evidence: Evidence | None

    @property
    def share(self) -> float:
        """Share of infarct in what counts."""
        return self.inside_ml / self.counted_ml if self.counted_ml else 0.0


@dataclass(frozen=True, eq=False)
class PartsCase:
    """One case. at: its parts at each threshold."""

    kind: str
    patient: str
    reference_ml: float
    at: dict[float, list[Part]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """dice: mean of the outlined. false: share of heads with 5 mL or more marked. found: share of laid infarcts."""

    dice: float
    false: float
    found: float

    @property
    def worth(self) -> float:
        """The value to maximise."""
        return self.dice + self.found

    def row(self, *first: str) -> str:
        """A line of a table."""
        return f"| {' | '.join(first)} | {self.dice:.3f} | {self.false:.0%} | {self.found:.0%} |"


def marked_ml(case: PartsCase, threshold: float, least: float, score: dict[int, float] | None) -> tuple[float, float]:
    """mL marked that count, and infarct among them, keeping parts that score `least` or more; score None: all parts."""
    kept = [part for part in case.at[threshold] if score is None or score.get(id(part), -np.inf) >= least]
    return sum(part.counted_ml for part in kept), sum(part.inside_ml for part in kept)


def scores_of(
    cases: Sequence[PartsCase], threshold: float, least: float = 0.0, score: dict[int, float] | None = None
) -> Scores:
    """The scores at a threshold, with parts below `least` left out."""
    found: dict[str, list[float]] = {"outlined": [], "bleed": [], "laid": []}
    for case in cases:
        marked, inside = marked_ml(case, threshold, least, score)
        total = marked + case.reference_ml
        dice = 2 * inside / total if total else 1.0
        found[case.kind].append({"outlined": dice, "bleed": marked >= FALSE_ML, "laid": dice >= FOUND}[case.kind])
    dice, false, laid = (float(np.mean(values)) if values else 0.0 for values in found.values())
    return Scores(dice, false, laid)


@dataclass(frozen=True, eq=False)
class Rule:
    """A threshold with its coefficients for parts, and their scores on left-out patients."""

    threshold: float
    config: PartsConfig
    scores: Scores
    score: dict[int, float]  # for patients left out, minus the score required of a part


def fitted_rule(cases: Sequence[PartsCase], threshold: float, called: float) -> Rule | None:
    """The best rule with at most `called` heads marked; None if no cut achieves that, or all parts are of one kind."""
    parts = [(case, part) for case in cases for part in case.at[threshold]]
    parts = [(case, part) for case, part in parts if part.evidence and part.counted_ml >= LEAST_ML]
    evidence = np.array([part.evidence for _, part in parts])
    true = np.array([part.share > TRUE for _, part in parts])
    taught = np.array([part.share > TRUE or part.share <= UNTOLD for _, part in parts])
    weight = np.array([np.sqrt(np.exp(part.evidence.size)) if part.evidence else 0.0 for _, part in parts])
    weight *= np.array([HEADS_WEIGHT if case.kind == "bleed" else 1.0 for case, _ in parts])
    patients = sorted({case.patient for case in cases})
    shuffled = np.random.default_rng(0).permutation(len(patients))
    group = {patients[place]: number % FOLDS for number, place in enumerate(shuffled)}
    groups = np.array([group[case.patient] for case, _ in parts])
    if not parts or any(len(set(true[taught & (groups != fold)])) < 2 for fold in range(FOLDS)):
        return None
    left_out = np.zeros(len(parts))
    for fold in range(FOLDS):
        model = _fit(evidence, true, weight, taught & (groups != fold))
        if (groups == fold).any():
            left_out[groups == fold] = model.decision_function(evidence[groups == fold])
    score = {id(part): float(value) for (_, part), value in zip(parts, left_out, strict=True)}
    cuts = np.quantile(left_out, np.linspace(0, 1, CUTS))
    tried = [(scores_of(cases, threshold, float(cut), score), float(cut)) for cut in cuts]
    allowed = [(scores, cut) for scores, cut in tried if scores.false <= called]
    if not allowed:
        return None
    best, cut = max(allowed, key=lambda pair: pair[0].worth)
    config = _coefficients(_fit(evidence, true, weight, taught), cut)
    return Rule(threshold, config, best, {key: value - cut for key, value in score.items()})


def _fit(evidence: NDArray, true: NDArray, weight: NDArray, chosen: NDArray):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C))
    return model.fit(evidence[chosen], true[chosen], logisticregression__sample_weight=weight[chosen])


def _coefficients(model, cut: float) -> PartsConfig:
    """The model's coefficients in the units of the evidence."""
    scaler, regression = model[0], model[1]
    slope = regression.coef_[0] / scaler.scale_
    intercept = float(regression.intercept_[0] - slope @ scaler.mean_ - cut)
    values = {name: round(float(value), 5) for name, value in zip(Evidence._fields, slope, strict=True)}
    return PartsConfig(intercept=round(intercept, 5), **values)
