"""L_T: a head centred on its mid-sagittal plane looks like its mirror image (paper, eq. 1)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from adn.space.warp import invert_rigid, mirror, warp

BRAIN_RADIUS_MM = 65.0


def mirror_difference(aligned: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, " b"]:
    """‖X − X′‖₁ as a mean over voxels (eq. 1)."""
    return (aligned - mirror(aligned)).abs().mean((1, 2, 3, 4))


def reconstruction_difference(
    brain: Float[Tensor, "b 1 d h w"],
    aligned: Float[Tensor, "b 1 d h w"],
    pose: Float[Tensor, "b 4 4"],
    spacing_mm: tuple[float, float, float],
) -> Float[Tensor, " b"]:
    """‖I − T⁻¹(X′)‖₁, the term that the released code adds."""
    return (brain - warp(mirror(aligned), invert_rigid(pose), spacing_mm)).abs().mean((1, 2, 3, 4))


def plane_difference(pose: Float[Tensor, "b 4 4"], known: Float[Tensor, "b 4 4"]) -> Float[Tensor, " b"]:
    """Distance of the mid-sagittal plane of `pose` from the true one, mm, at about a brain's radius from its centre.

    Not in the paper: for virtual patients, whose plane is known. 0 where it is unknown (NaN).
    """
    unknown = known.isnan().any(2).any(1)
    known = torch.where(unknown[:, None, None], pose.detach(), known)  # keeps NaN out of the gradient
    normal = known[:, :3, 0]
    turned = (pose[:, :3, 0] - normal).square().sum(1)
    shifted = ((pose[:, :3, 3] - known[:, :3, 3]) * normal).sum(1)
    off = (BRAIN_RADIUS_MM**2 * turned + shifted.square() + 1e-4).sqrt()
    return torch.where(unknown, 0.0, off)
