"""An affine from the aligned brain to MNI space, in a fraction of a second: brain outline and fluid, at 8 mm."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from importlib import resources

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.findings.quality import cut_ends
from adn.prepare.coarse import block_mean
from adn.space.affine import Affine
from adn.space.geometry import bounding_box
from adn.space.volume import Volume

_COARSE_MM = 6.0
_WHOLE_MM, _WITH_VERTEX_MM = 95.0, 50.0  # heights of brain; the second where the vertex is in sight
_TEMPLATE_HU = 40.0  # what 1 stands for in the template's second map
_BRAIN_HU = 31.0  # the template's mean over grey and white matter
_START_PITCH_DEG = (0.0, 14.0)  # slices along the orbitomeatal line or parallel to it are nodded against MNI's
_PITCH = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
_STEPS = 12
_NEAR = 5  # voxels of 8 mm across: points within two of the brain tell where it ends, those farther off do not matter
_SKETCH = 4  # of so many points one is enough to choose the start, and to come near
# Adults differ by so much: penalties that matter only where a scan shows half a brain. Pitch in rad, shifts in mm.
_SPREAD = np.array([0.08, 0.08, 0.08, 0.25, 40.0, 40.0])
_FLUID_WEIGHT = 1.0  # weight of the density map relative to the outline


@lru_cache(maxsize=1)
def _template() -> tuple[Tensor, NDArray[np.float64]]:
    """Brain outline and density (2, D, H, W), and where their voxels lie, (D · H · W, 3) MNI LPS mm."""
    with (resources.files("adn.findings.territory") / "mni_brain.npz").open("rb") as file:
        stored = np.load(file)
        maps, spacing, centre = stored["maps"], float(stored["spacing_mm"]), stored["centre_mm"]
    z, y, x = ((np.arange(n) - (n - 1) / 2) * spacing for n in maps.shape[1:])
    points = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], -1).reshape(-1, 3) + centre
    smooth = F.avg_pool3d(torch.from_numpy(maps.astype(np.float32) / 255)[None], 3, 1, 1)[0]
    return smooth, points


def can_register(brain: Volume) -> bool:
    """Whether a scan shows enough of the brain to find its place in MNI space.

    brain: mask, SPL. The vertex fixes the height: without it, or on a low part, the place found was up to 150 mm off
    (benchmarks/quality/territory_parts.py).
    """
    used = np.flatnonzero((brain.data > 0).any(axis=(1, 2)))
    height_mm = len(used) * brain.grid.spacing_mm[0]
    return height_mm >= _WHOLE_MM or (height_mm >= _WITH_VERTEX_MM and not cut_ends(brain)[1])


def mni_from_aligned(scan: Volume, brain: Volume, aligned_from_scan: NDArray[np.float64]) -> NDArray[np.float64]:
    """4 × 4: LPS mm in the aligned frame (mid-sagittal plane at x = 0) → MNI, LPS mm.

    scan: HU, SPL. brain: mask, same grid, not empty. aligned_from_scan: array index → LPS mm in the aligned frame.
    Free are size along three axes, nodding and two shifts; left and right are the alignment's. Least squares of outline
    and density over the slices that were scanned. Approximate: several mm (docs/answers.md).
    """
    whole, points = _template()
    around = F.max_pool3d(whole[:1], _NEAR, 1, _NEAR // 2).flatten() > 0.5
    template, points = whole.flatten(1)[:, around], points[around.numpy()]
    maps, index_from_aligned = _coarse(scan, brain, aligned_from_scan)
    slices = maps.shape[1]
    inside = np.argwhere(maps[0].numpy() > 0.5)
    top = Affine(index_from_aligned).inverse().apply(inside)
    hull = points[template[0].numpy() > 0.5]
    middle = hull.mean(0)

    def matrix(values: NDArray) -> NDArray[np.float64]:
        """aligned ← MNI."""
        scale, (pitch, y, z) = np.exp(values[:3]), values[3:]
        c, s = np.cos(pitch), np.sin(pitch)
        result = np.eye(4)
        result[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * scale
        result[:3, 3] = np.array([0.0, y, z]) - result[:3, :3] @ np.array([0.0, *middle[1:]])
        return result

    start_y = (top[:, 1].min() + top[:, 1].max()) / 2 - (hull[:, 1].min() + hull[:, 1].max()) / 2 + middle[1]
    start_z = top[:, 2].max() - hull[:, 2].max() + middle[2]

    centre = np.array([0.0, 0.0, 0.0, 0.0, start_y, start_z])

    def residuals(values: NDArray, every: int = 1) -> NDArray[np.float64]:
        index = Affine(index_from_aligned @ matrix(values)).apply(points[::every])
        read = _sample(maps, index)
        seen = np.clip(np.minimum(index[:, 0] + 1.0, slices - index[:, 0]), 0.0, 1.0)
        difference = (read - template[:, ::every]).double().numpy() * seen
        difference[1] *= _FLUID_WEIGHT
        away = (values - centre) / _SPREAD
        return np.concatenate([difference.ravel() * np.sqrt(every / len(hull)), 0.02 * away])

    sketch = partial(residuals, every=_SKETCH)
    starts = [_least_squares(sketch, centre + np.deg2rad(degrees) * _PITCH) for degrees in _START_PITCH_DEG]
    near, _ = min(starts, key=lambda found: found[1])
    values, _ = _least_squares(residuals, near)
    return np.asarray(np.linalg.inv(matrix(values)), np.float64)


def _coarse(scan: Volume, brain: Volume, aligned_from_scan: NDArray) -> tuple[Tensor, NDArray[np.float64]]:
    """Outline and density (2, D, H, W) on coarse voxels of the scan, and LPS mm in the aligned frame → their index."""
    inside = brain.data > 0
    box = (slice(None), *bounding_box(inside)[1:])
    mask, hu = inside[box].astype(np.float32), scan.data[box]
    factors = [max(1, round(_COARSE_MM / step)) for step in scan.grid.spacing_mm]
    value = np.clip(hu, 0.0, 60.0).astype(np.float32) * mask
    level = float(np.median(hu[mask > 0]))
    value *= (_BRAIN_HU / _TEMPLATE_HU) / min(max(level, 20.0), 60.0)
    pooled = [block_mean(x, (factors[0], factors[1], factors[2])) for x in (mask, value)]
    pad = [(0, 0), (2, 2), (2, 2)]
    maps = torch.from_numpy(np.stack([np.pad(x, pad) for x in pooled]))
    scan_from_index = np.diag([*map(float, factors), 1.0])
    offset = [0.0, box[1].start - 2 * factors[1], box[2].start - 2 * factors[2]]
    scan_from_index[:3, 3] = [o + (f - 1) / 2 for o, f in zip(offset, factors, strict=True)]
    smooth = F.avg_pool3d(F.pad(maps[None], (1,) * 4 + (0, 0)), (1, 3, 3), 1)[0]
    return smooth, np.linalg.inv(aligned_from_scan @ scan_from_index)


def _sample(maps: Tensor, index: NDArray) -> Tensor:
    """Maps (2, D, H, W) at indices (N, 3), linear; 0 outside, the end slices go on."""
    shape = np.array(maps.shape[1:])
    place = index.copy()
    place[:, 0] = place[:, 0].clip(0, shape[0] - 1)
    normal = ((2 * place + 1) / shape - 1)[:, ::-1]
    grid = torch.from_numpy(np.ascontiguousarray(normal, np.float32))[None, None, None]
    return F.grid_sample(maps[None], grid, align_corners=False)[0, :, 0, 0]


def _least_squares(
    residuals: Callable[[NDArray], NDArray], start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Levenberg-Marquardt with differences; few parameters, so a step costs a few samplings."""
    step = np.array([0.01, 0.01, 0.01, 0.01, 1.0, 1.0])
    values, damping = start.copy(), 1e-3
    now = residuals(values)
    cost = float(now @ now)
    for _ in range(_STEPS):
        columns = [(residuals(values + h) - now) / h.sum() for h in np.diag(step)]
        slope = np.stack(columns, 1)
        curvature, pull = slope.T @ slope, slope.T @ now
        for _ in range(4):
            change = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), -pull)
            after = residuals(values + change)
            if after @ after < cost:
                break
            damping *= 8
        else:
            break
        gain = cost - float(after @ after)
        values, now, cost, damping = values + change, after, float(after @ after), damping / 4
        if gain < 1e-5 * cost:
            break
    return values, cost
