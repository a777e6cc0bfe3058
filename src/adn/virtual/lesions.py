"""Infarcts in MNI space: real masks, or procedural ones by arterial territory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.atlas import REGIONS, SUPPLY, Ellipsoid
from adn.space.ellipsoids import depth
from adn.space.geometry import bounding_box
from adn.virtual.plan import InfarctPlan

_TRUNK = "middle cerebral artery, trunk"
_SPREAD: dict[str, tuple[Ellipsoid, ...]] = {
    **REGIONS,
    _TRUNK: tuple(e for name, es in REGIONS.items() if SUPPLY[name] == "middle cerebral artery" for e in es),
    "borderzone": (((26, -34, 40), (7, 26, 16)), ((30, 44, 38), (9, 26, 18)), ((26, 4, 34), (5, 30, 8))),
    "lacunar": (((24, -4, 8), (13, 26, 20)), ((11, 18, 8), (10, 14, 10)), ((4, 26, -30), (8, 8, 12))),
}
BRAIN: Ellipsoid = ((0, 17, 10), (68, 87, 68))
_VOXEL_MM = 2.0


@dataclass(frozen=True, eq=False)
class LesionMask:
    """A mask in MNI space. data: (D, H, W) uint8, 0 or 255 (or a soft edge), SPL. index_from_mni: 4 × 4 from LPS mm
    to (W, H, D) array index."""

    data: Tensor
    index_from_mni: NDArray[np.float64]


def crop_mask(data: NDArray[np.bool_], index_from_mni: NDArray[np.float64], margin: int = 12) -> LesionMask:
    """Keep the mask's bounding box and a margin for soft edges. data: (D, H, W) SPL, at least one voxel True."""
    where = bounding_box(data)
    low = np.array([part.start for part in where])
    box = np.pad(data[where], margin)
    shift = np.eye(4)
    shift[:3, 3] = -(low - margin)[::-1]
    return LesionMask(torch.from_numpy(box.astype(np.uint8) * 255), shift @ index_from_mni)


def procedural_mask(plan: InfarctPlan, generator: torch.Generator) -> LesionMask:
    """An infarct of `plan.volume_ml` in `plan.territory` of the left hemisphere, 2 mm voxels.

    It grows from a point in the territory, has a ragged edge, and hardly extends beyond the territory, the hemisphere
    or the brain.
    """
    ellipsoids = _SPREAD[plan.territory]
    seed = _seed(ellipsoids, generator)
    radius = plan.radius_mm
    reach = radius * 2.6 + 10
    side = int(2 * reach / _VOXEL_MM)
    line = (torch.arange(side) - (side - 1) / 2) * _VOXEL_MM
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    offset = torch.stack([x, y, z])
    points = offset + seed.view(3, 1, 1, 1)
    control = max(int(2 * reach / max(radius * 0.6, 5)), 2)
    ragged = torch.randn((1, 1, control, control, control), generator=generator)
    level = 1 - offset.square().sum(0).sqrt() / radius
    level += 0.35 * F.interpolate(ragged, size=(side,) * 3, mode="trilinear")[0, 0]
    level = level + 3 * depth(points, ellipsoids).clamp(max=0) + 20 * depth(points, (BRAIN,)).clamp(max=0)
    level = level - 50 * (points[0] < 1)
    count = max(round(plan.volume_ml * 1000 / _VOXEL_MM**3), 1)
    threshold = level.flatten().topk(min(count, level.numel())).values[-1]
    index_from_mni = np.diag([1 / _VOXEL_MM] * 3 + [1.0])
    index_from_mni[:3, 3] = (side - 1) / 2 - seed.double().numpy() / _VOXEL_MM
    return LesionMask((level >= threshold).to(torch.uint8) * 255, index_from_mni)


def _seed(ellipsoids: tuple[Ellipsoid, ...], generator: torch.Generator) -> Tensor:
    """A point (3,) in one of the ellipsoids, mm."""
    centre, axes = (torch.tensor(v) for v in ellipsoids[int(torch.randint(len(ellipsoids), (), generator=generator))])
    way = torch.randn(3, generator=generator)
    point = centre + axes * way / way.norm().clamp(min=1e-3) * 0.7 * torch.rand((), generator=generator)
    return point.clamp(min=torch.tensor([3.0, -1e3, -1e3]))
