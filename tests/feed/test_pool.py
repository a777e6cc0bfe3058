"""A pool of rendered patients: anatomy is rendered once; infarct, noise and density are redrawn at each look."""

from dataclasses import replace

import pytest
import torch

from adn.config_draws import PatientsConfig
from adn.feed.pool import Look, PooledPatients, draw_look, is_visible, render_member, show
from adn.feed.virtual import aligned_sample
from adn.recipes import load_recipe, recipe_from_dict
from adn.space.geometry import RigidTransform
from adn.space.warp import mirror
from adn.virtual.draw import Choices, draw_patient
from adn.virtual.folders import patient_generator
from adn.virtual.library import Library
from adn.virtual.plan import InfarctPlan

TINY = load_recipe("tiny")
GRID = TINY.grid.model_copy(update={"spacing_mm": (5.0, 3.0, 3.0), "shape": (40, 96, 96), "box": (32, 72, 64)})
RECIPE = TINY.model_copy(update={"grid": GRID})
INFARCT = InfarctPlan("", "middle cerebral artery, trunk", 120.0, False, "acute", 8.0, 9.0, 1.5, 0.3, 0.0)
QUIET = {"noise_hu": 0.0, "streak_hu": 0.0, "mask_error_mm": 0.0, "tilt_deg": 0.0, "below_mm": 110.0, "above_mm": 110.0}
HERE = RigidTransform.from_parameters((0.0, 0.0, 0.0))

