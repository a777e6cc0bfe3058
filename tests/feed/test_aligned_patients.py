"""Training shows D and F what they will see in prediction: a head scanned as it lies, then aligned on the brain box."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from adn.config_draws import InfarctsConfig, PatientsConfig, PosesConfig
from adn.feed.virtual import AlignedPatients, aligned_sample, draw_left_over, easy_share, render_sample
from adn.metrics.overlap import dice
from adn.recipes import load_recipe
from adn.space.geometry import RigidTransform
from adn.space.warp import mirror
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator
from adn.virtual.lattice import Lattice
from adn.virtual.library import Library
from given import given

RECIPE = load_recipe("fast")
GRID = RECIPE.grid
ILL = PatientsConfig().with_infarcts(healthy_share=0.0)
STRAIGHT = RigidTransform.identity()


@pytest.fixture(scope="module")
def plan():
    """A head that lies straight, with one plain infarct, 5 mm slices and little noise."""
    drawn = draw_patient(patient_generator(11, 0), replace(Library().choices(ILL), ease=1.0))
    scanner = replace(drawn.scanner, slice_mm=5.0, step_mm=5.0, noise_hu=1.0, tilt_deg=0.0, mask_error_mm=0.0)
    infarcts = tuple(replace(infarct, left_right_flip=False) for infarct in drawn.infarcts)
    return replace(drawn, rotation_deg=(0.0, 0.0, 0.0), infarcts=infarcts, scanner=scanner)


def on_the_box(plan):
    return render_sample(plan, Library(), Lattice(given(GRID.box), GRID.spacing_mm, STRAIGHT), RECIPE)


@pytest.mark.parametrize("turned", [(0.0, 0.0, 0.0), (0.0, 9.0, 0.0), (0.0, 0.0, 25.0), (0.0, -8.0, -20.0)])
def test_a_rotated_head_is_aligned_to_a_straight_one(plan, turned):
    straight = on_the_box(plan)
    found = aligned_sample(replace(plan, rotation_deg=turned), Library(), STRAIGHT, RECIPE)
    assert found.brain.shape == straight.brain.shape == (1, *given(GRID.box))
    assert dice(found.infarct[0].numpy() > 0, straight.infarct[0].numpy() > 0) > 0.85
    assert dice(found.tissue[0].numpy() == 2, straight.tissue[0].numpy() == 2) > 0.8
    both = (found.brain > 0) & (straight.brain > 0)
    assert float((found.brain - straight.brain)[both].mean().abs()) < 0.03


def test_thick_slices_of_a_rolled_head_are_asymmetric(plan):
    """Which a rendering straight on the box does not show, so networks would learn that no brain is."""
    thick = replace(plan, infarcts=(), scanner=replace(plan.scanner, slice_mm=10.0, step_mm=10.0))

    def unlike(sample):
        both = (sample.brain > 0) & (mirror(sample.brain) > 0)
        return float((sample.brain - mirror(sample.brain)).abs()[both].mean())

    rolled = aligned_sample(replace(thick, rotation_deg=(0.0, 10.0, 0.0)), Library(), STRAIGHT, RECIPE)
    assert unlike(rolled) > 1.2 * unlike(aligned_sample(thick, Library(), STRAIGHT, RECIPE))


def test_labels_stay_labels_and_samples_repeat():
    patients = AlignedPatients(RECIPE, Library(), 3, 4)
    first, again = patients[1], patients[1]
    assert torch.equal(first.brain, again.brain)
    assert set(first.infarct.unique().tolist()) <= {0.0, 1.0}
    assert first.tissue.dtype == torch.uint8
    assert 0 <= float(first.brain.min()) <= float(first.brain.max()) <= 1


def test_alignment_leaves_the_errors_set_by_the_recipe(plan):
    """Nothing left over: the nod alone, which alignment cannot see. Else within the limits along the mid-plane."""
    nodding = replace(plan, rotation_deg=(7.0, 4.0, 9.0))
    nothing = PosesConfig(left_over_deg=0.0, left_over_mm=0.0, max_left_over_mm=0.0)
    found = draw_left_over(patient_generator(1, 0), nodding, nothing)
    assert np.allclose(found.matrix, RigidTransform.from_parameters((-7.0, 0.0, 0.0)).matrix)
    along = PosesConfig(left_over_deg=0.0, left_over_mm=0.0, max_left_over_mm=3.0)
    shifts = np.stack([draw_left_over(patient_generator(1, i), plan, along).matrix[:3, 3] for i in range(100)])
    assert (shifts[:, 0] == 0).all()
    assert 2.5 < np.abs(shifts[:, 1:]).max() <= 3


def test_a_curriculum_starts_easy_and_ends_at_the_share_of_the_recipe():
    config = InfarctsConfig(easy_at_last=0.5, easy_pace=2.0)
    assert [easy_share(i, 100, config) for i in (0, 25, 50, 99)] == [1.0, 0.75, 0.5, 0.5]
