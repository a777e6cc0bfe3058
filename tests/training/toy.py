"""A network that trains in milliseconds, and tiny brains for the real one."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import Dataset

from adn.config import FitConfig
from adn.feed.samples import Sample

CONFIG = FitConfig(learning_rate=0.05, batch_size=4, epoch_samples=8, max_epochs=3)


class Points(Dataset):
    """Sample i depends on i only: four numbers and their sum."""

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        x = torch.randn(4, generator=torch.Generator().manual_seed(index))
        return torch.cat([x, x.sum()[None]])


def network(dropout=0.0):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 1))


def objective(model, batch, epoch):
    error = (model(batch[:, :4])[:, 0] - batch[:, 4]).square()
    return {"loss": error.mean(), "dice": (1 / (1 + error)).mean()}


class Brains(Dataset):
    """Ellipsoids of 0.4 with noise on a brain box, each with a darker ball; sample i depends on i only."""

    def __init__(self, shape):
        self.shape = shape

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        axes = [torch.linspace(-1, 1, n) for n in self.shape]
        z, y, w = torch.meshgrid(*axes, indexing="ij")
        brain = (z**2 + y**2 + w**2 < 0.8).float()
        centre = torch.rand(3, generator=generator) * 0.8 - 0.4
        infarct = ((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (w - centre[2]) ** 2 < 0.08).float() * brain
        noise = 0.05 * torch.randn(self.shape, generator=generator)
        x = (0.4 - 0.1 * infarct + noise).clamp(0, 1) * brain
        return Sample(x[None], infarct[None], (brain * (1 + (w > 0))).to(torch.uint8)[None])
