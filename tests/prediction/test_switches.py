"""Switches of a recipe that `predict` obeys: polarity, Q, X̃, and what lies outside the brain."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from adn.io.weights import WeightsFile
from adn.nn.adn import ADN
from adn.nn.align import AlignNet
from adn.prediction.assemble import predict
from adn.prediction.model import Model
from adn.recipes import load_recipe
from adn.results import Scan
from adn.space.volume import Volume
from phantoms import head


class Constant(nn.Module):
    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, x):
        return torch.full_like(x[:, :1], self.logit)


@pytest.fixture(scope="module")
def scan():
    volume = head((24, 72, 60), (7.0, 3.1, 2.9))
    data = volume.data.copy()
    d, h, w = np.indices(data.shape)
    data[(np.abs(d - 13) < 3) & (np.abs(h - 36) < 8) & (np.abs(w - 45) < 6) & (data > 0) & (data < 80)] += 25
    return Scan("case", Volume(data.astype(np.float32), volume.grid), "nifti")


def found(scan, d=0.0, f=1.0, smallest_ml=0.0, **network):
    tiny = load_recipe("tiny")
    recipe = tiny.model_copy(
        update={
            "smallest_ml": smallest_ml,
            "network": tiny.network.model_copy(update=network),
            "align": tiny.align.model_copy(update={"refine_steps": 0}),
        }
    )
    adn = ADN(AlignNet(recipe.grid, recipe.align), Constant(d), Constant(f), recipe)
    weights = WeightsFile("none", Path(__file__), "", 0.0, False)
    return predict(scan, Model(adn.eval(), recipe, weights, torch.device("cpu"), "fp32"))


def test_x_tilde_and_x_hat_follow_the_recipe(scan):
    """σ(0) of an 80 HU window is P = 40 HU everywhere, more than A."""
    free = found(scan, p_form="probability")
    clamped = found(scan, p_form="probability", clamp_q=True, clamp_compensated=True)
    inside = free.brain_mask.data > 0
    centre = tuple(int(n) for n in np.argwhere(inside).mean(0))
    ct, a = scan.volume.data, free.asymmetry_total.data
    assert free.compensated.data[centre] - ct[centre] == pytest.approx(40.0, abs=0.1)
    assert np.abs(free.salient.data - (ct + a - 40))[centre] < 0.1
    assert (clamped.compensated.data - ct <= a + 1e-3).all()  # no further than the mirror twin
    assert (clamped.salient.data >= ct - 1e-3).all()  # Q is not negative
    for one in (free, clamped):  # the maps hold the part of A in either case
        p, q = one.asymmetry_pathological.data, one.asymmetry_intrinsic.data
        assert np.allclose(p + q, a, atol=1e-3)
        assert (p <= a + 1e-3).all()


def test_probability_outside_the_brain_is_0_unless_the_recipe_ignores_it(scan):
    zeroed, silent = found(scan), found(scan, zero_outside=False)
    outside = zeroed.brain_mask.data == 0
    assert not zeroed.infarct_probability.data[outside].any()
    assert silent.infarct_probability.data[outside].max() == pytest.approx(0.731, abs=0.01)  # σ(1)
    inside = ~outside
    assert np.array_equal(zeroed.infarct_probability.data[inside], silent.infarct_probability.data[inside])


def test_polarity_decides_which_side_a_highlights(scan):
    dark, bright = found(scan), found(scan, polarity="bright")
    spot = tuple(int(n) for n in np.argwhere(scan.volume.data > 50)[0])
    spots = (scan.volume.data > 45) & (scan.volume.data < 90) & (dark.brain_mask.data > 0)
    assert spots[spot] or spots.any()
    assert bright.asymmetry_total.data[spots].mean() > 10
    assert dark.asymmetry_total.data[spots].mean() < 2
    q = bright.asymmetry_intrinsic.data
    assert np.allclose(bright.salient.data, scan.volume.data - q, atol=1e-3)  # taken away, not filled in
    assert (dark.polarity, bright.polarity) == ("dark", "bright")
    assert "bright_polarity" in {remark.kind for remark in bright.remarks}
    assert "bright_polarity" not in {remark.kind for remark in dark.remarks}


def test_masks_below_the_smallest_volume_are_left_out(scan):
    whole = found(scan)  # σ(1) marks the whole brain
    volume_ml = whole.measurements.volume_ml
    assert volume_ml > 100
    assert np.array_equal(found(scan, smallest_ml=volume_ml / 2).infarct.data, whole.infarct.data)
    none = found(scan, smallest_ml=2 * volume_ml)
    assert not none.infarct.data.any()
    assert none.measurements.side == "none"
    assert none.infarct_probability.data.max() == pytest.approx(0.5)
