"""L_T: a head whose mid-sagittal plane is centred looks like its mirror image (paper, eq. 1)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from adn.warp import invert_rigid, mirror, warp


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
