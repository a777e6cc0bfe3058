"""Networks D and F: the size that method.md section 4 gives, shapes, and which inputs they refuse."""

import pytest
import torch

from adn.nn.resunet import ResUNet

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
    network = ResUNet(1, (16, 32), dropout=0.2)
    first = network.down[0]
    assert [type(layer).__name__ for layer in first.enter] == ["GroupNorm", "Conv3d", "ReLU"]
    assert [type(layer).__name__ for layer in first.residual[-1]] == ["GroupNorm", "Conv3d"]
    assert (first.enter[0].num_groups, first.residual[0][0].num_groups) == (1, 8)
    assert first.enter[1].bias is None
    assert network.rise[0].bias is not None
    assert [block.dropout.p for block in (*network.down, *network.up)] == [0.2] * 3  # after every level
    assert all(type(block.dropout) is torch.nn.Dropout for block in (*network.down, *network.up))  # element-wise
    assert network.head.kernel_size == (1, 1, 1)


@pytest.mark.parametrize("in_channels", [1, 3])
def test_logits_have_the_inputs_sides(in_channels):
    network = ResUNet(in_channels, CHANNELS)
    assert network(torch.rand(2, in_channels, 4, 12, 8)).shape == (2, 1, 4, 12, 8)


@pytest.mark.parametrize("sides", [(4, 12, 10), (6, 12, 8), (4, 7, 8)])
def test_sides_that_cannot_be_halved_are_refused_by_name(sides):
    with pytest.raises(ValueError, match=rf"divisible by \(4, 4, 4\), but got \({sides[0]}, {sides[1]}, {sides[2]}\)"):
        ResUNet(1, CHANNELS)(torch.rand(1, 1, *sides))


def test_every_parameter_learns_and_scans_do_not_mix():
    torch.manual_seed(0)
    network = ResUNet(1, CHANNELS)
    x = torch.rand(2, 1, 4, 8, 12)
    out = network(x)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert any(p.grad.abs().max() > 0 for p in network.parameters())
    assert torch.allclose(network(x[1:]), out[1:], atol=1e-5)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    network = ResUNet(1, CHANNELS, dropout=0.5)
    x = torch.rand(1, 1, 4, 8, 12)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
