"""L_D on one-row volumes whose values can be checked by hand."""

import math

import pytest
import torch

from adn.asymmetry import PForm, disentangle
from adn.config import LossConfig
from adn.losses.disentanglement import collapse_signs, disentanglement_terms, forbidden_tissue
from given import given

BRAIN = [0.5, 0.2, 0.6, 0.1]  # A = 0 0.4 0 0.4
NO_LESION = [0, 0, 0, 0]


def row(values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype).reshape(1, 1, 1, 1, -1)


def tissue_row(values):
    return row(values, torch.uint8)


def half(p_form: PForm = "fraction", clamp_q=False):
    """σ(D) = 0.5: P = 0 0.2 0 0.2 as a fraction, 0.5 everywhere as a probability."""
    return disentangle(row(BRAIN), row(NO_LESION), p_form, clamp_q)


def terms(parts, infarct=NO_LESION, tissue=NO_LESION, **settings):
    found = disentanglement_terms(parts, row(infarct), tissue_row(tissue), 4, LossConfig(**settings))
    return {name: float(value) for name, value in found._asdict().items()}


def test_forbidden_tissue_by_hand():
    tissue = tissue_row([1, 1, 2, 1, 2, 3])  # its mirror is 3 2 1 2 1 1
    nothing = row([0.0] * 6)
    assert forbidden_tissue(tissue, nothing).flatten().tolist() == [0, 0, 1, 0, 1, 1]  # white facing grey, and CSF
    on_grey = row([0.0, 1, 0, 0, 0, 0])
    assert forbidden_tissue(tissue, on_grey).flatten().tolist() == [0, 0, 1, 0, 0, 1]  # removed before mirroring
    on_csf = row([0.0, 0, 0, 0, 0, 1])
    assert forbidden_tissue(tissue, on_csf).flatten().tolist() == [0, 0, 1, 0, 1, 0]


def test_infarct_leaves_the_tissue_maps_before_mirroring_or_after():
    """White matter whose grey twin is infarcted is forbidden only where infarct is taken out of its own voxel alone."""
    tissue, infarct = tissue_row([1, 1, 2, 1, 2, 3]), row([0.0, 1, 0, 0, 0, 1])
    before = forbidden_tissue(tissue, infarct, "before_mirroring")
    after = forbidden_tissue(tissue, infarct, "after_intersection")
    assert before.flatten().tolist() == [0, 0, 1, 0, 0, 0]
    assert after.flatten().tolist() == [0, 0, 1, 0, 1, 0]
    assert terms(half(), infarct=[0, 0, 1, 0], tissue=[3, 2, 1, 2], infarct_removal="after_intersection")[
        "tissue"
    ] == pytest.approx(0.2 / 4)
    assert terms(half(), infarct=[0, 0, 1, 0], tissue=[3, 2, 1, 2])["tissue"] == 0


def test_bright_lesions_are_forbidden_where_tissue_is_bright_by_nature():
    tissue = tissue_row([1, 1, 2, 1, 2, 3])  # its mirror is 3 2 1 2 1 1
    found = forbidden_tissue(tissue, row([0.0] * 6), polarity="bright")
    assert found.flatten().tolist() == [1, 1, 0, 1, 0, 0]  # what faces CSF, and grey facing white
    on_grey = forbidden_tissue(tissue, row([1.0, 1, 0, 0, 0, 0]), polarity="bright")
    assert on_grey.flatten().tolist() == [0, 0, 0, 1, 0, 0]


def test_voxels_that_do_not_count_add_nothing():
    counted = row([1.0, 0, 1, 1])
    found = disentanglement_terms(half(), row([0, 1, 0, 0]), tissue_row([1, 3, 0, 3]), 4, counted=counted)
    assert float(found.tissue) == pytest.approx(0.2 / 4)  # the last voxel's P alone
    assert float(found.size) == pytest.approx(0.2 / 4)  # the infarct lies where nothing counts
    assert float(found.intrinsic) == pytest.approx(-0.2 / 4)


