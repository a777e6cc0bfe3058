"""Rendering a small made-up head: what is true of every virtual patient."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from adn.geometry import RigidTransform
from adn.synth.anatomy import make_head
from adn.synth.lesions import procedural_mask
from adn.synth.plan import BrightPlan, Choices, InfarctPlan, draw_patient
from adn.synth.render import Lattice, render
from adn.synth.tissues import Tissue

HERE = RigidTransform.from_parameters((0.0, 0.0, 0.0))
COARSE = Lattice((30, 64, 56), (5.0, 3.0, 3.0), HERE)
INFARCT = InfarctPlan("", 0, 24.0, False, 8.0, 9.0, 1.5, 0.3, True)


@lru_cache(1)
def head():
    """Ellipsoids: bone, cortex, white matter, two ventricles."""
    z, y, x = np.ogrid[-72:73, -88:89, -76:77]
    codes = np.zeros((145, 177, 153), np.uint8)
    shells = ((1.0, Tissue.SCALP), (0.94, Tissue.BONE), (0.87, Tissue.CSF), (0.85, Tissue.GM), (0.78, Tissue.WM))
    for scale, code in shells:
        codes[(x / 72) ** 2 + (y / 86) ** 2 + (z / 70) ** 2 < scale**2] = code
    codes[((abs(x) - 12) / 6) ** 2 + (y / 30) ** 2 + (z / 12) ** 2 < 1] = Tissue.VENTRICLE
    return make_head("made up", codes, np.eye(4), np.eye(4))


def plan(seed=1, infarcts=(INFARCT,), **changes):
    drawn = draw_patient(torch.Generator().manual_seed(seed), Choices(heads=("made up",)))
    return replace(drawn, infarcts=tuple(infarcts), **{"bright": (), **changes})


def shown(which, lattice=COARSE):
    return render(which, head(), lattice, procedural_mask)


def test_the_same_plan_gives_the_same_patient_to_the_bit():
    a, b = shown(plan()), shown(plan())
    assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("ct", "infarct", "tissue", "brain"))


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_infarct_and_tissue_lie_within_the_brain(seed):
    patient = shown(plan(seed))
    assert patient.infarct.any()
    assert not (patient.infarct & ~patient.brain).any()
    assert not ((patient.tissue > 0) & ~patient.brain).any()
    assert set(patient.tissue.unique().tolist()) == {0, 1, 2, 3}


def test_two_lattices_agree_about_the_volume_of_the_infarct():
    fine = Lattice((60, 96, 84), (2.5, 2.0, 2.0), HERE, native=True)
    coarse_ml = float(shown(plan()).infarct.sum()) * 45 / 1000
    fine_ml = float(shown(plan(), fine).infarct.sum()) * 10 / 1000
    assert coarse_ml == pytest.approx(fine_ml, rel=0.10)
    assert coarse_ml > 20


@pytest.mark.parametrize("flip", [False, True])
def test_the_infarct_lies_left_unless_it_is_flipped(flip):
    where = shown(plan(infarcts=[replace(INFARCT, left_right_flip=flip)])).infarct.nonzero()[:, 2].float()
    left = where.mean() > (COARSE.shape[2] - 1) / 2  # W grows to the patient's left
    assert left == (not flip)


def test_an_acute_infarct_is_darker_than_without():
    ill, well = shown(plan()), shown(plan(infarcts=()))
    assert not well.infarct.any()
    assert float((ill.ct - well.ct)[ill.infarct].mean()) < -4


def test_old_infarcts_and_bright_spots_are_seen_but_never_labelled():
    spot = BrightPlan((-20.0, 10.0, 10.0), (7.0, 7.0, 7.0), 90.0)
    well, confounded = shown(plan(infarcts=())), shown(plan(infarcts=[replace(INFARCT, acute=False)], bright=(spot,)))
    assert not confounded.infarct.any()
    change = (confounded.ct - well.ct)[well.brain]
    assert float(change.min()) < -8
    assert float(change.max()) > 20


def test_a_head_that_is_far_away_is_air():
    away = RigidTransform.from_parameters((0.0, 0.0, 0.0), (500.0, 0.0, 0.0))
    patient = shown(plan(), replace(COARSE, pose=away))
    assert not patient.brain.any()
    assert float(patient.ct.max()) < -900
