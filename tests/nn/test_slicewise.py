"""The 2D U-Net over slices: each slice is predicted separately, with its neighbours shown as channels."""

import pytest
import torch

from adn.nn.adn import build_adn, chosen_slices, with_neighbours
from adn.nn.slicewise import _AT_ONCE, EMPTY_LOGIT, SliceUNet
from adn.recipes import recipe_from_dict
from adn.space.warp import mirror
from given import given

SHAPE = (5, 12, 16)
D_INPUTS = ["relative", "mirrored_relative", "contrast", "broad_contrast", "brain"]
F_INPUTS = ["salient_relative", "pathological", *D_INPUTS]


def recipe(**network):
    return recipe_from_dict(
        {
            "name": "test",
            "grid": {"spacing_mm": [5.0, 2.4, 2.4], "shape": SHAPE, "box": SHAPE},
            "align": {"channels": [4], "shrink": 1},
            "network": {
                "channels": [8, 16],
                "d_backbone": "slicewise",
                "f_backbone": "slicewise",
                "d_inputs": D_INPUTS,
                "f_inputs": F_INPUTS,
                **network,
            },
        }
    )


def brain(scans=1):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(scans, 1, *SHAPE, generator=generator) * 0.3 + 0.3
    x[:, :, 0] = 0  # no brain there
    x[..., :2, :] = 0
    return x


def network(**settings):
    torch.manual_seed(1)
    return build_adn(recipe(**settings))


def test_the_output_for_a_slice_does_not_depend_on_the_number_of_others():
    torch.manual_seed(0)
    net = SliceUNet(2, (8, 16)).eval()
    x = torch.rand(1, 2, *SHAPE)
    with torch.no_grad():
        whole, part = net(x), net(x[:, :, 2:4])
    assert whole.shape == (1, 1, *SHAPE)
    assert torch.allclose(whole[:, :, 2:4], part, atol=1e-5)


def test_slices_computed_in_parts_are_the_same():
    torch.manual_seed(0)
    net = SliceUNet(2, (8, 16)).eval()
    x = torch.rand(1, 2, 2 * _AT_ONCE + 3, 8, 8)
    with torch.no_grad():
        whole, apart = net(x), torch.cat([net(x[:, :, i : i + 1]) for i in range(x.shape[2])], 2)
    torch.testing.assert_close(whole, apart)


def test_empty_slices_are_skipped_without_changing_the_others():
    torch.manual_seed(0)
    net = SliceUNet(2, (8, 16)).eval()
    x = torch.rand(2, 2, *SHAPE)
    x[0, :, 3] = 0
    with torch.no_grad():
        logits = net(x)
        assert (logits[0, 0, 3] == EMPTY_LOGIT).all()
        assert torch.allclose(logits[0, :, 4], net(x[:1, :, 4:])[0, :, 0], atol=1e-5)
        assert (net(torch.zeros(1, 2, *SHAPE)) == EMPTY_LOGIT).all()


def test_sides_that_cannot_be_halved_are_refused_and_any_depth_is_allowed():
    with pytest.raises(ValueError, match="H and W divisible by 2"):
        SliceUNet(1, (8, 16))(torch.rand(1, 1, 3, 11, 16))
    with pytest.raises(Exception, match=r"divisible by \(1, 8, 8\)"):
        recipe(channels=[8, 8, 8, 8])


def test_neighbouring_slices_are_channels_and_the_ends_are_repeated():
    x = torch.arange(4.0).view(1, 1, 4, 1, 1)
    assert with_neighbours(x, 0) is x
    seen = with_neighbours(x, 1)[0, :, :, 0, 0]
    assert seen.tolist() == [[0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 3]]


@pytest.mark.parametrize("neighbours", [0, 1, 2])
def test_selected_slices_give_the_same_output_as_in_the_whole_scan(neighbours):
    """Medians, contrasts and neighbours are of the whole, whichever slices are asked for."""
    net = network(neighbours=neighbours).eval()
    x, slices = brain(2), torch.tensor([[1, 3, 4], [2, 3, 3]])
    with torch.no_grad():
        whole, some = net.from_aligned(x, torch.eye(4)), net.from_aligned(x, torch.eye(4), slices)
    for name, full, part in zip(whole.parts._fields, whole.parts, some.parts, strict=True):
        assert torch.allclose(chosen_slices(full, slices), part, atol=1e-5), name
    expected = chosen_slices(whole.infarct_probability_aligned, slices)
    assert torch.allclose(expected, some.infarct_probability_aligned, atol=1e-5)


def test_gradients_reach_d_through_the_input_of_f():
    net = network(neighbours=1, f_inputs=["salient_relative", "relative"])
    output = net.from_aligned(brain(), torch.eye(4), torch.tensor([[2, 3]]))
    output.infarct_probability_aligned.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.asymmetry.parameters())
    assert max(float(given(p.grad).abs().max()) for p in net.asymmetry.parameters()) > 0


def test_averaging_over_both_sides_makes_the_output_mirror_with_the_head():
    net = network(neighbours=1, mirror_average=True).eval()
    with torch.no_grad():
        own, twin = (net.from_aligned(x, torch.eye(4)) for x in (brain(), mirror(brain())))
    assert torch.allclose(own.infarct_probability_aligned, mirror(twin.infarct_probability_aligned), atol=1e-5)


def test_nothing_is_marked_outside_the_brain():
    with torch.no_grad():
        output = network(neighbours=0).eval().from_aligned(brain(), torch.eye(4))
    assert float(output.infarct_probability_aligned[:, :, 0].max()) < 1e-4


def test_equal_slices_are_computed_once_and_share_the_output(monkeypatch):
    net = SliceUNet(2, (8, 8)).eval()
    x = torch.randn(1, 2, 3, 8, 8)
    twice = torch.cat([x, x[:, :, [1, 2, 0]]])
    counted, of_slices = [], net._of_slices
    monkeypatch.setattr(net, "_of_slices", lambda part: (counted.append(len(part)), of_slices(part))[1])
    with torch.no_grad():
        found = net(twice)
    assert sum(counted) == 3
    assert torch.equal(found[0][:, [1, 2, 0]], found[1])
