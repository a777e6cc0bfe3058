"""Infarcts in MNI space: real masks, or procedural ones by arterial territory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.virtual.plan import InfarctPlan

Ellipsoid = tuple[tuple[float, float, float], tuple[float, float, float]]  # centre and half axes, (x, y, z) mm
# Arterial territories of the left side as ellipsoids in MNI LPS mm (x to the left, y to the back, z up), after
# the usual maps (Tatu et al. 2012); a point belongs where it lies deepest.
REGIONS: dict[str, tuple[Ellipsoid, ...]] = {
    "middle cerebral artery, superior branch": (((46, -22, 22), (22, 36, 34)), ((44, 16, 40), (22, 30, 26))),
    "middle cerebral artery, inferior branch": (((54, 8, -14), (20, 44, 20)), ((50, 46, 18), (22, 28, 28))),
    "lenticulostriate": (((24, -4, 6), (13, 24, 17)),),
    "anterior cerebral artery": (((8, -42, 24), (14, 34, 44)), ((8, 12, 52), (13, 40, 26))),
    "posterior cerebral artery": (((16, 76, 4), (18, 32, 26)), ((26, 34, -16), (15, 26, 9))),
    "thalamus": (((11, 18, 8), (10, 15, 11)),),
    "cerebellum": (((26, 64, -36), (28, 32, 24)),),
    "brainstem": (((4, 26, -32), (12, 15, 26)),),
}
_TRUNK = "middle cerebral artery, trunk"
_SPREAD: dict[str, tuple[Ellipsoid, ...]] = {
    **REGIONS,
    _TRUNK: tuple(e for name, es in REGIONS.items() if name.startswith("middle") or name[0] == "l" for e in es),
    "borderzone": (((26, -34, 40), (7, 26, 16)), ((30, 44, 38), (9, 26, 18)), ((26, 4, 34), (5, 30, 8))),
    "lacunar": (((24, -4, 8), (13, 26, 20)), ((11, 18, 8), (10, 14, 10)), ((4, 26, -30), (8, 8, 12))),
}
BRAIN: Ellipsoid = ((0, 17, 10), (68, 87, 68))
_VOXEL_MM = 2.0


def depth(points: Tensor, ellipsoids: tuple[Ellipsoid, ...]) -> Tensor:
    """How deep points (3, ...) lie in the nearest of some ellipsoids: 1 at a centre, 0 at a surface, less outside."""
    levels = []
    for centre, axes in ellipsoids:
        shape = (3, *[1] * (points.dim() - 1))
        c, a = (torch.tensor(v, dtype=points.dtype).view(shape) for v in (centre, axes))
        # .norm(dim=0) takes ten times as long
        levels.append(1 - ((points - c) / a).square().sum(0).sqrt())
    return torch.stack(levels).amax(0)


@dataclass(frozen=True, eq=False)
class LesionMask:
    """A mask in MNI space. data: (D, H, W) uint8, 0 or 255 (or a soft edge), SPL. index_from_mni: 4 × 4 from LPS mm
    to (W, H, D) array index."""

    data: Tensor
    index_from_mni: NDArray[np.float64]


def crop_mask(data: NDArray[np.bool_], index_from_mni: NDArray[np.float64], margin: int = 12) -> LesionMask:
    """Keep the mask's bounding box and a margin for soft edges. data: (D, H, W) SPL, at least one voxel True."""
    where = np.argwhere(data)
    low = where.min(0)
    high = where.max(0) + 1
    box = np.pad(data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], margin)
    shift = np.eye(4)
    shift[:3, 3] = -(low - margin)[::-1]
    return LesionMask(torch.from_numpy(box.astype(np.uint8) * 255), shift @ index_from_mni)


def procedural_mask(plan: InfarctPlan, generator: torch.Generator) -> LesionMask:
    """An infarct of `plan.volume_ml` in `plan.territory` of the left side, 2 mm voxels.

    It grows from a point of the territory, ragged, and hardly leaves the territory, the hemisphere or the brain.
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
