"""Outlines that cannot be a brain are doubted, each for its own reason."""

import numpy as np
import pytest

from adn.prepare.brain_shape import doubt_brain
from adn.remarks import Doubt
from prepare.phantom import head


@pytest.fixture(scope="module")
def scan():
    return head((30, 72, 64), (7.0, 3.2, 3.2))


def test_the_true_brain_is_not_doubted(scan):
    ct, brain = scan
    assert doubt_brain(ct, brain) is None
    assert doubt_brain(ct.reoriented("RAS"), brain.reoriented("LPI")) is None


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda hu, brain: (hu, brain & False), "0 mL"),
        (lambda hu, brain: (hu, hu > -500), "mL"),
        (lambda hu, brain: (hu + 60, brain), "mean of"),
        (lambda hu, brain: (np.where(hu > 200, 40, hu), brain), "bone around only"),
    ],
)
def test_each_reason_is_reported(scan, spoil, reason):
    ct, brain = scan
    hu, mask = spoil(ct.data, brain.data > 0)
    assert reason in str(doubt_brain(ct.with_data(hu), brain.with_data(mask.astype(np.uint8))))


def test_bone_and_air_inside_and_a_skipped_slice(scan):
    ct, brain = scan
    rng = np.random.default_rng(1)
    noisy = np.where(rng.random(ct.data.shape) < 0.02, -900.0, ct.data)
    noisy = np.where(rng.random(ct.data.shape) < 0.04, 400.0, noisy)
    assert "% bone" in str(doubt_brain(ct.with_data(noisy), brain))
    gap = brain.data.copy()
    gap[14] = 0
    assert doubt_brain(ct, brain.with_data(gap)) == Doubt("skips_slices")
