"""Refining T's pose at inference: a few steps on L_T divided by the brain's volume (method.md section 4)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from adn.config import Recipe
from adn.nn.align import AlignNet
from adn.warp import mirror, rigid_matrix, warp

SEARCH_DEG = (-24.0, -16.0, -8.0, 0.0, 8.0, 16.0, 24.0)  # in-plane starts


def refine_pose(
    align: AlignNet, brain: Float[Tensor, "1 1 d h w"], pose: Float[Tensor, "1 4 4"], recipe: Recipe
) -> Float[Tensor, "1 4 4"]:
    """Move in-plane rotation, roll and x from T's pose to a minimum of L_T on T's coarse copy; y, z and pitch stay.

    Starts at the best of a few in-plane angles about T's pose and about the conformed brain's; never returns a pose worse than T's own.
    """
    steps = recipe.align.refine_steps
    if not steps:
        return pose
    coarse = align.coarse(brain).float()
    depth, height, width = recipe.grid.spacing_mm
    shrink = recipe.align.shrink
    spacing = (depth, height * shrink, width * shrink)
    volume = coarse.mean().clamp(min=1e-4)

    def loss(candidate: Tensor) -> Tensor:
        x = warp(coarse.expand(len(candidate), -1, -1, -1, -1), candidate, spacing)
        return (x - mirror(x)).abs().mean((1, 2, 3, 4)) / volume

    def motion(values: Tensor) -> Tensor:
        """Values: roll (degrees), in-plane (degrees), x (mm)."""
        zero = torch.zeros_like(values[:, 0])
        rotation = torch.stack([zero, values[:, 0], values[:, 1]], -1)
        return rigid_matrix(rotation, torch.stack([values[:, 2], zero, zero], -1))

    turns = motion(torch.tensor([[0.0, angle, 0.0] for angle in SEARCH_DEG], device=brain.device))
    straight = torch.eye(4, device=brain.device)[None]
    with torch.no_grad():
        starts = torch.cat([pose.float() @ turns, straight @ turns])
        start = starts[loss(starts).argmin()][None]
    with torch.enable_grad():
        values = torch.zeros((1, 3), device=brain.device, requires_grad=True)
        optimiser = torch.optim.Adam([values], lr=1.0, betas=(0.8, 0.99))
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = 1.5 * (1 - step / steps) + 0.02
            optimiser.zero_grad()
            loss(start @ motion(values)).sum().backward()
            optimiser.step()
    result = start @ motion(values.detach())
    with torch.no_grad():
        return result if float(loss(result)) <= float(loss(pose.float())) else pose.float()
