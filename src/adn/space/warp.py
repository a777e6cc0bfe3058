"""Moves tensors in space: the torch counterpart of `geometry`.

Layout (B, C, D, H, W); sampling pulls (output → input); matrices act on normalised coordinates, x = W first,
`align_corners=False`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def mirror(x: Tensor) -> Tensor:
    """Flip along W, which swaps left and right. Any shape whose last axis is W."""
    return x.flip(-1)


def normalised_from_mm(pose_mm: Float[Tensor, "b 4 4"], size_mm: tuple[float, float, float]) -> Float[Tensor, "b 4 4"]:
    """Conjugate a motion in the frame (LPS mm about the centre) to normalised coordinates.

    size_mm: extent of the grid along W, H, D (voxels × spacing). The motion stays rigid on an anisotropic grid.
    """
    half = torch.tensor([*size_mm, 2.0], dtype=pose_mm.dtype, device=pose_mm.device) / 2
    return pose_mm * half[None, None, :] / half[None, :, None]


def sampling_grid(
    theta: Float[Tensor, "b 4 4"], shape: tuple[int, int, int], out_scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Float[Tensor, "b d h w 3"]:
    """Where each output voxel reads, in normalised coordinates of the input.

    shape: output (D, H, W). out_scale: size of the output relative to the input along W, H, D (a box crops).
    """
    scale = torch.tensor([*out_scale, 1.0], dtype=theta.dtype, device=theta.device)
    return F.affine_grid((theta * scale[None, None, :])[:, :3], [theta.shape[0], 1, *shape], align_corners=False)


def warp(
    x: Float[Tensor, "b c d h w"],
    pose_mm: Float[Tensor, "b 4 4"],
    spacing_mm: tuple[float, float, float],
    out_shape: tuple[int, int, int] | None = None,
    mode: str = "bilinear",
) -> Float[Tensor, "b c d2 h2 w2"]:
    """Resample `x` so that output(p) = x(pose · p); p in LPS mm about the centre of both grids.

    spacing_mm: along D, H, W, of input and output. out_shape: centred on the input, smaller or larger; default: the
    input's shape. The input counts as 0 outside. mode: 'bilinear' (trilinear) or 'nearest'.
    """
    shape = out_shape or (x.shape[2], x.shape[3], x.shape[4])
    size = [n * s for n, s in zip(x.shape[2:], spacing_mm, strict=True)]
    out_size = [n * s for n, s in zip(shape, spacing_mm, strict=True)]
    theta = normalised_from_mm(pose_mm.to(x.dtype), (size[2], size[1], size[0]))
    scale = (out_size[2] / size[2], out_size[1] / size[1], out_size[0] / size[0])
    grid = sampling_grid(theta, shape, scale)
    return F.grid_sample(x, grid, mode=mode, padding_mode="zeros", align_corners=False)


def move_points(matrix: Float[Tensor, "4 4"], points: Float[Tensor, "3 ..."]) -> Float[Tensor, "3 ..."]:
    """Apply a 4 × 4 matrix to points with coordinates along the first axis: the counterpart of `Affine.apply`."""
    return torch.addmm(matrix[:3, 3:], matrix[:3, :3], points.flatten(1)).view_as(points)


def rigid_matrix(rotation_deg: Float[Tensor, "b 3"], translation_mm: Float[Tensor, "b 3"]) -> Float[Tensor, "b 4 4"]:
    """Differentiable counterpart of `RigidTransform.from_parameters`: Translate · Rz · Ry · Rx.

    rotation_deg: about x (pitch), y (roll), z (in-plane). translation_mm: (left, posterior, superior).
    """
    cx, cy, cz = torch.deg2rad(rotation_deg).cos().unbind(-1)
    sx, sy, sz = torch.deg2rad(rotation_deg).sin().unbind(-1)
    tx, ty, tz = translation_mm.unbind(-1)
    zero, one = torch.zeros_like(cx), torch.ones_like(cx)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx, tx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx, ty],
        [-sy, cy * sx, cy * cx, tz],
        [zero, zero, zero, one],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def invert_rigid(pose_mm: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
    """The exact inverse of rigid motions."""
    rotation = pose_mm[:, :3, :3].transpose(1, 2)
    inverse = pose_mm.clone()
    inverse[:, :3, :3] = rotation
    inverse[:, :3, 3] = -(rotation @ pose_mm[:, :3, 3:]).squeeze(-1)
    return inverse
