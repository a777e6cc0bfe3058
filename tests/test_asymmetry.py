"""The paper's equations by hand, on one-row volumes."""

import jaxtyping
import pytest
import torch

from adn import asymmetry
from adn.asymmetry import (
    PForm,
    brain_median_hu,
    compensated,
    disentangle,
    mirror_contrast,
    relative_hu,
    total_asymmetry,
)
from adn.space.warp import mirror

ROW = [0.5, 0.2, 0.6, 0.1]  # its mirror is 0.1 0.6 0.2 0.5


def row(values):
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, 1, -1)


def flat(x):
    return x.flatten().tolist()


def random_parts(p_form: PForm = "fraction", clamp_q=False):
    torch.manual_seed(0)
    x = torch.rand(2, 1, 3, 5, 8)
    return disentangle(x, 3 * torch.randn(x.shape), p_form, clamp_q)


def test_total_asymmetry_by_hand():
    assert flat(total_asymmetry(row(ROW))) == pytest.approx([0.0, 0.4, 0.0, 0.4])


def test_a_voxel_and_its_mirror_voxel_are_never_both_darker():
    a = total_asymmetry(torch.rand(2, 1, 3, 5, 7))
    assert torch.count_nonzero(a * mirror(a)) == 0
    assert torch.count_nonzero(a[..., 3]) == 0  # on the mid-plane a voxel is its own twin
    assert a.min() >= 0
    assert a.max() <= 1


def test_a_half_open_gate_by_hand():
    parts = disentangle(row(ROW), row([0, 0, 0, 0]))
    assert flat(parts.gate) == [0.5] * 4
    assert flat(parts.pathological_asymmetry) == pytest.approx([0.0, 0.2, 0.0, 0.2])
    assert flat(parts.intrinsic_asymmetry) == pytest.approx([0.0, 0.2, 0.0, 0.2])
    assert flat(parts.salient) == pytest.approx([0.5, 0.4, 0.6, 0.3])
    assert flat(compensated(parts.aligned, parts.pathological_asymmetry)) == pytest.approx([0.5, 0.4, 0.6, 0.3])


def test_p_is_between_0_and_a_and_p_plus_q_is_a():
    parts = random_parts()
    p, a, q = parts.pathological_asymmetry, parts.total_asymmetry, parts.intrinsic_asymmetry
    assert p.min() >= 0
    assert (p <= a).all()
    assert q.min() >= 0
    assert torch.allclose(p + q, a)
    assert torch.equal(parts.salient, parts.aligned + q)


def test_an_open_gate_leaves_x_unchanged_and_a_closed_gate_makes_the_salient_symmetric():
    x = torch.rand(1, 1, 3, 5, 8)
    opened, closed = (disentangle(x, torch.full_like(x, logit)) for logit in (200.0, -200.0))
    assert torch.equal(opened.pathological_asymmetry, opened.total_asymmetry)
    assert torch.equal(opened.salient, x)
    assert torch.allclose(compensated(x, opened.pathological_asymmetry), torch.maximum(x, mirror(x)))
    assert torch.allclose(closed.salient, torch.maximum(x, mirror(x)))  # X̂ is symmetric: collapse
    assert torch.allclose(closed.salient, mirror(closed.salient))


def test_the_papers_p_is_a_probability_and_the_released_q_is_clamped():
    parts = disentangle(row(ROW), row([0, 0, 0, 0]), "probability")
    assert flat(parts.pathological_asymmetry) == [0.5] * 4
    assert flat(parts.intrinsic_asymmetry) == pytest.approx([-0.5, -0.1, -0.5, -0.1])
    clamped = random_parts("probability", clamp_q=True)
    free = random_parts("probability")
    assert free.intrinsic_asymmetry.min() < 0
    assert torch.equal(clamped.intrinsic_asymmetry, free.intrinsic_asymmetry.clamp(min=0))


def test_the_released_x_tilde_is_limited_to_the_mirror_value():
    x, p = row(ROW), row([0.5, 0.5, 0.5, 0.1])  # A = 0 0.4 0 0.4
    assert flat(compensated(x, p)) == pytest.approx([1.0, 0.7, 1.1, 0.2])
    assert flat(compensated(x, p, clamp=True)) == pytest.approx([0.5, 0.6, 0.6, 0.2])
    x, p = torch.rand(1, 1, 3, 5, 8), torch.rand(1, 1, 3, 5, 8)
    assert torch.allclose(compensated(x, p, clamp=True), torch.minimum(x + p, torch.maximum(x, mirror(x))))


