"""Infarcts in MNI space: real masks, or procedural ones by arterial territory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.synth.plan import N_TERRITORIES, InfarctPlan

# Centre (left, posterior, superior) in MNI mm, and half axes relative to a radius, of the usual territories.
TERRITORIES: tuple[tuple[str, tuple[float, float, float], tuple[float, float, float], float], ...] = (
    ("middle cerebral artery, trunk", (42, 10, 8), (0.9, 1.3, 1.0), 45),
    ("middle cerebral artery, superior branch", (45, -8, 28), (0.8, 1.1, 1.0), 28),
    ("middle cerebral artery, inferior branch", (52, 38, 8), (0.8, 1.2, 1.0), 28),
    ("lenticulostriate", (25, -2, 6), (0.7, 1.2, 1.0), 14),
    ("anterior cerebral artery", (8, -35, 30), (0.6, 1.5, 1.2), 22),
    ("posterior cerebral artery", (20, 80, 2), (0.9, 1.2, 0.9), 24),
    ("borderzone", (32, 25, 42), (0.5, 2.0, 0.7), 16),
    ("thalamus", (11, 20, 8), (0.8, 1.0, 0.9), 9),
    ("cerebellum", (25, 65, -36), (1.0, 1.0, 0.7), 22),
    ("brainstem", (5, 28, -34), (0.7, 0.8, 1.2), 8),
)
assert len(TERRITORIES) == N_TERRITORIES


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
    """A blob of one arterial territory on its left side: an ellipsoid with a ragged edge, 2 mm voxels."""
    _, centre, axes, largest = TERRITORIES[plan.territory]
    radius = min(plan.radius_mm, largest)
    spacing, reach = 2.0, radius * 2.2 + 8
    side = int(2 * reach / spacing)
    coordinates = (torch.arange(side) - (side - 1) / 2) * spacing
    z, y, x = torch.meshgrid(coordinates, coordinates, coordinates, indexing="ij")
    level = 1 - sum((c / (radius * a)) ** 2 for c, a in zip((x, y, z), axes, strict=True)).sqrt()  # type: ignore[union-attr]
    control = max(int(2 * reach / max(radius * 0.7, 6)), 2)
    noise = torch.randn((1, 1, control, control, control), generator=generator)
    level = level + 0.35 * F.interpolate(noise, size=(side,) * 3, mode="trilinear")[0, 0]
    inside = (level > 0) & (x + centre[0] > 1.0)
    index_from_mni = np.diag([1 / spacing, 1 / spacing, 1 / spacing, 1.0])
    index_from_mni[:3, 3] = (side - 1) / 2 - np.asarray(centre) / spacing
    return LesionMask(inside.to(torch.uint8) * 255, index_from_mni)