def test_the_tissue_term_by_hand():
    assert terms(half(), tissue=[1, 3, 0, 2])["tissue"] == pytest.approx((0.2 + 0.2) / 4)
    assert terms(half(), infarct=[0, 1, 0, 0], tissue=[1, 3, 0, 2])["tissue"] == pytest.approx(0.2 / 4)
    assert terms(half(), tissue=[2, 1, 2, 1])["tissue"] == 0.0  # white faces grey only where P is 0


def test_the_size_term_by_hand():
    assert terms(half(), infarct=[0, 1, 0, 0])["size"] == pytest.approx(0.0, abs=1e-7)  # mean P 0.1, mean A · G 0.1
    assert terms(half())["size"] == pytest.approx(0.1)
    assert terms(half(), infarct=[0, 1, 0, 0], size_target="infarct")["size"] == pytest.approx(0.15)


def test_the_asymmetry_term_by_hand():
    assert terms(half())["asymmetry"] == 0.0  # a fraction of A is 0 wherever A is
    assert terms(half("probability"))["asymmetry"] == pytest.approx((0.5 + 0.5) / 4)
    assert terms(half(), symmetric_mask="one_minus_a")["asymmetry"] == pytest.approx(2 * 0.2 * 0.6 / 4)


def test_the_intrinsic_term_by_hand():
    assert terms(half())["intrinsic"] == pytest.approx(-0.1)
    assert terms(half("probability"))["intrinsic"] == pytest.approx(-0.3)  # −|mean(A − P)|
    assert terms(half("probability"), intrinsic="positive_mean")["intrinsic"] == 0.0  # A − P < 0 everywhere
    assert terms(half(), intrinsic="positive_mean")["intrinsic"] == pytest.approx(-0.1)


def test_terms_are_means_over_the_voxels_of_the_model_grid():
    arguments = half(), row([0, 1, 0, 0]), tissue_row([1, 3, 0, 2])
    for four, eight in zip(disentanglement_terms(*arguments, 4), disentanglement_terms(*arguments, 8), strict=True):
        assert float(eight) == pytest.approx(float(four) / 2)


@pytest.mark.parametrize("size_target", ["infarct", "asymmetry"])
def test_a_box_and_the_full_grid_give_the_same_terms(size_target):
    """Outside the box the brain, and so A and P, are 0, whatever D says there."""
    torch.manual_seed(0)
    shape = (2, 1, 3, 6, 8)
    brain, logits, infarct = torch.rand(shape), torch.randn(shape), (torch.rand(shape) > 0.8).float()
    tissue = torch.randint(0, 4, shape, dtype=torch.uint8)
    grown = [torch.nn.functional.pad(x, (3, 3, 2, 2, 1, 1)) for x in (brain, logits, infarct, tissue)]
    voxels = grown[0][0].numel()
    loss = LossConfig(size_target=size_target)
    box = disentanglement_terms(disentangle(brain, logits), infarct, tissue, voxels, loss)
    full = disentanglement_terms(disentangle(grown[0], grown[1]), grown[2], grown[3], voxels, loss)
    for a, b in zip(box, full, strict=True):
        assert a.shape == (2,)
        assert torch.allclose(a, b, atol=1e-7)


def slopes(name, infarct=NO_LESION, tissue=NO_LESION):
    """d term / d logit where A > 0, for P = A / 2."""
    logits = row(NO_LESION).requires_grad_(True)
    found = disentanglement_terms(disentangle(row(BRAIN), logits), row(infarct), tissue_row(tissue), 4)
    getattr(found, name).sum().backward()
    return given(logits.grad).flatten().tolist()


def test_gradients_have_the_signs_of_the_paper():
    step = 0.4 * 0.25 / 4  # dP/dlogit = A σ (1 − σ); a mean over 4
    assert slopes("tissue", tissue=[1, 0, 0, 2]) == pytest.approx([0, 0, 0, step])  # down on forbidden tissue only
    assert slopes("size") == pytest.approx([0, step, 0, step])  # nothing to find: P shrinks
    assert slopes("size", infarct=[0, 1, 0, 1]) == pytest.approx([0, -step, 0, -step])  # too little: P grows
    assert slopes("intrinsic") == pytest.approx([0, step, 0, step])  # Q grows