def test_bright_lesions_by_hand():
    """A = max(X − X′, 0), and what is compensated is taken away."""
    assert flat(total_asymmetry(row(ROW), "bright")) == pytest.approx([0.4, 0.0, 0.4, 0.0])
    parts = disentangle(row(ROW), row([0, 0, 0, 0]), polarity="bright")
    assert flat(parts.pathological_asymmetry) == pytest.approx([0.2, 0.0, 0.2, 0.0])
    assert flat(parts.salient) == pytest.approx([0.3, 0.2, 0.4, 0.1])
    assert flat(compensated(row(ROW), row([0.5] * 4), True, "bright")) == pytest.approx([0.1, -0.3 + 0.5, 0.2, 0.1])


def test_bright_polarity_equals_dark_polarity_on_the_inverted_scan():
    torch.manual_seed(0)
    x, logits = torch.rand(2, 1, 3, 5, 8), torch.randn(2, 1, 3, 5, 8)
    bright, dark = disentangle(x, logits, polarity="bright"), disentangle(1 - x, logits)
    assert torch.allclose(bright.total_asymmetry, dark.total_asymmetry, atol=1e-6)
    assert torch.allclose(bright.salient, 1 - dark.salient, atol=1e-6)
    assert torch.equal(total_asymmetry(x, "bright"), mirror(total_asymmetry(x)))


def test_mirroring_the_brain_mirrors_everything():
    parts = random_parts()
    logits = torch.logit(parts.gate.double()).float()
    other = disentangle(mirror(parts.aligned), mirror(logits))
    assert torch.equal(other.total_asymmetry, total_asymmetry(mirror(parts.aligned)))
    there = disentangle(mirror(mirror(parts.aligned)), logits)
    assert torch.allclose(there.salient, parts.salient, atol=1e-6)


def test_half_precision_inputs_give_full_precision_outputs():
    x = torch.rand(1, 1, 2, 3, 4)
    parts = disentangle(x, torch.full_like(x, 6.5).bfloat16())
    assert {part.dtype for part in parts} == {torch.float32}
    assert parts.gate.max() < 1.0  # σ(6.5) is 1 in bfloat16


def test_shapes_are_checked_while_tests_run():
    with pytest.raises(jaxtyping.TypeCheckError):
        total_asymmetry(torch.rand(1, 2, 3, 4, 5))


def slab(hu=30.0):
    """Tissue of 2.4 mm pixels, symmetric, with air around it; windowed to [0, 1]."""
    x = torch.zeros(1, 1, 3, 24, 24)
    x[..., 2:-2, 2:-2] = hu / 80
    return x


SPACING = (5.0, 2.4, 2.4)  # 10 mm are five pixels


def test_contrast_of_a_faint_infarct_by_hand():
    """4 HU darker than the twin: 0.4, and −0.4 at the twin; half of a window inside the infarct: half of it."""
    x = slab()
    x[:, :, 1, 6:16, 3:10] -= 4 / 80
    found = mirror_contrast(x, SPACING)
    assert float(found[0, 0, 1, 10, 6]) == pytest.approx(0.4, abs=1e-5)
    assert float(found[0, 0, 1, 10, 23 - 6]) == pytest.approx(-0.4, abs=1e-5)
    assert float(found[0, 0, 1, 16, 6]) == pytest.approx(0.4 * 2 / 5, abs=1e-5)  # two of its five rows
    assert torch.count_nonzero(found[:, :, (0, 2)].abs() > 1e-6) == 0  # slices do not mix
    assert torch.allclose(mirror_contrast(mirror(x), SPACING), mirror(found), atol=1e-6)
    assert torch.allclose(mirror_contrast(x, SPACING, (-20.0, 60.0)), torch.zeros(()))  # all below 15 HU there


def test_broad_contrast_reaches_further_and_across_slices():
    """20 mm are nine pixels, 15 mm three slices, 6 HU count as 1: a third of the slices, 3 HU darker, make a sixth."""
    x = slab()
    x[:, :, 1, 2:-2, 2:12] -= 3 / 80
    found = mirror_contrast(x, SPACING, reach="broad_contrast")
    assert float(found[0, 0, 1, 12, 5]) == pytest.approx(1 / 6, abs=1e-5)
    assert float(found[0, 0, 1, 12, 23 - 5]) == pytest.approx(-1 / 6, abs=1e-5)
    assert found[:, :, (0, 2)].abs().max() > 0


