"""The scanner: from finely sampled HU to CT slices with blur, shading, noise, streaks, metal and headrest."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.virtual.blur import blur
from adn.virtual.lattice import Lattice
from adn.virtual.plan import MetalPlan, PatientPlan, stream
from adn.virtual.tissue_codes import AIR_HU

METAL_HU = 3000.0
HEADREST_MM, HEADREST_LIFT_MM = 116.0, 5.0  # radius of the cradle, and how far its centre lies in front of the head's
_RAYS = (2, 3, 4, 5, 7, 9, 13)  # lobes per turn of metal's streaks


def take_scan(
    plan: PatientPlan, fine_hu: Tensor, lattice: Lattice, mni_from_aligned: NDArray[np.float64]
) -> tuple[Tensor, Tensor]:
    """Slices (S, H, W) in HU without noise, and their centres (S,) in mm along D, about the lattice's centre.

    fine_hu: (D · f, H, W), f samples per voxel along D, of a lattice tilted like the gantry.
    """
    centres, thickness = _slices(plan, lattice)
    profile = _profile(centres, thickness, fine_hu.shape[0], lattice).to(fine_hu.device)
    slices = torch.tensordot(profile, fine_hu, 1)
    spacing = (thickness, *lattice.spacing_mm[1:])
    slices = _point_spread(plan, slices, spacing)
    slices += _shading(plan, slices.shape, spacing, fine_hu.device)
    if plan.scanner.headrest:
        slices = _headrest(plan, slices, centres, lattice)
    for number, metal in enumerate(plan.metal):
        aligned = np.linalg.solve(mni_from_aligned, [*metal.centre_mm, 1.0])
        place = np.linalg.solve(lattice.axes, (np.linalg.inv(lattice.pose.matrix) @ aligned)[:3])
        phase = torch.rand((number + 1, len(_RAYS)), generator=stream(plan, 3))[-1] * 2 * math.pi
        slices = _metal(metal, place.astype(np.float64), phase, slices, centres, spacing)
    return slices, centres


def scan_noise(plan: PatientPlan, slices: Tensor, lattice: Lattice) -> Tensor:
    """Noise and streaks (S, H, W), HU, for the slices of `take_scan` on this lattice."""
    centres, thickness = _slices(plan, lattice)
    m = lattice.pose.matrix
    height_mm = centres * float(m[2, 2]) + float(m[2, 3])
    return _noise(plan, slices, (thickness, *lattice.spacing_mm[1:]), height_mm)


def slice_positions(lattice: Lattice, slope: float) -> Tensor:
    """Positions of the lattice's rows across slices, mm along D, (H, D). slope: of the slices of a tilted gantry."""
    depth, height, _ = lattice.shape
    z = (torch.arange(depth) + 0.5 - depth / 2) * lattice.spacing_mm[0]
    y = (torch.arange(height) + 0.5 - height / 2) * lattice.spacing_mm[1]
    return z[None] - slope * y[:, None]


def between_slices(slices: Tensor, centres: Tensor, positions: Tensor) -> Tensor:
    """Interpolate (…, S, H, W) linearly to positions (H, D), giving (…, D, H, W). centres: evenly spaced."""
    step = float(centres[1] - centres[0]) if len(centres) > 1 else 1.0
    weights = (1 - (positions[:, :, None] - centres).abs() / step).clamp(min=0)
    weights = (weights / weights.sum(2, keepdim=True).clamp(min=1e-6)).to(slices.device)
    if (positions == positions[:1]).all():
        return torch.einsum("ds,...shw->...dhw", weights[0], slices)
    return torch.einsum("hds,...shw->...dhw", weights, slices)


def in_field(plan: PatientPlan, lattice: Lattice, positions: Tensor) -> Tensor:
    """Which rows (D, H, 1) of a model lattice the scanned range covers."""
    height = positions.T + float(lattice.pose.matrix[2, 3])
    return ((height > -plan.scanner.below_mm) & (height < plan.scanner.above_mm))[..., None]


