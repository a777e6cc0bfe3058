"""Refines T's pose at inference, by a few steps on L_T divided by the brain's volume (docs/method.md, section 4)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adn.config import Recipe
from adn.nn.align import AlignNet
from adn.space.warp import mirror, rigid_matrix, warp

SEARCH_DEG = (-24.0, -16.0, -8.0, 0.0, 8.0, 16.0, 24.0)  # in-plane starts
SEARCH_ROLL_DEG = (-8.0, 0.0, 8.0)
_STARTS = 2  # starts that are followed; with one, rounding could decide which of two minima is found
_ROOM_MM = 10.0  # margin for shifts beyond T's
_BETAS = (0.8, 0.99)  # of Adam's running means


def refine_pose(
    align: nn.Module,
    brain: Float[Tensor, "1 1 d h w"],
    pose: Float[Tensor, "1 4 4"],
    recipe: Recipe,
    scanned: Float[Tensor, "1 1 d h w"] | None = None,
) -> Float[Tensor, "1 4 4"]:
    """Move in-plane rotation, roll and x from T's pose to a minimum of L_T on T's coarse copy; y, z and pitch are kept.

    Starts from the two best of a few rotations and rolls about T's pose and about the unrotated brain, and takes the
    better result; never returns a pose worse than T's own. scanned: for a part of a head, 1 where the grid was scanned;
    then only voxels whose twin was scanned as well count, because the ends are oblique to the mid-sagittal plane.
    """
    steps = recipe.align.refine_steps
    if not steps:
        return pose
    assert isinstance(align, AlignNet)  # methods without alignment are not refined
    coarse = align.coarse(brain).float()
    depth, height, width = recipe.grid.spacing_mm
    shrink = recipe.align.shrink
    spacing = (depth, height * shrink, width * shrink)
    volume = coarse.sum().clamp(min=1e-4 * coarse.numel())
    box = _brain_box(coarse[0, 0], spacing, float(pose[0, :3, 3].abs().max()))
    shown = None if scanned is None else align.coarse(scanned).float()

    def loss(candidate: Tensor) -> Tensor:
        x = warp(coarse.expand(len(candidate), -1, -1, -1, -1), candidate, spacing, box)
        if shown is None:
            return (x - mirror(x)).abs().sum((1, 2, 3, 4)) / volume
        both = warp(shown.expand(len(candidate), -1, -1, -1, -1), candidate, spacing, box)
        both = both * mirror(both)
        return ((x - mirror(x)).abs() * both).sum((1, 2, 3, 4)) / (x * both).sum((1, 2, 3, 4)).clamp(min=0.1 * volume)

    r, (x, y, z) = pose[0, :3, :3].float(), pose[0, :3, 3].float()
    pitch, roll, in_plane = torch.atan2(r[2, 1], r[2, 2]), torch.asin(-r[2, 0]), torch.atan2(r[1, 0], r[0, 0])
    pitch, roll, in_plane = torch.rad2deg(torch.stack([pitch, roll, in_plane]))

    def posed(values: Tensor) -> Tensor:
        """values: roll (degrees), in-plane (degrees), x (mm); the rest is T's."""
        rotation = torch.stack([pitch.expand(len(values)), values[:, 0], values[:, 1]], -1)
        shift = torch.stack([values[:, 2], y.expand(len(values)), z.expand(len(values))], -1)
        return rigid_matrix(rotation, shift)

    turns = torch.tensor([[r, a, 0.0] for a in SEARCH_DEG for r in SEARCH_ROLL_DEG], device=brain.device)
    with torch.no_grad():
        starts = torch.cat([torch.stack([roll, in_plane, x]) + turns, turns])
        best = starts[loss(posed(starts)).topk(_STARTS, largest=False).indices]
    with torch.enable_grad():
        values = best.clone().requires_grad_(True)
        mean, square = torch.zeros_like(values), torch.zeros_like(values)
        for step in range(steps):
            (slope,) = torch.autograd.grad(loss(posed(values)).sum(), values)
            with torch.no_grad():
                _adam_step(values, slope, mean, square, step + 1, rate=1.5 * (1 - step / steps) + 0.02)
    with torch.no_grad():
        ends = posed(values.detach())
        result = ends[loss(ends).argmin()][None]
        return result if float(loss(result)) <= float(loss(pose.float())) else pose.float()


def _brain_box(
    coarse: Float[Tensor, "d h w"], spacing_mm: tuple[float, float, float], shift_mm: float
) -> tuple[int, int, int]:
    """Sides of a centred box that holds the brain in any rotation, shifted by as much as T shifts it.

    Everything beyond it is 0, so L_T is the same as over the whole grid, in half the time.
    """
    place = (coarse > 0).nonzero() - (torch.tensor(coarse.shape, device=coarse.device) - 1) / 2
    reach_mm = (place * torch.tensor(spacing_mm, device=coarse.device)).norm(dim=1)
    half_mm = (float(reach_mm.max()) if len(reach_mm) else 0.0) + shift_mm + _ROOM_MM
    # the grid's voxels minus an equal number at both ends, so that the centre stays the same
    sides = [n - 2 * max(int(n / 2 - half_mm / step), 0) for n, step in zip(coarse.shape, spacing_mm, strict=True)]
    return sides[0], sides[1], sides[2]


def _adam_step(values: Tensor, slope: Tensor, mean: Tensor, square: Tensor, step: int, rate: float) -> None:
    """One step of Adam (Kingma & Ba 2015) on `values`, in place; updates the running `mean` and `square`. step: from 1.

    torch.optim is avoided: its first use imports torch's compiler, which takes longer than all steps together.
    """
    a, b = _BETAS
    mean.lerp_(slope, 1 - a)
    square.mul_(b).addcmul_(slope, slope, value=1 - b)
    spread = square.sqrt() / (1 - b**step) ** 0.5 + 1e-8
    values.addcdiv_(mean, spread, value=-rate / (1 - a**step))
