"""Builds a head around a template brain: skull, face, neck, and CSF where the template is empty."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.virtual.blur import blur
from adn.virtual.soft_tissue import smooth_noise, spread
from adn.virtual.tissue_codes import Tissue

Point = tuple[float, float, float]

NECK_MM = 36  # added below the template
CLOSING_MM = 18  # bridges the Sylvian fissure and the gap between temporal lobes and cerebellum
SUBARACHNOID_MM, BONE_MM, SCALP_MM = 2, 6, 6
FACE_BELOW_MM = -22.0  # below this height the head's outline continues straight down

# Rods (code, start, end, radius) in MNI LPS mm, painted in this order on both sides, never over the brain
RODS: tuple[tuple[Tissue, Point, Point, float], ...] = (
    (Tissue.BONE, (62, 28, -44), (16, 6, -34), 9),  # petrous part
    (Tissue.AIR_CELLS, (54, 30, -52), (54, 34, -42), 7),  # mastoid
    (Tissue.BONE, (0, 0, -28), (0, 24, -58), 5),  # clivus
    (Tissue.AIR_CELLS, (0, -12, -36), (0, -18, -36), 9),  # sphenoid sinus
    (Tissue.AIR, (0, -24, -58), (0, -62, -56), 8),  # nose
    (Tissue.AIR, (26, -44, -66), (26, -50, -64), 12),  # maxillary sinus
    (Tissue.SCALP, (26, -38, -40), (32, -62, -40), 14),  # fat of the orbit
    (Tissue.SOFT, (14, -32, -40), (30, -54, -40), 3),  # optic nerve
    (Tissue.EYE, (32, -62, -40), (32, -62, -40), 12),
    (Tissue.BONE, (0, 44, -76), (0, 44, -120), 20),  # vertebrae
)
FORAMEN: tuple[Point, Point, float] = (0, 44, -54), (0, 44, -120), 13


def template_codes(
    grey: NDArray[np.float32], white: NDArray[np.float32], centre_mm: Point
) -> tuple[NDArray[np.uint8], Point]:
    """Tissue codes of a head from MNI grey and white matter probabilities, and the centre of the codes' array.

    grey, white: (D, H, W) SPL 1 mm, 0 to 1, about `centre_mm` (MNI, LPS mm).
    """
    gm, wm = (F.pad(torch.from_numpy(x).float(), (0, 0, 0, 0, NECK_MM, 0)) for x in (grey, white))
    left, posterior, superior = centre_mm
    centre_mm = left, posterior, superior - NECK_MM / 2
    mm = _positions(gm.shape, centre_mm)
    hull, bone, head, flesh = _shells(gm + wm > 0.5, mm[0])

    codes = torch.full(gm.shape, int(Tissue.AIR), dtype=torch.uint8)
    codes[head] = Tissue.SCALP
    codes[flesh] = Tissue.SOFT
    codes[bone] = Tissue.BONE
    codes[hull] = Tissue.CSF
    z, y, x = mm
    inner_table = bone & ~hull & (blur(hull.float()[None, None], (2.0,) * 3)[0, 0] > 0.08)
    codes[inner_table & (x.abs() < 4) & ((z > 20) | (y > 60)) & (z > 0)] = Tissue.SINUS  # superior sagittal
    around = blur((gm + wm)[None, None], (3.0,) * 3)[0, 0]
    for code, start, end, radius in RODS:
        # only bone may replace anything inside the skull, and only wide cisterns
        free = head & ~hull | (around < 0.3) & hull if code == Tissue.BONE else head & ~hull
        for side in (1, -1):
            box, rod = _rod(mm, (side * start[0], *start[1:]), (side * end[0], *end[1:]), radius)
            codes[box][rod & free[box]] = code
    box, canal = _rod(mm, *FORAMEN)
    codes[box][canal & ~hull[box]] = Tissue.SOFT
    return _paint_brain(codes, gm, wm, around, mm, hull).numpy(), centre_mm


def _paint_brain(codes: Tensor, gm: Tensor, wm: Tensor, around: Tensor, mm: list[Tensor], hull: Tensor) -> Tensor:
    """Paint grey matter, white matter and ventricles. around: gm + wm, blurred."""
    z, y, x = mm
    both = gm + wm
    # in an average brain sulci are shallow dips, so a voxel must exceed its surroundings to be brain;
    # by how much varies smoothly, so that sulci open and close along their course
    dip = around - 0.01 + 0.03 * smooth_noise(both.shape, 14.0, 3)
    parenchyma = both > torch.where((gm > wm) & (around > 0.6), dip.clamp(max=0.93), torch.tensor(0.5))
    parenchyma &= hull
    core = (x.abs() < 34) & (y > -24) & (y < 34) & (z > -12) & (z < 22)
    parenchyma |= core & (both > 0.6) & (x.abs() > 2)
    cleft = (x.abs() < 1.1) & (gm > wm) & (z > -5) & ~core & ((z > 10) | (y < -20) | (y > 80))
    parenchyma &= ~cleft
    codes[parenchyma & (gm >= wm)] = Tissue.GM
    codes[parenchyma & (gm >= wm) & core] = Tissue.DEEP_GM
    codes[parenchyma & (gm < wm)] = Tissue.WM
    codes[parenchyma & (x.abs() < 18) & (y > 8) & (y < 46) & (z < -8) & ((y < 36) | (z < -44))] = Tissue.STEM
    fluid = hull & (codes == Tissue.CSF)
    walls = blur((wm > gm).float()[None, None], (3.0,) * 3)[0, 0] > 0.2
    lateral = walls & (x.abs() < 38) & (y > -42) & (y < 80) & (z > -22) & (z < 32)
    third = (x.abs() < 5) & (y > -8) & (y < 30) & (z > -12) & (z < 10)
    fourth = (x.abs() < 12) & (y > 36) & (y < 56) & (z > -48) & (z < -20)
    codes[fluid & (lateral | third | fourth) & ~cleft] = Tissue.VENTRICLE
    return codes


def _positions(shape: torch.Size, centre_mm: Point) -> list[Tensor]:
    """z, y, x of voxels, LPS mm: (D, 1, 1), (1, H, 1) and (1, 1, W)."""
    z, y, x = (torch.arange(n) - (n - 1) / 2 + c for n, c in zip(shape, centre_mm[::-1], strict=True))
    return [z[:, None, None], y[:, None], x]


def _rod(mm: list[Tensor], start: Point, end: Point, radius: float) -> tuple[tuple[slice, ...], Tensor]:
    """A cylinder with round ends: its bounding box in the array, and its voxels in that box, bool."""
    a, b = (torch.tensor(p[::-1], dtype=torch.float32) for p in (start, end))
    way = b - a
    box = []
    for line, low, high in zip(mm, torch.minimum(a, b), torch.maximum(a, b), strict=True):
        first, last = torch.searchsorted(line.flatten(), torch.stack([low - radius, high + radius])).tolist()
        box.append(slice(first, last))
    mm = [p.narrow(-axis, s.start, s.stop - s.start) for p, s, axis in zip(mm, box, (3, 2, 1), strict=True)]
    along = sum((p - p0) * w for p, p0, w in zip(mm, a, way, strict=True)) / way.square().sum().clamp(min=1e-6)
    along = along.clamp(0, 1)  # type: ignore[union-attr]
    away = sum((p - p0 - along * w) ** 2 for p, p0, w in zip(mm, a, way, strict=True))
    return tuple(box), away < radius**2  # type: ignore[return-value,operator]


def _shells(brain: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What lies inside the inner table, the outer table, the skin and the fat under the skin; computed at 2 mm."""
    coarse = F.max_pool3d(brain.float()[None, None], 2, ceil_mode=True)
    height = F.avg_pool3d(z[None, None], (2, 1, 1), ceil_mode=True)
    hull = _grow(_shrink(_grow(coarse, CLOSING_MM // 2), CLOSING_MM // 2), SUBARACHNOID_MM // 2)
    hull = blur(hull, (2.0,) * 3) > 0.5
    bone = _grow(hull.float(), BONE_MM // 2)
    head = _grow(bone, SCALP_MM // 2)
    # below the face, continue the head's outline straight down
    level = int((height[0, 0, :, 0, 0] <= FACE_BELOW_MM).sum())
    head[:, :, :level] = head[:, :, level : level + 1]
    flesh = _shrink(head, SCALP_MM // 2)
    flesh = flesh * (height <= FACE_BELOW_MM + 10)
    return tuple(_fine(x, brain.shape) for x in (hull.float(), bone, head, flesh))  # type: ignore[return-value]


def _fine(x: Tensor, shape: torch.Size) -> Tensor:
    """From 2 mm to 1 mm, with a smooth surface."""
    fine = F.interpolate(blur(x, (0.8,) * 3), scale_factor=2, mode="trilinear")[0, 0]
    return fine[tuple(slice(n) for n in shape)] > 0.5


def _grow(x: Tensor, steps: int) -> Tensor:
    """Dilate a mask, (1, 1, D, H, W) of 0 and 1, by about a sphere of `steps` voxels, alternating crosses and cubes."""
    inside = x > 0
    for step in range(steps):
        before = inside
        for axis in (2, 3, 4):
            inside = spread(inside, axis) if step % 2 else inside | spread(before, axis)
    return inside.to(x.dtype)


def _shrink(x: Tensor, steps: int) -> Tensor:
    return 1 - _grow(1 - x, steps)
