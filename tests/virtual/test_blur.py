"""Blurring by a Gaussian."""

import pytest
import torch
import torch.nn.functional as F

from adn.virtual.blur import blur


def test_blur_is_a_gaussian_of_unit_sum():
    x = torch.zeros(1, 2, 9, 21, 25)
    x[:, :, 4, 10, 12] = 1
    y = blur(x, (0.0, 1.5, 2.0))
    assert float(y[0, 1].sum()) == pytest.approx(1, abs=1e-5)
    assert float((y[0, 0, 4].sum(0) * (torch.arange(25) - 12) ** 2).sum()) == pytest.approx(4, rel=0.03)
    taps = torch.exp(-0.5 * (torch.arange(-6, 7) / 2.0) ** 2)
    by_convolution = F.conv3d(torch.ones(1, 1, 1, 1, 25), (taps / taps.sum()).view(1, 1, 1, 1, -1), padding=(0, 0, 6))
    assert torch.allclose(blur(torch.ones(1, 1, 1, 1, 25), (0, 0, 2.0)), by_convolution, atol=1e-6)
