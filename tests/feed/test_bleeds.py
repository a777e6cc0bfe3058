"""Polarity 'bright' on a virtual bleed: A lights up at the bleed, not at its twin, and the bleed is the reference."""

from dataclasses import replace

import pytest
import torch

from adn.asymmetry import compensated, total_asymmetry
from adn.feed.virtual import AlignedPatients, render_sample
from adn.recipes import load_recipe
from adn.space.geometry import RigidTransform
from adn.space.warp import mirror
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator
from adn.virtual.lattice import Lattice
from adn.virtual.library import Library
from adn.virtual.plan import BrightPlan

SPACING, BOX = (6.0, 4.0, 4.0), (16, 48, 40)
BLEED = BrightPlan(kind="bleed", centre_mm=(28.0, 10.0, 22.0), half_axes_mm=(13.0, 15.0, 13.0), hu=70.0)
STONE = BrightPlan(kind="calcification", centre_mm=(-24.0, 40.0, 22.0), half_axes_mm=(9.0, 9.0, 9.0), hu=95.0)


def recipe(polarity):
    tiny = load_recipe("tiny")
    grid = tiny.grid.model_copy(update={"spacing_mm": SPACING, "shape": (24, 64, 64), "box": BOX})
    return tiny.model_copy(update={"grid": grid, "network": tiny.network.model_copy(update={"polarity": polarity})})


@pytest.fixture(scope="module")
def plan():
    drawn = draw_patient(patient_generator(5, 0), replace(Library().choices(), ease=1.0))
    scanner = replace(drawn.scanner, noise_hu=1.0, slice_mm=5.0, mask_error_mm=0.0)
    return replace(drawn, infarcts=(), bright=(BLEED, STONE), rotation_deg=(0.0, 0.0, 0.0), scanner=scanner)


@pytest.fixture(scope="module")
def sample(plan):
    lattice = Lattice(BOX, SPACING, RigidTransform.from_parameters())
    return render_sample(plan, Library(), lattice, recipe("bright"))


def test_the_bleed_is_the_reference_and_a_calcification_is_not(sample):
    volume_ml = float(sample.infarct.sum()) * 6 * 4 * 4 / 1000
    assert volume_ml == pytest.approx(4 / 3 * 3.1416 * 1.3 * 1.5 * 1.3, rel=0.4)  # 10.6 mL; heads differ in size
    assert sample.infarct[0].nonzero()[:, 2].float().mean() > BOX[2] / 2  # W grows to the patient's left


def test_bright_asymmetry_lights_up_at_the_bleed_and_not_at_its_twin(sample):
    brain, bleed = sample.brain[None], sample.infarct[None] > 0
    a = total_asymmetry(brain, "bright")
    assert float(a[bleed].mean()) * 80 > 20  # HU
    assert float(a[mirror(bleed)].mean()) * 80 < 1
    dark = total_asymmetry(brain)
    assert float(dark[mirror(bleed)].mean()) == pytest.approx(float(a[bleed].mean()))
    without = compensated(brain, a * bleed, polarity="bright")  # the bleed taken away: as dark as its twin
    assert float((without - mirror(brain))[bleed].abs().mean()) * 80 < 1


def test_patients_without_a_bleed_have_no_reference(plan):
    lattice = Lattice(BOX, SPACING, RigidTransform.from_parameters())
    healthy = render_sample(replace(plan, bright=(STONE,)), Library(), lattice, recipe("bright"))
    assert not healthy.infarct.any()


def test_training_samples_follow_the_polarity():
    """Patient 0 of this seed has an infarct: looked for as dark, and nothing to find as bright."""
    dark, bright = (AlignedPatients(recipe(p), Library(), 8, 4)[0] for p in ("dark", "bright"))
    assert dark.infarct.any()
    assert torch.equal(dark.brain, bright.brain)
    assert not torch.equal(dark.infarct, bright.infarct)
