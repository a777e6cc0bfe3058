"""The tissue loss on volumes where its value is known by hand."""

import math

import pytest
import torch

from adn.losses.tissue import soft_dice, tissue_terms

TISSUE = torch.tensor([0, 1, 2, 3], dtype=torch.uint8).view(1, 1, 2, 2)
BRAIN = TISSUE > 0


def sure(tissue, strength=30.0):
    return strength * torch.nn.functional.one_hot(tissue.long(), 4).movedim(-1, 1).float()


def test_a_certain_and_correct_prediction_has_zero_loss():
    terms = tissue_terms(sure(TISSUE), TISSUE, BRAIN)
    assert terms.loss == pytest.approx(0.0, abs=1e-5)


def test_a_uniform_prediction_costs_ln_4_and_half_of_the_dice():
    """p = 1/4: Dice of a tissue with one of four voxels 2 · 0.25 / (1 + 1); of the brain 2 · 2.25 / (3 + 3)."""
    terms = tissue_terms(torch.zeros(1, 4, 1, 2, 2), TISSUE, BRAIN)
    assert terms.cross_entropy == pytest.approx(math.log(4), abs=1e-6)
    assert terms.dice_gm == terms.dice_wm == terms.dice_csf == pytest.approx(0.25)
    assert terms.dice_brain == pytest.approx(0.75)
    assert terms.loss == pytest.approx(math.log(4) + 1 - (0.75 + 0.75) / 4, abs=1e-6)


def test_a_vessel_inside_the_brain_may_be_called_any_tissue_but_not_outside():
    brain = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    wrong = tissue_terms(sure(TISSUE), TISSUE, brain).cross_entropy
    assert wrong == pytest.approx((30 - math.log(3)) / 4, abs=1e-4)  # one voxel of four
    called_csf = TISSUE.clone()
    called_csf[0, 0, 0, 0] = 3
    assert tissue_terms(sure(called_csf), TISSUE, brain).cross_entropy == pytest.approx(0.0, abs=1e-5)


def test_the_gradient_points_to_the_truth():
    logits = torch.zeros(1, 4, 1, 2, 2, requires_grad=True)
    tissue_terms(logits, TISSUE, BRAIN).loss.backward()
    assert logits.grad is not None
    at_truth = logits.grad.gather(1, TISSUE.long()[:, None])
    assert (at_truth < 0).all()
    assert (logits.grad.sum(1).abs() < 1e-6).all()  # softmax: what one class gains the others lose


def test_soft_dice_is_a_mean_over_scans():
    p = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)
    assert soft_dice(p, torch.ones(2, 1, 1, 1)) == pytest.approx(0.5)
