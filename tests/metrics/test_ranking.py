"""Scores for the ranking of voxels, on hand-made maps."""

import numpy as np
import pytest

from adn.metrics.ranking import matched_dice, roc_area

POSITIVE = np.array([[[True, True, False, False]]])


@pytest.mark.parametrize(
    ("scores", "area", "dice"),
    [
        ([0.9, 0.8, 0.2, 0.1], 1.0, 1.0),
        ([0.1, 0.2, 0.8, 0.9], 0.0, 0.0),
        ([0.5, 0.5, 0.5, 0.5], 0.5, 0.5),
        ([0.9, 0.1, 0.5, 0.0], 0.75, 0.5),
        ([0.9, 0.0, 0.0, 0.0], 0.75, 0.5 * (1 + 1 / 3)),
    ],
)
def test_by_hand(scores, area, dice):
    values = np.array(scores).reshape(POSITIVE.shape)
    assert roc_area(values, POSITIVE) == pytest.approx(area)
    assert matched_dice(values, POSITIVE) == pytest.approx(dice)


def test_only_the_order_matters():
    scores = np.random.default_rng(0).random((3, 5, 7))
    positive = np.random.default_rng(1).random(scores.shape) > 0.7
    assert roc_area(scores**3, positive) == roc_area(scores, positive)
    assert matched_dice(scores**3, positive) == matched_dice(scores, positive)


def test_without_an_outline_ranking_scores_are_none():
    assert roc_area(np.zeros((1, 1, 4)), np.zeros((1, 1, 4), bool)) is None
    assert matched_dice(np.zeros((1, 1, 4)), np.zeros((1, 1, 4), bool)) is None
