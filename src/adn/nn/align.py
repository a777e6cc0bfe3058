"""Network T, which finds the mid-sagittal plane (paper, section 2; docs/method.md, section 4)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from adn.config import AlignConfig, GridConfig
from adn.nn.norm import QuickGroupNorm
from adn.space.warp import rigid_matrix


class PreActivationBlock(nn.Module):
    """x + [GroupNorm, ReLU, conv 3³] twice; four channels per group."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            norm = QuickGroupNorm(max(channels // 4, 1), channels)
            layers += [norm, nn.ReLU(), nn.Conv3d(channels, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x + self.layers(x)


class AlignNet(nn.Module):
    """Brain on the model grid → rigid pose in mm (LPS frame, pulls: aligned(p) = brain(pose · p)).

    In-plane rotation, roll, x shift and y shift are bounded by the limits in `AlignConfig`; pitch and z are held at 0.
    With `zero_start` the last layer starts at zero, so an untrained T is the identity.
    """

    limits: Tensor

    def __init__(self, grid: GridConfig, config: AlignConfig) -> None:
        super().__init__()
        self.shrink, self.coordinates = config.shrink, config.coordinates
        stages: list[nn.Module] = []
        width = 10 if config.coordinates else 1
        for channels in config.channels:
            stages += [nn.Conv3d(width, channels, 4, stride=2, padding=1), PreActivationBlock(channels)]
            width = channels
        self.stages = nn.Sequential(*stages)
        self.pooling = config.pooling
        if config.pooling == "place":
            coarse = grid.shape[0], grid.shape[1] // config.shrink, grid.shape[2] // config.shrink
            width *= math.prod(side // 2 ** len(config.channels) for side in coarse)
        self.norm = nn.LayerNorm(width) if config.pooling == "place" else nn.Identity()
        self.head = nn.Linear(width, 6)
        if config.zero_start:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        _, height, wide = (n * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True))
        limits = [0.0, config.max_roll_deg, config.max_in_plane_deg]
        limits += [config.max_shift_x * wide, config.max_shift_y * height, 0.0]
        self.register_buffer("limits", torch.tensor(limits), persistent=False)

    def forward(self, brain: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 4 4"]:
        """brain: [0, 1] on the model grid. Returns poses in mm."""
        return self.from_coarse(self.coarse(brain))

    def coarse(self, brain: Float[Tensor, "b 1 d h w"]) -> Tensor:
        """The copy that T sees, averaged in plane."""
        return F.avg_pool3d(brain, (1, self.shrink, self.shrink)) if self.shrink > 1 else brain

    def from_coarse(self, x: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 4 4"]:
        """Poses from the coarse copy."""
        if self.coordinates:
            x = _with_moments(x)
        features = self.stages(x)
        pooled = features.flatten(1) if self.pooling == "place" else features.mean((2, 3, 4))
        parameters = torch.tanh(self.head(self.norm(pooled)).float()) * self.limits
        return rigid_matrix(parameters[:, :3], parameters[:, 3:])


def _with_moments(x: Tensor) -> Tensor:
    """(B, 1, D, H, W) → (B, 10, …): the brain times 1, times its coordinates in [−1, 1] and times their products.

    Pooled, these are the brain's moments, from which shift and rotation are easy to read; with the coordinates merely
    as extra channels, T remained blind to rotation after thousands of samples.
    """
    axes = [torch.linspace(-1, 1, n, device=x.device, dtype=x.dtype) for n in x.shape[2:]]
    z, y, w = torch.meshgrid(*axes, indexing="ij")
    maps = torch.stack([torch.ones_like(z), z, y, w, z * z, y * y, w * w, z * y, z * w, y * w])
    return x * maps