def test_contrast_ignores_fluid_and_finds_what_noise_hides():
    x = slab()
    x[:, :, 1, 6:16, 8] = 5 / 80  # a sulcus on one side: A is 25 HU there
    assert float(total_asymmetry(x).max()) == pytest.approx(25 / 80)
    assert float(mirror_contrast(x, SPACING).abs().max()) < 1e-5
    torch.manual_seed(0)
    noisy = slab()
    noisy[..., 6:18, 3:10] -= 4 / 80
    noisy = torch.where(noisy > 0, noisy + torch.randn(noisy.shape) * 3 / 80, 0)
    inside, twin = (slice(8, 16), slice(5, 8)), (slice(8, 16), slice(16, 19))
    found, a = mirror_contrast(noisy, SPACING)[0, 0, 1], total_asymmetry(noisy)[0, 0, 1]
    assert (found[inside] > 0.1).all()
    assert (found[twin] < -0.1).all()
    assert (a[inside] == 0).any()  # where noise alone makes the infarct the brighter of two voxels


def test_contrast_shows_an_infarct_in_a_scan_that_is_dark_throughout():
    """12 HU are fluid in a brain of 33 HU, and an infarct in one of 21: what counts is how dark the brain is."""
    for brain_hu, seen in ((33.0, 0.0), (21.0, 0.9)):
        x = slab(brain_hu)
        x[:, :, 1, 6:16, 3:10] = 12 / 80
        assert float(mirror_contrast(x, SPACING)[0, 0, 1, 10, 6]) == pytest.approx(seen, abs=1e-5)


def test_the_fluid_threshold_is_sharp_unless_the_recipe_sets_an_edge():
    """An infarct of 18 HU in a brain of 33, whose limit is 18.15: in a scanner of 0.3 HU more it counts in full."""

    def seen(infarct_hu, **edge):
        x = slab(33.0)
        x[:, :, 1, 6:16, 3:10] = infarct_hu / 80
        return float(mirror_contrast(x, SPACING, **edge)[0, 0, 1, 10, 6])

    assert (seen(18.0), seen(18.3)) == (0.0, 1.0)
    smooth = [seen(hu, fluid_edge_hu=6.0) for hu in torch.arange(10.0, 30.0, 0.3).tolist()]
    steps = torch.tensor(smooth).diff().abs()
    assert float(steps.max()) < 0.2
    assert max(smooth) == 1.0
    assert smooth[0] == 0.0  # fluid it is


def test_without_an_edge_contrast_matches_the_training_of_the_shipped_weights():
    """To the bit, as it was written before there was an edge."""
    torch.manual_seed(1)
    x = torch.where(slab() > 0, (torch.rand(1, 1, 3, 24, 24) * 50 + 5) / 80, 0)
    hu = x * 80 + 0.0
    tissue = (hu > 0.55 * brain_median_hu(x)).float()
    share, total = (asymmetry._box_mean(y, (1, 5, 5)) for y in (tissue, x * tissue))
    mean = total / share.clamp(min=1e-3)
    known = (torch.minimum(share, mirror(share)) > 0.3) & (x > 0)
    assert torch.equal(mirror_contrast(x, SPACING), ((mirror(mean) - mean) * 80 / 10.0).clamp(-1, 1) * known)


def test_contrast_is_bounded_and_zero_outside_the_brain():
    x = slab(70.0)
    x[..., 3:10] = x[..., 3:10].clamp(max=45 / 80)
    found = mirror_contrast(x, SPACING)
    assert float(found.max()) == 1.0
    assert float(found.min()) == -1.0
    assert not found[x == 0].any()
    assert not mirror_contrast(torch.zeros(1, 1, 2, 6, 6), SPACING).any()


def test_density_is_relative_to_the_brains_median():
    """Ten voxels have 30 HU, twelve 40 and more, one is fluid, one outside: the median is 40, and 10 HU count as 1."""
    x = torch.full((1, 1, 2, 3, 4), 30 / 80)
    x[..., 2:] = 40 / 80
    x[0, 0, 0, 0, 3], x[0, 0, 0, 1, 0], x[0, 0, 0, 2, 0] = 1.0, 0.0, 5 / 80
    median = brain_median_hu(x)
    assert float(median) == pytest.approx(40.0)
    found = relative_hu(x, x, median)
    assert found[0, 0, 1, 0].tolist() == pytest.approx([-1.0, -1.0, 0.0, 0.0])
    assert float(found[0, 0, 0, 0, 3]) == pytest.approx(4.0)
    assert float(found[0, 0, 0, 1, 0]) == 0  # outside the brain
    assert float(found[0, 0, 0, 2, 0]) == pytest.approx(-3.5)
    denser = relative_hu(x + 3 / 80, x, brain_median_hu(x + 3 / 80))
    assert torch.allclose(denser[:, :, 1], found[:, :, 1], atol=1e-5)
    assert float(brain_median_hu(torch.zeros(1, 1, 2, 2, 2))) == pytest.approx(15 / 0.55)