def _slices(plan: PatientPlan, lattice: Lattice) -> tuple[Tensor, float]:
    """Centres (S,) of the scan's slices over the lattice's depth, mm about its centre, and their thickness."""
    depth, step = lattice.shape[0], lattice.spacing_mm[0]
    if lattice.native:
        return (torch.arange(depth) + 0.5 - depth / 2) * step, min(plan.scanner.slice_mm, step)
    spacing = plan.scanner.step_mm
    count = int(depth * step / spacing) + 3
    return (torch.arange(count) + plan.scanner.phase - 1) * spacing - depth * step / 2, plan.scanner.slice_mm


def _profile(centres: Tensor, thickness: float, n: int, lattice: Lattice) -> Tensor:
    """The share of each fine sample in each slice, (S, n)."""
    fine = lattice.shape[0] * lattice.spacing_mm[0] / n
    sample = (torch.arange(n) + 0.5 - n / 2) * fine
    upper = torch.minimum(sample[None] + fine / 2, centres[:, None] + thickness / 2)
    lower = torch.maximum(sample[None] - fine / 2, centres[:, None] - thickness / 2)
    share = (upper - lower).clamp(min=0)
    empty = share.sum(1) == 0
    share[empty, (centres[empty, None] - sample[None]).abs().argmin(1)] = 1.0
    return share / share.sum(1, keepdim=True)


def _point_spread(plan: PatientPlan, slices: Tensor, spacing: tuple[float, float, float]) -> Tensor:
    """Blur in plane, then edge enhancement of a sharp kernel, each only if pixels are small enough to show it."""
    sigma = (0.0, plan.scanner.blur_mm / spacing[1], plan.scanner.blur_mm / spacing[2])
    if sigma[1] > 0.25:
        slices = blur((slices - AIR_HU)[None, None], sigma)[0, 0] + AIR_HU
    halo = (0.0, 0.9 / spacing[1], 0.9 / spacing[2])
    if plan.scanner.sharpen > 0 and halo[1] > 0.5:
        soft = slices.clamp(-150, 250)  # otherwise bone would dominate
        slices = slices + plan.scanner.sharpen * (soft - blur(soft[None, None] + 150, halo)[0, 0] + 150)
    return slices


def _shading(plan: PatientPlan, shape: torch.Size, spacing: tuple[float, float, float], device: torch.device) -> Tensor:
    """Cupping (brighter near the skull) and a left-right ramp, HU, (1, H, W)."""
    y = (torch.arange(shape[1], device=device) - (shape[1] - 1) / 2) * spacing[1] / 90
    x = (torch.arange(shape[2], device=device) - (shape[2] - 1) / 2) * spacing[2] / 75
    radius2 = (y[:, None] ** 2 + x[None] ** 2).clamp(max=1.5)
    return (plan.scanner.cupping_hu * radius2 + plan.scanner.ramp_hu * x[None])[None]


