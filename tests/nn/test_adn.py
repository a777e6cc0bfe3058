"""ADN: T, then A, P, Q and X̂, then F; any backbone of the same shape can be used."""

import pytest
import torch
from torch import nn

from adn.asymmetry import mirror_contrast
from adn.nn.adn import ADN, build_adn
from adn.recipes import recipe_from_dict
from adn.space.warp import mirror, rigid_matrix, warp
from given import given, loose

SPACING, SHAPE, BOX = (6.0, 2.5, 2.0), (8, 20, 24), (4, 12, 16)


def recipe(box=BOX, **network):
    return recipe_from_dict(
        {
            "name": "test",
            "grid": {"spacing_mm": SPACING, "shape": SHAPE, "box": box},
            "align": {"channels": [4, 4], "shrink": 1},
            "network": {"channels": [8, 8], **network},
        }
    )


class Constant(nn.Module):
    """A backbone that answers one logit everywhere and remembers what it saw."""

    def __init__(self, logit):
        super().__init__()
        self.logit, self.seen = logit, None

    def forward(self, x):
        self.seen = x
        return torch.full_like(x[:, :1], self.logit)


def brain(scans=2):
    torch.manual_seed(0)
    return torch.rand(scans, 1, *SHAPE)


def test_an_untrained_network_uses_the_central_box():
    torch.manual_seed(0)
    x = brain()
    output = build_adn(recipe())(x)
    assert torch.equal(output.pose, torch.eye(4).expand(2, 4, 4))
    assert torch.allclose(output.parts.aligned, x[:, :, 2:-2, 4:-4, 4:-4], atol=1e-5)
    assert output.infarct_probability_aligned.shape == (2, 1, *BOX)
    assert output.infarct_probability_aligned.min() >= 0
    assert output.infarct_probability_aligned.max() <= 1
    parts = output.parts
    total = parts.pathological_asymmetry + parts.intrinsic_asymmetry
    assert torch.allclose(total, parts.total_asymmetry)


def test_without_a_box_the_whole_grid_is_used():
    assert build_adn(recipe(box=None))(brain(1)).infarct_probability_aligned.shape == (1, 1, *SHAPE)


def test_a_given_pose_is_used_unchanged():
    x = brain()
    pose = rigid_matrix(torch.tensor([[0.0, 0.0, 20.0]] * 2), torch.tensor([[3.0, 0.0, 0.0]] * 2))
    output = build_adn(recipe())(x, pose)
    assert output.pose is pose
    assert torch.equal(output.parts.aligned, warp(x, pose, SPACING, BOX))


def test_any_backbone_can_be_used_and_gets_the_inputs_of_the_recipe():
    d, f = Constant(0.0), Constant(-1.0)
    rich = recipe(d_inputs=["aligned", "mirrored"], f_inputs=["salient", "mirrored", "aligned", "pathological"])
    output = ADN(Constant(0.0), d, f, rich).from_aligned(brain(), torch.eye(4))
    parts = output.parts
    assert torch.equal(given(d.seen), torch.cat([parts.aligned, mirror(parts.aligned)], 1))
    seen = [parts.salient, mirror(parts.aligned), parts.aligned, parts.pathological_asymmetry]
    assert torch.equal(given(f.seen), torch.cat(seen, 1))
    assert torch.allclose(parts.pathological_asymmetry, parts.total_asymmetry / 2)
    assert output.infarct_probability_aligned.flatten()[0].item() == pytest.approx(0.2689, abs=1e-4)  # σ(−1)


def test_the_papers_networks_get_only_x_and_the_salient_x():
    d, f = Constant(0.0), Constant(0.0)
    network = ADN(Constant(0.0), d, f, recipe(p_form="probability", clamp_q=True))
    parts = network.from_aligned(brain(), torch.eye(4)).parts
    assert torch.equal(given(d.seen), parts.aligned)
    assert torch.equal(given(f.seen), parts.salient)
    assert parts.pathological_asymmetry.unique().tolist() == [0.5]
    assert parts.intrinsic_asymmetry.min() >= 0


def test_results_are_in_full_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        output = build_adn(recipe()).from_aligned(brain(1)[:, :, :, :, :24], torch.eye(4))
    assert {part.dtype for part in output.parts} == {torch.float32}
    assert output.infarct_probability_aligned.dtype == torch.float32


def test_gradients_of_f_reach_d_through_the_salient_image():
    torch.manual_seed(0)
    network = loose(build_adn(recipe()))
    network(brain(1)).infarct_probability_aligned.sum().backward()
    assert network.asymmetry.head.weight.grad.abs().max() > 0


def test_contrast_is_an_additional_channel_for_either_network():
    d, f = Constant(0.0), Constant(0.0)
    plus = recipe(d_inputs=["aligned", "contrast"], f_inputs=["contrast", "salient", "broad_contrast"])
    parts = ADN(Constant(0.0), d, f, plus).from_aligned(brain(), torch.eye(4)).parts
    contrast = mirror_contrast(parts.aligned, SPACING)
    assert contrast.abs().max() > 0
    assert torch.equal(given(d.seen), torch.cat([parts.aligned, contrast], 1))
    broad = mirror_contrast(parts.aligned, SPACING, reach="broad_contrast")
    assert not torch.equal(broad, contrast)
    assert torch.equal(given(f.seen), torch.cat([contrast, parts.salient, broad], 1))


@pytest.mark.parametrize("p_form", ["probability", "fraction"])
def test_averaged_with_its_mirror_image_the_mirrored_brain_gives_the_mirrored_prediction(p_form):
    torch.manual_seed(0)
    plain, averaged = (build_adn(recipe(p_form=p_form, mirror_average=on)).eval() for on in (False, True))
    averaged.load_state_dict(plain.state_dict())
    x, pose = torch.rand(1, 1, *BOX), torch.eye(4)[None]
    with torch.no_grad():
        one, other = averaged.from_aligned(x, pose), averaged.from_aligned(mirror(x), pose)
        alone, twin = plain.from_aligned(x, pose), plain.from_aligned(mirror(x), pose)
    assert torch.equal(one.infarct_probability_aligned, mirror(other.infarct_probability_aligned))
    assert all(torch.equal(a, mirror(b)) for a, b in zip(one.parts, other.parts, strict=True))
    assert not torch.equal(alone.infarct_probability_aligned, mirror(twin.infarct_probability_aligned))
    mean = (alone.infarct_probability_aligned + mirror(twin.infarct_probability_aligned)) / 2
    assert torch.equal(one.infarct_probability_aligned, mean)
    assert torch.equal(one.parts.aligned, x)
    assert torch.equal(one.parts.total_asymmetry, alone.parts.total_asymmetry)
    total = one.parts.pathological_asymmetry + one.parts.intrinsic_asymmetry
    assert torch.allclose(total, one.parts.total_asymmetry, atol=1e-6)
    averaged.train()
    assert torch.equal(
        averaged.from_aligned(x, pose)[2], plain.train().from_aligned(x, pose)[2]
    )  # one pass in training


def test_coarser_levels_are_returned_only_in_training():
    torch.manual_seed(0)
    network = build_adn(recipe(supervised_levels=2, d_attention=1))
    found = network(brain())
    assert [x.shape for x in found.coarse_gates + found.coarse_probabilities] == [(2, 1, 2, 6, 8)] * 2
    assert all(x.min() > 0 and x.max() < 1 for x in found.coarse_gates + found.coarse_probabilities)
    network.eval()
    assert network(brain()).coarse_gates == network(brain()).coarse_probabilities == ()
    assert len([name for name in network.state_dict() if "attention" in name]) == 8  # of D, not of F
