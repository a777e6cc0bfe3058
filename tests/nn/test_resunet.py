"""Networks D and F: the size that docs/method.md, section 4 gives, shapes, and which inputs they refuse."""

import pytest
import torch

from adn.nn.resunet import ResUNet
from given import loose

CHANNELS = (8, 16, 16)


def test_the_papers_network_has_8_77_million_parameters():
    with torch.device("meta"):
        network = ResUNet(1, (32, 64, 128, 256))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(8.77, abs=0.005)


def test_the_papers_network_costs_1880_gflop_on_the_papers_grid():
    flop = []

    def count(conv, _, out):
        flop.append(2 * out.numel() * conv.weight[0].numel())  # a multiplication and an addition

    with torch.device("meta"), torch.no_grad():
        network = ResUNet(1, (32, 64, 128, 256))
        for module in network.modules():
            if isinstance(module, torch.nn.Conv3d):
                module.register_forward_hook(count)
        network(torch.empty(1, 1, 40, 256, 256))
    assert sum(flop) / 1e9 == pytest.approx(1880, rel=0.01)


def test_blocks_are_built_as_section_4_says():
    """GroupNorm → bias-free conv → ReLU; one group on the raw input; no ReLU before the sum; the up-conv has a bias."""
    network = loose(ResUNet(1, (16, 32), dropout=0.2))
    first = network.down[0]
    kinds = (torch.nn.GroupNorm, torch.nn.Conv3d, torch.nn.ReLU)
    assert all(isinstance(layer, kind) for layer, kind in zip(first.enter, kinds, strict=True))
    assert all(isinstance(layer, kind) for layer, kind in zip(first.residual[-1], kinds[:2], strict=True))
    assert (first.enter[0].num_groups, first.residual[0][0].num_groups) == (1, 8)
    assert first.enter[1].bias is None
    assert network.rise[0].bias is not None
    assert [block.dropout.p for block in (*network.down, *network.up)] == [0.2] * 3  # after every level
    assert all(type(block.dropout) is torch.nn.Dropout for block in (*network.down, *network.up))  # element-wise
    assert network.head.kernel_size == (1, 1, 1)


@pytest.mark.parametrize("in_channels", [1, 3])
def test_logits_have_the_shape_of_the_input(in_channels):
    network = ResUNet(in_channels, CHANNELS)
    assert network(torch.rand(2, in_channels, 4, 12, 8)).shape == (2, 1, 4, 12, 8)


@pytest.mark.parametrize("sides", [(4, 12, 10), (6, 12, 8), (4, 7, 8)])
def test_sides_that_cannot_be_halved_are_named_in_the_error(sides):
    with pytest.raises(ValueError, match=rf"divisible by \(4, 4, 4\), but got \({sides[0]}, {sides[1]}, {sides[2]}\)"):
        ResUNet(1, CHANNELS)(torch.rand(1, 1, *sides))


def test_every_parameter_learns_and_scans_do_not_mix():
    torch.manual_seed(0)
    network = ResUNet(1, CHANNELS)
    x = torch.rand(2, 1, 4, 8, 12)
    out = network(x)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())
    assert torch.allclose(network(x[1:]), out[1:], atol=1e-5)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    network = ResUNet(1, CHANNELS, dropout=0.5)
    x = torch.rand(1, 1, 4, 8, 12)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


@pytest.mark.parametrize("flat", [0, 1, 2])
def test_upsampling_without_gradients_equals_upsampling_then_convolving(flat):
    """The summed taps give what the upsampled volume gives, at the borders too."""
    torch.manual_seed(0)
    network = ResUNet(1, CHANNELS, flat_levels=flat).eval()
    x = torch.rand(2, 1, 4, 8, 12)
    with torch.no_grad():
        summed = network(x)
    assert torch.allclose(summed, network(x), atol=1e-5)


@pytest.mark.parametrize("flat", [0, 1])
def test_supervised_levels_give_outputs_of_their_own_size_in_training(flat):
    torch.manual_seed(0)
    network = ResUNet(1, CHANNELS, flat_levels=flat, supervised=3)
    x = torch.rand(2, 1, 4, 12, 8)
    found = network(x)
    depths = (4, 4, 2) if flat else (4, 2, 1)
    assert [tuple(y.shape) for y in found] == [(2, 1, d, 12 >> n, 8 >> n) for n, d in enumerate(depths)]
    network.eval()
    assert torch.equal(network(x), found[0])  # the finest alone, and untouched by the others


def test_each_level_sends_gradients_to_its_head_and_the_levels_below():
    """The gradient of one level's logits reaches its own head and the bottom, and no finer decoder level."""
    torch.manual_seed(0)
    network = loose(ResUNet(1, CHANNELS, supervised=3))
    for level in range(3):
        network.zero_grad()
        network(torch.rand(1, 1, 4, 8, 8))[level].square().sum().backward()
        heads = [network.head, *network.coarse_heads]
        assert [head.weight.grad is not None for head in heads] == [n == level for n in range(3)]
        assert network.down[-1].enter[1].weight.grad.abs().max() > 0
        reached = [block.enter[1].weight.grad is not None for block in network.up]  # deepest first
        assert reached == [level <= 1, level <= 0]


def test_heads_of_coarser_levels_do_not_change_the_other_initial_weights():
    networks = []
    for supervised in (1, 3):
        torch.manual_seed(3)
        networks.append(ResUNet(1, CHANNELS, supervised=supervised).state_dict())
    plain, deep = networks
    assert all(torch.equal(value, deep[name]) for name, value in plain.items())
    assert {name.split(".")[0] for name in deep.keys() - plain.keys()} == {"coarse_heads"}