ILL = PatientsConfig().with_infarcts(healthy_share=0.0)


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    return PooledPatients(TINY, Library(), 5, 100, pool=4, folder=tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def plan():
    """A calm patient in a quiet scanner, turned by 12°."""
    drawn = draw_patient(patient_generator(1, 0), Choices(heads=("mni",)))
    scanner = replace(drawn.scanner, slice_mm=5.0, step_mm=5.0, **QUIET)
    return replace(drawn, rotation_deg=(0.0, 0.0, 12.0), infarcts=(), bright=(), metal=(), scanner=scanner)


@pytest.fixture(scope="module")
def member(plan):
    return render_member(plan, Library(), RECIPE)


def look(member, *infarcts, **changes):
    plan = replace(member.plan, infarcts=infarcts)
    return show(member, Look(plan, HERE, **changes), Library(), RECIPE)


def window(x):
    return x * (RECIPE.grid.window_hu[1] - RECIPE.grid.window_hu[0])


def test_the_same_index_gives_the_same_sample_and_members_are_rendered_once(patients):
    first = patients[3]
    rendered = sorted(patients.folder.iterdir())
    again = PooledPatients(TINY, Library(), 5, 100, pool=4, folder=patients.folder)[3]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert sorted(patients.folder.iterdir()) == rendered
    assert all(path.suffix == ".pt" for path in rendered)


def test_filling_a_pool_renders_a_share_of_the_missing_members(patients, tmp_path):
    filled = PooledPatients(TINY, Library(), 5, 100, pool=4, folder=tmp_path)
    filled.fill("cpu", 1, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["5-1.pt", "5-3.pt"]
    for place in (1, 3):
        a, b = patients.member(place), filled.member(place)
        assert a.plan == b.plan
        assert all(torch.equal(x, y) for x, y in zip(a.scan, b.scan, strict=True))


@pytest.mark.gpu
def test_a_member_rendered_on_a_gpu_is_the_same(plan, member):
    other = render_member(plan, Library(), RECIPE, "cuda").scan
    brain = member.scan.shares[3] > 0.5
    assert (member.scan.shares - other.shares).abs()[:, brain].mean() < 0.01
    assert (member.scan.slices - other.slices).abs().clamp(max=50).mean() < 0.5


def test_two_samples_of_one_member_differ_in_infarct_and_noise(patients):
    member = patients.member(0)
    choices = Choices(heads=("mni",), patients=ILL)
    a, b = (show(member, draw_look(patient_generator(7, i), member.plan, choices), Library(), TINY) for i in (0, 1))
    assert not torch.equal(a.infarct, b.infarct)
    assert not torch.equal(a.brain, b.brain)


def test_members_hold_old_infarcts_and_no_acute_ones(plan):
    old = replace(INFARCT, stage="old", fluid=0.95)
    assert render_member(replace(plan, infarcts=(INFARCT, old)), Library(), RECIPE).plan.infarcts == (old,)


def test_without_infarct_and_noise_a_sample_is_the_rendered_patient(member, plan):
    shown, whole = look(member), aligned_sample(plan, Library(), HERE, RECIPE)
    inside = (whole.brain > 0.02) & (shown.brain > 0.02)
    assert window(shown.brain - whole.brain)[inside].abs().mean() < 0.1
    assert (shown.tissue == whole.tissue)[inside].float().mean() > 0.85  # one is read linearly, the other nearest


def test_an_added_infarct_equals_the_rendered_one(member, plan):
    shown = look(member, INFARCT)
    whole = aligned_sample(replace(plan, infarcts=(INFARCT,)), Library(), HERE, RECIPE)
    overlap = 2 * (shown.infarct * whole.infarct).sum() / (shown.infarct.sum() + whole.infarct.sum())
    assert overlap > 0.85
    both = (shown.infarct * whole.infarct) > 0
    spared = look(member)
    darker, wanted = (window(spared.brain - x.brain)[both].mean() for x in (shown, whole))
    assert float(darker) == pytest.approx(float(wanted), rel=0.3)  # each infarct's own unevenness


def test_the_spared_brain_is_the_same_outside_the_infarct(member):
    spared, shown = look(member), look(member, INFARCT)
    far = torch.nn.functional.max_pool3d(shown.infarct, 9, 1, 4) == 0
    assert not spared.infarct.any()
    assert torch.allclose(spared.brain[far], shown.brain[far], atol=1e-4)


def test_a_swelling_infarct_displaces_tissue_and_is_larger(member):
    swollen, flat = (look(member, replace(INFARCT, swelling_mm=mm)) for mm in (4.0, 0.0))
    assert not torch.equal(swollen.tissue, flat.tissue)
    assert swollen.infarct.sum() > flat.infarct.sum()


def test_a_flip_mirrors_image_and_labels_alike(member):
    plain, flipped = look(member, INFARCT), look(member, INFARCT, flip=True)
    assert all(torch.equal(mirror(a), b) for a, b in zip(plain, flipped, strict=True))


def test_density_and_gain_change_the_brain_and_nothing_outside(member):
    plain, dense, flat = look(member), look(member, denser_hu=4.0), look(member, gain=0.5)
    assert torch.equal(plain.brain > 0, dense.brain > 0)
    inside = (plain.brain > 0.2) & (plain.brain < 0.6)
    assert float(window(dense.brain - plain.brain)[inside].mean()) == pytest.approx(4.0, abs=0.4)
    deep = inside & (torch.nn.functional.avg_pool3d((plain.brain > 0).float(), 5, 1, 2) == 1)
    assert float(flat.brain[deep].std() / plain.brain[deep].std()) == pytest.approx(0.5, abs=0.05)


def test_shading_differs_between_the_sides_and_is_no_infarct(member):
    plain, shaded = look(member), look(member, uneven_hu=4.0)
    added = window(shaded.brain - plain.brain)[plain.brain > 0.2]
    assert 1 < float(added.std()) < 6
    change = window(shaded.brain - plain.brain) * (plain.brain > 0.2)
    assert float((change - mirror(change)).abs()[plain.brain > 0.2].mean()) > 0.5
    assert torch.equal(plain.infarct, shaded.infarct)


def test_added_noise_has_the_requested_strength(member):
    plain, rough = look(member), look(member, rough_hu=4.0)
    inside = (plain.brain > 0.2) & (plain.brain < 0.6)
    assert float(window(rough.brain - plain.brain)[inside].std()) == pytest.approx(4.0, rel=0.1)


def test_a_stack_shows_one_slice_of_the_infarct_throughout(member):
    sample = look(member, INFARCT, slice_share=0.5)
    assert all(torch.equal(x[:, :1].expand_as(x), x) for x in sample)
    assert sample.infarct.any()


def test_an_infarct_invisible_on_5_mm_slices_is_not_labelled(member):
    speck = replace(INFARCT, territory="lacunar", volume_ml=0.1)
    assert not look(member, speck).infarct.any()


def test_samples_with_an_invisible_infarct_are_drawn_again(tmp_path):
    """Some of the looks as drawn are too faint; drawn again they are not, and those that were visible stay the same."""
    values = RECIPE.model_dump()
    values["train"]["looks"] |= {"healthy_share": 0.0, "stack_share": 0.0, "visible_hu": 3.0}
    once = recipe_from_dict(values)
    values["train"]["looks"]["tries"] = 12
    often = recipe_from_dict(values)
    pools = (PooledPatients(one, Library(), 6, 8, pool=2, folder=tmp_path) for one in (once, often))
    before, after = ([pool[i] for i in range(4)] for pool in pools)
    seen = [is_visible(sample, once) for sample in before]
    assert not all(seen)
    assert all(is_visible(sample, often) for sample in after)
    kept = [torch.equal(a.brain, b.brain) for a, b in zip(before, after, strict=True)]
    assert kept == seen


def test_samples_are_drawn_within_their_ranges(plan):
    choices = Choices(heads=("mni",))
    looks = [draw_look(patient_generator(1, i), plan, choices) for i in range(300)]
    assert 0.2 < sum(not x.plan.infarcts for x in looks) / 300 < 0.4
    assert 0.15 < sum(x.slice_share is not None for x in looks) / 300 < 0.35
    for x in looks:
        assert all(infarct.acute for infarct in x.plan.infarcts)
        assert 1 <= x.plan.scanner.noise_hu <= 6
        assert 0.8 <= x.gain <= 1.3
        assert -4 <= x.denser_hu <= 8


def test_many_samples_have_faint_infarcts_or_wide_edges_within_limits(plan):
    choices = Choices(heads=("mni",), patients=ILL)
    infarcts = [x for i in range(300) for x in draw_look(patient_generator(2, i), plan, choices).plan.infarcts]
    assert sum(x.edge_mm > 3 for x in infarcts) > 60  # others have 3 mm at most
    assert sum(x.drop_gm_hu < 3 for x in infarcts) > 60
    for x in infarcts:
        assert x.edge_mm <= max(3.0, 0.4 * x.radius_mm)


def test_easy_samples_are_never_faint(plan):
    choices = Choices(heads=("mni",), patients=ILL, ease=1.0)
    infarcts = [x for i in range(100) for x in draw_look(patient_generator(3, i), plan, choices).plan.infarcts]
    assert len(infarcts) == 100
    assert all(x.drop_gm_hu >= 4 and x.edge_mm <= 3 for x in infarcts)


def test_a_wide_edge_does_not_move_the_outline(member):
    sharp, wide = (look(member, replace(INFARCT, edge_mm=mm), patchy=0.0) for mm in (1.5, 9.0))
    overlap = 2 * (sharp.infarct * wide.infarct).sum() / (sharp.infarct.sum() + wide.infarct.sum())
    assert overlap > 0.75
