"""A network made ready for prediction says what it said before, whatever it is made of."""

import copy

import torch
from torch import nn

from adn.nn.precision import made_ready


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