@pytest.mark.parametrize(("mask", "weights"), [("zero_asymmetry", [1, 0, 1, 0]), ("one_minus_a", [1, 0.6, 1, 0.6])])
def test_the_asymmetry_term_lowers_p_where_nothing_is_asymmetric(mask, weights):
    logits = row(NO_LESION).requires_grad_(True)
    parts = disentangle(row(BRAIN), logits, "probability")
    loss = LossConfig(symmetric_mask=mask)
    disentanglement_terms(parts, row(NO_LESION), tissue_row(NO_LESION), 4, loss).asymmetry.sum().backward()
    assert given(logits.grad).flatten().tolist() == pytest.approx(
        [w * 0.25 / 4 for w in weights]
    )  # dP/dlogit = σ (1 − σ)


def test_below_the_target_size_and_intrinsic_cancel():
    """The way into collapse that docs/method.md, section 2 warns of."""
    lesion = [0, 1, 0, 1]
    both = zip(slopes("size", lesion), slopes("intrinsic", lesion), strict=True)
    assert [a + b for a, b in both] == pytest.approx([0.0] * 4)


@pytest.mark.parametrize("index", [1, 3])
def test_the_gradient_is_the_finite_difference(index):
    def total(logits):
        parts = disentangle(row(BRAIN), logits, "probability")
        found = disentanglement_terms(parts, row([0, 1, 0, 0]), tissue_row([1, 3, 0, 2]), 4)
        return torch.stack([term.sum() for term in found]).sum()

    leaf = row([0.3, -0.4, 0.2, 1.0]).requires_grad_(True)
    total(leaf).backward()
    step = torch.zeros(4)
    step[index] = 0.01
    with torch.no_grad():
        slope = (total(leaf + step) - total(leaf - step)) / 0.02
    assert float(slope) == pytest.approx(float(given(leaf.grad).flatten()[index]), abs=1e-4)


def test_indicators_separate_no_p_from_all_p():
    torch.manual_seed(0)
    brain, infarct = torch.rand(1, 1, 3, 6, 8), torch.zeros(1, 1, 3, 6, 8)
    infarct[..., :3] = 1
    nothing, everything = (
        collapse_signs(disentangle(brain, torch.full_like(brain, logit)), infarct) for logit in (-200.0, 200.0)
    )
    a = disentangle(brain, brain).total_asymmetry
    inside = infarct > 0
    assert (nothing["mean_p"], nothing["p_over_a"], nothing["p_a_correlation"], nothing["p_inside"]) == (0, 0, 0, 0)
    assert nothing["q_inside"] == pytest.approx(float(a[inside].mean()))
    assert everything["mean_p"] == pytest.approx(float(a.mean()))
    assert everything["p_over_a"] == pytest.approx(1.0)
    assert everything["p_a_correlation"] == pytest.approx(1.0)
    assert everything["p_inside"] == pytest.approx(float(a[inside].sum() / a.sum()))
    assert everything["q_inside"] == 0.0


def test_indicators_by_hand_and_without_lesion():
    found = collapse_signs(half(), row([0, 1, 0, 0]))
    assert found["mean_p"] == pytest.approx(0.1)
    assert found["p_over_a"] == pytest.approx(0.5)
    assert found["p_inside"] == pytest.approx(0.5)
    assert found["q_inside"] == pytest.approx(0.2)
    assert collapse_signs(half(), row(NO_LESION))["p_inside"] == 0.0


def test_indicators_of_a_symmetric_brain_are_finite():
    parts = disentangle(row([0.3, 0.5, 0.5, 0.3]), row([1.0, 2, 3, 4]), "probability")
    assert all(math.isfinite(value) for value in collapse_signs(parts, row(NO_LESION)).values())
