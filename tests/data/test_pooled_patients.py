"""A pool of rendered patients: rendered once, shown again and again, each time changed as drawn."""

from dataclasses import replace

import pytest
import torch

from adn.config import load_recipe
from adn.data.virtual import Again, PooledPatients, draw_again, look
from adn.synthesize import Library, patient_generator
from adn.warp import mirror

RECIPE = load_recipe("tiny")
SAME = Again(spared=False, strength=1.0, denser_hu=0.0, noise_hu=0.0, along=False, flip=False)


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    return PooledPatients(RECIPE, Library(), 5, 100, pool=6, folder=tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def ill(patients):
    """The one with the largest infarct."""
    return max(map(patients.member, range(6)), key=lambda member: float(member.ill.infarct.sum()))


def shown(twins, **changes):
    return look(twins, replace(SAME, **changes), RECIPE, torch.Generator().manual_seed(0))


def test_the_same_index_gives_the_same_look_and_members_are_rendered_once(patients):
    first = patients[3]
    rendered = sorted(patients.folder.iterdir())
    again = PooledPatients(RECIPE, Library(), 5, 100, pool=6, folder=patients.folder)[3]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert sorted(patients.folder.iterdir()) == rendered
    assert not any(path.suffix != ".pt" for path in rendered)


def test_members_differ(patients):
    assert not torch.equal(patients.member(0).ill.brain, patients.member(1).ill.brain)


def test_without_a_change_it_is_the_patient_as_rendered(ill):
    sample = shown(ill)
    assert torch.allclose(sample.brain, ill.ill.brain, atol=1e-3)
    assert torch.equal(sample.infarct, ill.ill.infarct)


def test_the_spared_have_no_infarct_and_the_same_brain_elsewhere(ill):
    sample = shown(ill, spared=True)
    assert not sample.infarct.any()
    inside = (ill.ill.infarct > 0) & (sample.brain > 0)
    assert sample.brain[inside].mean() > ill.ill.brain[inside].mean()


def test_strength_scales_what_the_infarct_changes(ill):
    inside = (ill.ill.infarct > 0) & (ill.ill.brain > 0.1)
    faint, plain = (float(shown(ill, strength=s, spared=False).brain[inside].mean()) for s in (0.5, 1.0))
    none = float(shown(ill, spared=True).brain[inside].mean())
    assert none - faint == pytest.approx((none - plain) / 2, rel=0.15)


def test_a_flip_mirrors_image_and_labels_alike(ill):
    plain, flipped = shown(ill), shown(ill, flip=True)
    assert all(torch.equal(mirror(a), b) for a, b in zip(plain, flipped, strict=True))


def test_density_and_noise_stay_inside_the_brain(ill):
    sample = shown(ill, denser_hu=4.0, noise_hu=3.0)
    assert torch.equal(sample.brain > 0, ill.ill.brain > 0)
    lower, upper = RECIPE.grid.window_hu
    inside = (ill.ill.brain > 0.1) & (ill.ill.brain < 0.8)
    assert float((sample.brain - shown(ill).brain)[inside].mean()) * (upper - lower) == pytest.approx(4.0, abs=0.3)


def test_noise_along_is_the_same_in_every_slice(ill):
    added = shown(ill, noise_hu=3.0, along=True).brain - shown(ill).brain
    inside = ((ill.ill.brain > 0.1) & (ill.ill.brain < 0.8))[0]
    both = inside[0:-1] & inside[1:]
    assert torch.allclose(added[0, :-1][both], added[0, 1:][both], atol=1e-5)


def test_looks_are_drawn_within_their_ranges():
    looks = [draw_again(patient_generator(1, i)) for i in range(300)]
    assert 0.05 < sum(a.spared for a in looks) / 300 < 0.2
    assert all(0.5 <= a.strength <= 1.5 and -4 <= a.denser_hu <= 8 and 0 <= a.noise_hu <= 3 for a in looks)
