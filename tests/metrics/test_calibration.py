"""Calibration recovers how a probability was distorted, and intervals hold as many volumes as they promise."""

import numpy as np
import pytest

from adn.errors import InputError
from adn.findings.measure import volume_interval
from adn.metrics.calibration import calibrated, fit_interval, fit_logit, logit


def test_a_known_distortion_of_the_probability_is_estimated_and_undone():
    draw = np.random.default_rng(0)
    true = draw.uniform(0.02, 0.98, 200_000)
    reference = draw.random(true.shape) < true
    sure = 1 / (1 + np.exp(-(2.5 * logit(true) + 1)))  # an overconfident network
    scale, shift = fit_logit([(sure, reference)])
    assert (scale, shift) == pytest.approx((1 / 2.5, -1 / 2.5), abs=0.02)
    assert np.abs(calibrated(sure, scale, shift) - true).mean() < 0.01


def test_every_voxel_has_the_same_weight():
    draw = np.random.default_rng(1)
    first, second = ((draw.random(n), draw.random(n) < 0.5) for n in (300, 700))
    both = (np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]]))
    assert fit_logit([first, second]) == pytest.approx(fit_logit([both]), abs=1e-6)


def test_calibration_needs_voxels_of_both_classes():
    with pytest.raises(InputError, match="with infarct and voxels without"):
        fit_logit([(np.array([0.3, 0.4]), np.zeros(2))])


def test_an_interval_covers_its_nominal_share_of_new_cases():
    draw = np.random.default_rng(2)

    def cases(n):
        true = draw.gamma(1.0, 30.0, n)
        return np.maximum(np.sqrt(true) + draw.normal(0.5, 1.2, n), 0) ** 2, true

    held = []
    for _ in range(200):
        errors = fit_interval(*cases(25))
        marked, true = cases(50)
        bounds = np.array([volume_interval(ml, errors) for ml in marked])
        held.append(((bounds[:, 0] <= true) & (true <= bounds[:, 1])).mean())
    assert 0.78 <= np.mean(held) <= 0.88
    with pytest.raises(InputError, match="ten or more cases"):
        fit_interval([1.0], [2.0])


def test_an_interval_never_extends_below_0():
    assert volume_interval(0.0, (-2.0, 1.5)) == (0.0, 2.25)
    assert volume_interval(16.0, (-1.0, 2.0)) == (9.0, 36.0)
