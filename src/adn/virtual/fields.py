"""Values at points of a head: smooth random fields and the soft masks of its infarcts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.space.warp import move_points
from adn.virtual.blur import blur
from adn.virtual.lesions import LesionMask
from adn.virtual.plan import InfarctPlan, PatientPlan, stream

FIELD_MM = 125.0  # random fields cover a cube of ± this about the head
SWELLING_MM = 8.0  # σ over which an infarct's swelling fades
LesionSource = Callable[[InfarctPlan, torch.Generator], LesionMask]


def random_field(generator: torch.Generator, channels: int, scale_mm: float) -> Tensor:
    """Smooth noise of unit variance on the field cube, (1, channels, n, n, n)."""
    n = max(int(2 * FIELD_MM / scale_mm), 3)
    return torch.randn((1, channels, n, n, n), generator=generator)


def read_field(field: Tensor, positions: Tensor) -> Tensor:
    """Values (C, d, h, w) of a field at positions in mm."""
    return F.grid_sample(field, positions[None] / FIELD_MM, padding_mode="border", align_corners=True)[0]


def apply(matrix: NDArray, points: Tensor) -> Tensor:
    """Apply a 4 × 4 matrix to points (3, …)."""
    return move_points(torch.tensor(matrix, dtype=torch.float32, device=points.device), points)


@dataclass(frozen=True, eq=False)
class Lesion:
    """An infarct's soft mask, and the matrix from MNI space to its array index.

    broad: the mask blurred widely, at twice the spacing and with a margin of 16 voxels; None if it does not swell.
    """

    plan: InfarctPlan
    index_from_mni: NDArray[np.float64]
    soft: Tensor
    broad: Tensor | None


def lesions_of(plan: PatientPlan, source: LesionSource, device: torch.device | str = "cpu") -> list[Lesion]:
    """Masks of a plan's infarcts, ready to be sampled; random numbers come from the plan's own generator."""
    generator = stream(plan, 1)
    found = []
    for infarct in plan.infarcts:
        mask = source(infarct, generator)
        step = 1 / float(np.abs(mask.index_from_mni[:3, :3]).max())
        data = mask.data.to(device).float()[None, None] / 255
        soft = blur(data, (infarct.edge_mm / step,) * 3)
        broad = None
        if infarct.swelling_mm > 0.2:
            pads = [v for n in data.shape[:1:-1] for v in (16, 16 + n % 2)]
            broad = blur(F.avg_pool3d(F.pad(data, pads), 2), (SWELLING_MM / step / 2,) * 3)
        flip = np.diag([-1.0 if infarct.left_right_flip else 1.0, 1.0, 1.0, 1.0])
        found.append(Lesion(infarct, mask.index_from_mni @ flip, soft, broad))
    return found


def swelling(lesion: Lesion, mni: Tensor) -> Tensor:
    """The displacement of an infarct's swelling, (3, d, h, w), mm: from each place to where its content was.

    0 at the skull, which does not give way.
    """
    size = np.array(lesion.broad.shape[:1:-1])  # type: ignore[union-attr]
    index = np.diag([0.5, 0.5, 0.5, 1.0]) @ shifted(15.5) @ lesion.index_from_mni
    to_unit = normalised(size) @ index

    def read(offset: tuple[float, float, float]) -> Tensor:
        place = apply(to_unit @ shifted(offset), mni)
        return F.grid_sample(lesion.broad, place.movedim(0, -1)[None], align_corners=False)[0, 0]  # type: ignore[arg-type]

    h = 4.0
    slope = [read((h, 0, 0)) - read((-h, 0, 0)), read((0, h, 0)) - read((0, -h, 0)), read((0, 0, h)) - read((0, 0, -h))]
    steepest = 1 / (SWELLING_MM * math.sqrt(2 * math.pi))  # slope of a straight edge
    return torch.stack(slope) / (2 * h * steepest) * (lesion.plan.swelling_mm * gives_way(mni))


def gives_way(mni: Tensor) -> Tensor:
    """How much brain at MNI mm (3, d, h, w) can be displaced, (d, h, w): from 0 at the skull to 1."""
    middle = (mni - torch.tensor((0.0, 17.0, 10.0), device=mni.device)[:, None, None, None]) / torch.tensor(
        (68.0, 87.0, 68.0), device=mni.device
    )[:, None, None, None]
    return ((0.97 - middle.norm(dim=0)) / 0.3).clamp(0, 1)


def shifted(offset: float | tuple[float, float, float]) -> NDArray[np.float64]:
    """4 × 4 matrix of a translation along x, y, z."""
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def normalised(size: NDArray) -> NDArray[np.float64]:
    """4 × 4 matrix from array index to the [-1, 1] of `grid_sample` (align_corners False)."""
    matrix = np.diag([*(2 / size), 1.0])
    matrix[:3, 3] = 1 / size - 1
    return matrix


def read_lesion(soft: Tensor, mask_from_index: NDArray[np.float64], index_xyz: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the samples (3, n) that lie in a lesion's crop, and its soft extent there (trilinear)."""
    place = apply(normalised(np.array(soft.shape[:1:-1])) @ mask_from_index, index_xyz)
    near = (place.abs().amax(0) < 1).nonzero()[:, 0]
    return near, F.grid_sample(soft, place[:, near].T[None, None, None], align_corners=False).flatten()