def _noise(plan: PatientPlan, slices: Tensor, spacing: tuple[float, float, float], height_mm: Tensor) -> Tensor:
    """Correlated noise per slice, stronger where the head is large and dense, and streaks.

    spacing: slice thickness and pixel size, mm. σ falls with pixel size like the mean of correlated noise. height_mm:
    (S,), of slices above the brain's centre.
    """
    generator = stream(plan, 2, slices.device)
    scanner, device = plan.scanner, slices.device
    white = torch.randn(slices.shape, generator=generator, device=device)
    bands_shape = (slices.shape[0], 1, max(slices.shape[1] // 4, 2), 3)
    bands = torch.randn(bands_shape, generator=generator, device=device)
    grain = scanner.grain_mm / 2
    sigma = (0.0, grain / spacing[1], grain / spacing[2])
    shaped = blur(white[None, None], tuple(s if s > 0.3 else 0.0 for s in sigma))[0, 0]
    shaped = shaped / shaped.std().clamp(min=1e-6)
    coarse = math.sqrt(scanner.grain_mm**2 / (scanner.grain_mm**2 + spacing[1] * spacing[2]))
    fine = math.sqrt(scanner.grain_mm**2 / (scanner.grain_mm**2 + 0.45**2))
    thin = math.sqrt(5.0 / spacing[0])
    amount = scanner.noise_hu * coarse / fine * min(thin, 1.6)
    # fewer photons pass through a larger slice, measured by its water-equivalent diameter, mm
    area_mm2 = spacing[1] * spacing[2]
    water = (slices.clamp(-1000, 1500) + 1000).sum((1, 2)) * (area_mm2 / 1000)
    dim = torch.exp(0.005 * (2 * (water / math.pi).sqrt() - 165)).clamp(0.6, 1.6)
    # streaks run left to right between the dense bones of the skull base, near the middle
    y, x = _plane_mm(slices, spacing)
    dense = ((slices > 300) & (x.abs() < 45) & (y.abs() < 60)).sum((1, 2)) * (area_mm2 / 1500)
    streak = F.interpolate(bands, size=slices.shape[1:], mode="bilinear", align_corners=True)[:, 0]
    base = ((-height_mm.to(device) - 5) / 20).clamp(0, 1)  # not at the vertex, which is as dense, but round
    low = (dense.clamp(max=1.0) ** 2 * base * scanner.streak_hu)[:, None, None]
    return shaped * amount * dim[:, None, None] + streak * low


def _plane_mm(slices: Tensor, spacing: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
    """y (H, 1) and x (1, W) of pixels, mm from the lattice's centre."""
    _, height, width = slices.shape
    y = (torch.arange(height, device=slices.device) - (height - 1) / 2) * spacing[1]
    x = (torch.arange(width, device=slices.device) - (width - 1) / 2) * spacing[2]
    return y[:, None], x[None]


def _headrest(plan: PatientPlan, slices: Tensor, centres: Tensor, lattice: Lattice) -> Tensor:
    """A thin cradle with foam behind the head; it stays upright in the scanner when the head is rotated."""
    to_scanner = plan.pose.matrix @ lattice.pose.matrix
    m = torch.tensor(to_scanner[:3, :3] @ lattice.axes, dtype=torch.float32, device=slices.device)
    start = torch.tensor(to_scanner[:3, 3] - np.array(plan.translation_mm), dtype=torch.float32, device=slices.device)
    y, x = _plane_mm(slices, lattice.spacing_mm)
    z = centres.to(slices.device)[:, None, None]
    side, back, up = (start[i] + m[i, 0] * x + m[i, 1] * y + m[i, 2] * z for i in range(3))
    radius = torch.hypot(side, back + HEADREST_LIFT_MM)
    behind = (back + HEADREST_LIFT_MM > 0.45 * radius) & (up < 55)
    free = (slices < -600) & behind
    shell = ((2.0 - (radius - HEADREST_MM).abs()) / lattice.spacing_mm[1] + 0.5).clamp(0, 1)
    filled = torch.where(radius < HEADREST_MM, -940.0, slices) + 900.0 * shell
    return torch.where(free, filled, slices)


def _metal(
    metal: MetalPlan,
    place_mm: NDArray[np.float64],
    phase: Tensor,
    slices: Tensor,
    centres: Tensor,
    spacing: tuple[float, float, float],
) -> Tensor:
    """A ball of metal, with dark and bright streaks that fan out in the slices it touches.

    place_mm: x, y, z along the lattice's axes. spacing: slice thickness and pixel size, mm.
    """
    y, x = _plane_mm(slices, spacing)
    dy, dx = y - float(place_mm[1]), x - float(place_mm[0])
    radius, angle = torch.hypot(dy, dx), torch.atan2(dy, dx)
    rays = sum(torch.cos(n * angle + float(p)) for n, p in zip(_RAYS, phase, strict=True)) / math.sqrt(len(_RAYS) / 2)
    pattern = metal.streak_hu * rays * (12.0 / (radius + 12.0))
    away = (centres - float(place_mm[2])).abs()
    share = ((metal.radius_mm + spacing[0] / 2 - away) / min(spacing[0], 2 * metal.radius_mm)).clamp(0, 1)
    share = share.to(slices.device)[:, None, None]
    ball = ((metal.radius_mm - radius) / spacing[1] + 0.5).clamp(0, 1)
    body = slices + (METAL_HU - slices) * ball * share
    return torch.where(slices > -900, body + pattern * share, body)
