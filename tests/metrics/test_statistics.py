"""Intervals, paired tests and the reliability curve, on numbers that can be checked."""

import numpy as np
import pytest
from scipy.stats import norm

from adn.errors import InputError
from adn.metrics.reliability import BINS, reliability, reliability_counts
from adn.metrics.statistics import bootstrap_mean, holm, wilcoxon_p, wilson
from given import given


def test_the_interval_of_many_values_is_the_textbook_one():
    values = np.random.default_rng(1).normal(0.5, 0.2, 400)
    half = norm.ppf(0.975) * values.std() / np.sqrt(400)
    assert bootstrap_mean(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=1e-3)


def test_the_seed_decides():
    values = np.arange(20.0) ** 2
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)


def test_equal_cases_in_a_cluster_count_as_one():
    values = np.repeat([0.1, 0.4, 0.5, 0.9], 13)
    clusters = np.repeat(list("abcd"), 13).tolist()
    assert bootstrap_mean(values, clusters) == pytest.approx(bootstrap_mean([0.1, 0.4, 0.5, 0.9]))
    narrow = given(bootstrap_mean(values))
    wide = given(bootstrap_mean(values, clusters))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_clusters_of_one_case_each_are_no_clusters():
    values = [0.2, 0.5, 0.7, 0.4]
    assert bootstrap_mean(values, list("abcd")) == bootstrap_mean(values)


def test_too_few_cases_give_no_interval():
    assert bootstrap_mean([]) is None
    assert bootstrap_mean([0.5]) is None
    assert bootstrap_mean([0.5, 0.7], ["a", "a"]) is None


def test_wilcoxon_by_hand():
    assert wilcoxon_p([1, 2, 3, 4, 5]) == pytest.approx(2 / 2**5)  # all one way: 2 of 32 sign patterns
    assert wilcoxon_p([1, 2, 3, 4, 5, 0, 0]) == pytest.approx(2 / 2**5)  # zeros say nothing
    assert wilcoxon_p([-1, -2, 3]) == pytest.approx(1.0)  # rank sums 3 and 3
    assert wilcoxon_p([0.0, 0.0]) == 1.0
    assert wilcoxon_p([]) is None


def test_holm_by_hand():
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_calibrated_probability_is_on_the_diagonal():
    generator = np.random.default_rng(0)
    p = generator.uniform(size=(20, 60, 60))
    curve = reliability(
        [reliability_counts(half, generator.uniform(size=half.shape) < half) for half in (p[:10], p[10:])]
    )
    assert curve.observed == pytest.approx(curve.predicted, abs=0.03)
    assert curve.expected_error < 0.01
    assert curve.brier == pytest.approx(1 / 6, abs=0.003)  # the mean of p (1 − p)
    assert (curve.low <= curve.observed).all()
    assert (curve.observed <= curve.high).all()


def test_reliability_by_hand():
    p = np.array([[[0.0, 0.5, 0.52, 1.0]]])
    counts = reliability_counts(p, np.array([[[0, 1, 0, 1]]]), np.array([[[1, 1, 1, 1]]]))
    assert counts[0].sum() == 4
    assert counts[:, BINS // 2] == pytest.approx([2, 1.02, 1, 0.5**2 + 0.52**2])
    assert counts[0, -1] == 1  # 1.0 belongs to the last bin
    only = reliability_counts(p, np.array([[[0, 1, 0, 1]]]), np.array([[[0, 0, 0, 1]]]))
    assert only[0].sum() == 1
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match=r"\[0, 1\]"):
            reliability_counts(np.full((1, 1, 1), wrong), np.zeros((1, 1, 1)))
    rounded = np.nextafter(np.ones((1, 1, 1), np.float32), np.float32(2))  # what interpolation may give
    assert reliability_counts(rounded, np.ones((1, 1, 1)))[:, -1] == pytest.approx([1, 1, 1, 0])


def test_wilson_by_hand():
    assert wilson(0, 0) is None
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
