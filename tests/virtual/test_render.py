"""Rendering a small made-up head: what is true of every virtual patient."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch

from adn.space.geometry import RigidTransform
from adn.virtual.anatomy import make_head
from adn.virtual.draw import Choices, draw_patient
from adn.virtual.lattice import Lattice
from adn.virtual.lesions import procedural_mask
from adn.virtual.plan import BrightPlan, InfarctPlan, MetalPlan
from adn.virtual.render import render
from adn.virtual.tissue_codes import Tissue

HERE = RigidTransform.from_parameters((0.0, 0.0, 0.0))
COARSE = Lattice((30, 64, 56), (5.0, 3.0, 3.0), HERE)
INFARCT = InfarctPlan("", "middle cerebral artery, trunk", 60.0, False, "acute", 8.0, 9.0, 1.5, 0.3, 0.0)
PLAIN = {"tilt_deg": 0.0, "below_mm": 110.0, "above_mm": 110.0, "headrest": False}


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
    scanner = replace(drawn.scanner, **{**PLAIN, **changes.pop("scanner", {})})
    return replace(drawn, infarcts=tuple(infarcts), **{"bright": (), "metal": (), "scanner": scanner, **changes})


def shown(which, lattice=COARSE):
    return render(which, head(), lattice, procedural_mask)


def test_the_same_plan_gives_the_same_patient_to_the_bit():
    a, b = shown(plan()), shown(plan())
    assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("ct", "infarct", "tissue", "brain"))


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_infarct_and_tissue_are_within_the_brain(seed):
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
def test_the_infarct_is_on_the_left_unless_flipped(flip):
    where = shown(plan(infarcts=[replace(INFARCT, left_right_flip=flip)])).infarct.nonzero()[:, 2].float()
    left = where.mean() > (COARSE.shape[2] - 1) / 2  # W grows to the patient's left
    assert left == (not flip)


def test_an_acute_infarct_darkens_the_tissue():
    ill, well = shown(plan()), shown(plan(infarcts=()))
    assert not well.infarct.any()
    assert float((ill.ct - well.ct)[ill.infarct].mean()) < -4


def test_old_infarcts_and_bright_spots_are_visible_but_never_labelled():
    spot = BrightPlan("bleed", (-20.0, 10.0, 10.0), (7.0, 7.0, 7.0), 90.0)
    well, confounded = shown(plan(infarcts=())), shown(plan(infarcts=[replace(INFARCT, stage="old")], bright=(spot,)))
    assert not confounded.infarct.any()
    change = (confounded.ct - well.ct)[well.brain]
    assert float(change.min()) < -8
    assert float(change.max()) > 20


def test_an_old_infarct_is_as_dark_as_its_share_of_fluid():
    well = shown(plan(infarcts=()))
    ill, *old = (
        shown(plan(infarcts=[i])) for i in (INFARCT, *(replace(INFARCT, stage="old", fluid=f) for f in (0.75, 0.95)))
    )
    acute, scarred, empty = (float((x.ct - well.ct)[ill.infarct].mean()) for x in (ill, *old))
    assert empty < scarred < acute


def test_a_head_that_is_far_away_is_air():
    away = RigidTransform.from_parameters((0.0, 0.0, 0.0), (500.0, 0.0, 0.0))
    patient = shown(plan(), replace(COARSE, pose=away))
    assert not patient.brain.any()
    assert float(patient.ct.max()) < -900


def test_the_midplane_follows_the_pose():
    turned = RigidTransform.from_parameters((4.0, 6.0, 20.0), (7.0, -3.0, 2.0))
    normal_and_distance = np.array(shown(plan(), replace(COARSE, pose=turned)).midplane)
    point = turned.inverse().matrix @ [0.0, 31.0, -12.0, 1.0]  # of the aligned frame's x = 0
    assert normal_and_distance[:3] @ point[:3] == pytest.approx(normal_and_distance[3])
    left = turned.inverse().matrix @ [5.0, 0.0, 0.0, 1.0]
    assert normal_and_distance[:3] @ left[:3] == pytest.approx(normal_and_distance[3] + 5)


def test_gantry_tilt_changes_the_slices_but_not_the_patient():
    straight, tilted = shown(plan()), shown(plan(scanner={"tilt_deg": 15.0}))
    assert float((straight.brain == tilted.brain).float().mean()) > 0.99
    overlap = (straight.infarct & tilted.infarct).sum() * 2 / (straight.infarct.sum() + tilted.infarct.sum())
    assert overlap > 0.93
    assert float((straight.ct - tilted.ct)[straight.brain].abs().mean()) < 15


def test_a_sheared_lattice_samples_the_patient_along_its_axes():
    tilted = Lattice((40, 48, 40), (4.0, 4.0, 4.0), HERE, native=True, tilt_deg=20.0)
    brain = shown(plan(), tilted).brain
    centre = (brain.nonzero().double().mean(0) - (torch.tensor(brain.shape) - 1) / 2)[[2, 1, 0]].numpy() * 4.0
    upright = Lattice((40, 48, 40), (4.0, 4.0, 4.0), HERE, native=True)
    expected = shown(plan(), upright).brain.nonzero().double().mean(0) - (torch.tensor(brain.shape) - 1) / 2
    assert tilted.axes @ centre == pytest.approx(expected[[2, 1, 0]].numpy() * 4.0, abs=0.5)


def test_voxels_outside_the_scan_are_air_and_not_brain():
    cut = shown(plan(scanner={"above_mm": 30.0}))
    z = (torch.arange(30) - 14.5) * 5.0
    assert float(cut.ct[z > 30].max()) == -1000
    assert not cut.brain[z > 30].any()
    assert not cut.infarct[z > 30].any()
    assert cut.brain[z < 30].any()


def test_the_headrest_is_behind_the_head_and_only_in_air():
    wide = Lattice((10, 96, 96), (5.0, 3.0, 3.0), HERE, native=True)
    still: dict[str, Any] = {"rotation_deg": (0.0, 0.0, 0.0), "translation_mm": (0.0, 0.0, 0.0)}
    without, with_it = shown(plan(**still), wide), shown(plan(**still, scanner={"headrest": True}), wide)
    where = ((with_it.ct - without.ct) > 300).nonzero()
    assert len(where) > 100
    assert where[:, 1].min() > 48  # posterior half
    assert float(without.ct[tuple(where.T)].max()) < -600


def test_metal_is_bright_and_streaks_only_in_its_own_slices():
    clip = MetalPlan((20.0, -10.0, 0.0), 3.0, 60.0)
    without, with_it = shown(plan(), COARSE), shown(plan(metal=(clip,)), COARSE)
    change = (with_it.ct - without.ct).abs()
    assert float(change.max()) > 500
    z = (torch.arange(30) - 14.5) * 5.0
    assert float(change[z.abs() > 20].max()) == 0
    assert torch.equal(without.infarct, with_it.infarct)


def test_swelling_pushes_outwards():
    infarct = replace(INFARCT, volume_ml=40.0)
    flat, swollen = (shown(plan(infarcts=[replace(infarct, swelling_mm=mm)])) for mm in (0.0, 4.0))
    assert swollen.infarct.sum() > 1.05 * flat.infarct.sum()


def test_a_sulcus_within_an_infarct_belongs_to_its_outline():
    fine = Lattice((12, 160, 140), (5.0, 1.0, 1.0), HERE, native=True)
    patient = shown(plan(atrophy_sulci=(0.6, 0.6)), fine)
    fluid = patient.tissue == 3
    assert (patient.infarct & fluid).any()
    share = (patient.infarct & fluid).sum() / patient.infarct.sum()
    assert share < 0.25
