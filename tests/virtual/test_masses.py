"""Tumours and hyperdense arteries of virtual patients: where they lie and what they do to HU."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from adn.virtual.arteries import COURSES, draw_artery
from adn.virtual.draw import draw_patient
from adn.virtual.masses import draw_mass, mass_in_samples, pushed
from adn.virtual.plan import MassPlan, PatientPlan
from adn.virtual.tissue_codes import Tissue

RING = MassPlan((30.0, 10.0, 20.0), (12.0, 12.0, 12.0), 4.0, 45.0, 18.0, 15.0, 9.0, 0.5, 3.0)
PLAN = draw_patient(torch.Generator().manual_seed(5))
NEUTRAL = torch.zeros(1)  # the random field that makes borders uneven


def hu_at(distance_mm, tissue, mass=RING, base=30.0, side=1.0):
    """HU of one sample at so many mm behind the middle of a mass, or of its mirror twin."""
    place = torch.tensor([[side * 30.0], [10.0 + distance_mm], [20.0]])
    codes = torch.tensor([int(tissue)], dtype=torch.uint8)
    return float(mass_in_samples(PLAN, mass, torch.tensor([base]), codes, place, NEUTRAL))


def test_a_ring_has_a_wall_about_a_core_and_a_solid_one_has_none():
    assert (hu_at(0.0, Tissue.WM), hu_at(10.0, Tissue.WM)) == (18.0, 45.0)
    assert hu_at(0.0, Tissue.WM, replace(RING, rim_mm=0.0)) == 45.0


def test_oedema_spares_grey_matter_and_the_other_side():
    assert hu_at(18.0, Tissue.WM) == pytest.approx(21.0, abs=0.2)
    assert hu_at(18.0, Tissue.GM) == hu_at(18.0, Tissue.DEEP_GM) == 30.0
    assert hu_at(18.0, Tissue.WM, side=-1.0) == pytest.approx(30.0, abs=0.1)
    assert hu_at(45.0, Tissue.WM) == pytest.approx(30.0, abs=0.1)


def test_oedema_closes_sulci_but_no_ventricle():
    assert hu_at(18.0, Tissue.CSF, base=5.0) > 10.0
    assert hu_at(18.0, Tissue.VENTRICLE, base=5.0) == 5.0


def test_a_mass_displaces_tissue_outwards_but_not_at_its_centre_or_far_away():
    mni = torch.tensor([[30.0, 42.0, 30.0, 30.0], [10.0, 10.0, 10.0, 200.0], [20.0, 20.0, 32.0, 20.0]])
    middle, beside, above, far = pushed(RING, mni[:, None, None, :]).squeeze().T
    assert middle.abs().max() == far.abs().max() == 0
    assert -3.0 <= float(beside[0]) < -1.0
    assert -3.0 <= float(above[2]) < -1.0


@pytest.mark.parametrize("seed", range(20))
def test_drawn_masses_are_one_to_four_cm_wide_and_survive_json(seed):
    mass = draw_mass(torch.Generator().manual_seed(seed), PLAN)
    assert 4.0 < mass.radius_mm < 24.0
    assert mass.rim_mm < mass.radius_mm
    assert mass.core_hu > PLAN.csf_hu
    plan = replace(PLAN, masses=(mass,))
    assert PatientPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_plan_without_masses_is_stored_as_before():
    assert "masses" not in PLAN.to_dict()


@pytest.mark.parametrize("left", [True, False])
def test_an_artery_is_a_thin_unbroken_tube_along_its_course(left):
    spots = draw_artery(torch.Generator().manual_seed(3), "middle cerebral", left)
    places = np.array([spot.centre_mm for spot in spots])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert steps.max() < spots[0].half_axes_mm[0]
    assert 8.0 < steps.sum() < 24.0
    assert {spot.kind for spot in spots} == {"artery"}
    assert ((places[:, 0] > 0) == left).all()


def test_the_basilar_lies_on_the_midline_whatever_side_is_asked_for():
    for left in (True, False):
        spots = draw_artery(torch.Generator().manual_seed(3), "basilar", left)
        assert max(abs(spot.centre_mm[0]) for spot in spots) < 2.0
    assert all(x == 0 for x, _, _ in COURSES["basilar"])
