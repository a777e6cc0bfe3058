"""A network prepared for prediction gives the same output as before, whatever it is made of."""

import copy

import pytest
import torch
from torch import nn

from adn.nn import precision
from adn.nn.precision import made_ready, spare_two_slices, two_slices_are_sound


class Mixed(nn.Module):
    """A 3D convolution, then a 2D one on each slice."""

    def __init__(self):
        super().__init__()
        self.deep, self.flat, self.dropout = nn.Conv3d(1, 4, 3), nn.Conv2d(4, 2, 3), nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.flat(self.deep(x)[:, :, 0]))


def test_only_the_layout_of_3d_convolutions_changes():
    torch.manual_seed(0)
    network, x = Mixed(), torch.rand(1, 1, 3, 9, 7)
    ready = made_ready(copy.deepcopy(network), torch.device("cpu"))
    assert not ready.training
    assert ready.deep.weight.is_contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        assert torch.allclose(ready(x), network.eval()(x), atol=1e-6)


class Deep(nn.Module):
    """A convolution, as many slices again but half, and another one."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv3d(16, 16, 3, padding=1), nn.Conv3d(16, 16, 3, padding=1)

    def forward(self, x):
        self.seen = self.first(x)
        return self.second(nn.functional.avg_pool3d(self.seen, (2, 1, 1)))


def gradients(network, x, bf16):
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y = network(x)
    y.float().square().mean().backward()
    return [p.grad.clone() for p in network.parameters()], y


@pytest.fixture
def unsound(monkeypatch):
    monkeypatch.setattr(precision, "two_slices_are_sound", lambda: False)


def test_only_two_slices_are_computed_without_bf16(unsound):
    torch.manual_seed(0)
    network, x = Deep(), torch.randn(1, 16, 4, 8, 8)
    assert spare_two_slices(network)
    network = copy.deepcopy(network)
    exact, _ = gradients(network, x, False)
    for _ in range(3):
        soiled = torch.full((2**20,), torch.nan)
        del soiled
        rounded, y = gradients(network, x, True)
        assert (network.seen.dtype, y.dtype) == (torch.bfloat16, torch.float32)
        assert all(torch.allclose(a, b, atol=0.05 * float(a.abs().max())) for a, b in zip(exact, rounded, strict=True))


def test_bf16_is_restored_after_two_slices_even_if_they_fail(unsound):
    network = nn.Sequential(nn.Conv3d(16, 16, 3), nn.Conv3d(16, 16, 3, padding=1))
    spare_two_slices(network)
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(RuntimeError):  # a kernel of three on two slices
            network(torch.randn(1, 16, 2, 8, 8))
        assert torch.is_autocast_enabled("cpu")
        assert network(torch.randn(1, 16, 4, 8, 8)).dtype == torch.float32  # two slices are left for the second
    assert not torch.is_autocast_enabled("cpu")


def test_a_cpu_without_the_fault_leaves_the_network_unchanged(monkeypatch):
    monkeypatch.setattr(precision, "two_slices_are_sound", lambda: True)
    network = Deep()
    assert not spare_two_slices(network)
    assert not network.first._forward_pre_hooks


def test_the_cached_probe_equals_a_fresh_one():
    assert two_slices_are_sound() == two_slices_are_sound.__wrapped__()
