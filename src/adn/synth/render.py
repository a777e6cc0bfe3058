"""Rendering a virtual patient on any grid: anatomy, disease, scanner, in that order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.geometry import RigidTransform
from adn.synth.anatomy import Head, blur
from adn.synth.lesions import LesionMask
from adn.synth.plan import InfarctPlan, PatientPlan
from adn.synth.tissues import BRAIN_CODES, FLUID, GREY, Tissue

FINEST_MM = 1.25  # anatomy is sampled at least this finely in plane
FINEST_SLICE_MM = 2.5
SLAB_SAMPLES = 65536  # worked on at a time
FIELD_MM = 125.0  # random fields are defined on a cube of ± this about the head
LesionSource = Callable[[InfarctPlan, torch.Generator], LesionMask]


@dataclass(frozen=True)
class Lattice:
    """Where to render: (D, H, W) voxels of spacing_mm, about the frame's origin; voxel p reads patient(pose · p).

    native: the lattice is the scanner's own (its slices are the scan's slices); else the scan's slices are simulated
    and interpolated, as resampling a scan onto a model grid does. shear: posterior → superior, of a tilted gantry.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    pose: RigidTransform
    native: bool = False
    shear: float = 0.0


@dataclass(frozen=True, eq=False)
class VirtualPatient:
    """Each (D, H, W) on the lattice. ct: HU. infarct, brain: bool. tissue: uint8, 1 GM, 2 WM, 3 CSF, 0 elsewhere."""

    ct: Tensor
    infarct: Tensor
    tissue: Tensor
    brain: Tensor


def _generator(plan: PatientPlan, stream: int) -> torch.Generator:
    """Independent streams of one patient: fields, lesions, noise. Always on the CPU, so every device agrees."""
    return torch.Generator().manual_seed(plan.noise_seed * 8 + stream)


def random_field(generator: torch.Generator, channels: int, scale_mm: float) -> Tensor:
    """Smooth noise of unit variance on the field cube, (1, channels, n, n, n)."""
    n = max(int(2 * FIELD_MM / scale_mm), 3)
    return torch.randn((1, channels, n, n, n), generator=generator)


class _Samples:
    """A lattice's sample points, `factor` per voxel and axis, and smooth values there.

    Whatever is smooth is computed on a coarse lattice over the same extent and interpolated, one small matrix per axis.
    In plane, sample number comes before voxel number, (fy, H, fx, W), so that a voxel's mean adds up whole rows.
    """

    def __init__(self, lattice: Lattice, factor: tuple[int, int, int], stride: int = 6) -> None:
        nodes, self.weights = [], []
        for n, f, step in zip(lattice.shape, factor, lattice.spacing_mm, strict=True):
            position = (torch.arange(n * f, dtype=torch.float32) + 0.5) * (step / f) - n * step / 2
            count = max(math.ceil((n * f - 1) / stride), 1) + 1
            nodes.append(torch.linspace(float(position[0]), float(position[-1]), count))
            place = torch.arange(n * f, dtype=torch.float32) * ((count - 1) / max(n * f - 1, 1))
            self.weights.append((1 - (place[:, None] - torch.arange(count)).abs()).clamp(min=0))
        for axis in (1, 2):
            by_sample = self.weights[axis].unflatten(0, (lattice.shape[axis], factor[axis]))
            self.weights[axis] = by_sample.transpose(0, 1).flatten(0, 1).contiguous()
        m = torch.tensor(lattice.pose.matrix, dtype=torch.float32)
        superior = m[:3, 1] + m[:3, 2] * lattice.shear
        z, y, x = (axis[..., None] for axis in nodes)
        self.coarse_mm = m[:3, 3] + (z * m[:3, 2])[:, None, None] + (y * superior)[:, None] + x * m[:3, 0]
        self.rows = (factor[1], lattice.shape[1], factor[2], lattice.shape[2])

    def smooth(self, coarse: Tensor, slices: slice) -> Tensor:
        """Coarse values (C, d, h, w) → (C, samples) of some slices."""
        z, y, x = self.weights
        planes = torch.einsum("sd,cdhw->cshw", z[slices], coarse)
        return (y @ planes @ x.T).flatten(1)

    def voxel_sums(self, values: Tensor) -> Tensor:
        """Sums (slices, H, W) over the samples of each voxel in plane."""
        parts = values.view(-1, *self.rows)
        return sum(parts[:, i, :, j] for i in range(self.rows[0]) for j in range(self.rows[2]))  # type: ignore[return-value]


def _read_field(field: Tensor, positions: Tensor) -> Tensor:
    """Values (C, d, h, w) of a field at positions in mm."""
    return F.grid_sample(field, positions[None] / FIELD_MM, padding_mode="border", align_corners=True)[0]


def _apply(matrix: NDArray, points: Tensor) -> Tensor:
    """A 4 × 4 on points (3, n)."""
    m = torch.tensor(matrix, dtype=torch.float32)
    return torch.addmm(m[:3, 3:], m[:3, :3], points)


def _lesions(plan: PatientPlan, source: LesionSource) -> list[tuple[InfarctPlan, LesionMask, Tensor]]:
    generator = _generator(plan, 1)
    found = []
    for infarct in plan.infarcts:
        mask = source(infarct, generator)
        step = 1 / float(np.abs(mask.index_from_mni[:3, :3]).max())
        soft = blur(mask.data.float()[None, None] / 255, (infarct.edge_mm / step,) * 3)
        found.append((infarct, mask, soft))
    return found


def render(
    plan: PatientPlan,
    head: Head,
    lattice: Lattice,
    lesion_source: LesionSource,
    device: torch.device | str = "cpu",
) -> VirtualPatient:
    """Render a plan. The same plan gives the same patient on every lattice, but for noise, which is the lattice's own.

    lesion_source: gives an infarct's mask in MNI space. Anatomy is worked out on the CPU, a few slices at a time so
    that temporaries stay in the cache; the scanner works on `device`.
    """
    d, h, w = lattice.spacing_mm
    factor = (
        min(max(math.ceil(d / FINEST_SLICE_MM), 1), 4),
        min(max(math.ceil(h / FINEST_MM - 0.01), 1), 3),
        min(max(math.ceil(w / FINEST_MM - 0.01), 1), 3),
    )
    samples, lesions = _Samples(lattice, factor), _lesions(plan, lesion_source)
    coarse, index_from_aligned = _coarse_values(plan, head, samples.coarse_mm)
    mni_from_index = head.mni_from_aligned @ np.linalg.inv(index_from_aligned)
    shape = (lattice.shape[0] * factor[0], *lattice.shape[1:])
    hu, counts, base_hu = torch.empty(shape), torch.empty(shape, dtype=torch.int32), _base_hu(plan)
    step = max(SLAB_SAMPLES // (math.prod(shape[1:]) * factor[1] * factor[2]), 1)
    for first in range(0, shape[0], step):
        slab = slice(first, first + step)
        fine_hu, fine_counts = _anatomy(plan, head, samples.smooth(coarse, slab), lesions, mni_from_index, base_hu)
        hu[slab] = samples.voxel_sums(fine_hu) / (factor[1] * factor[2])
        counts[slab] = samples.voxel_sums(fine_counts)
    ct = _scan(plan, hu.to(device), lattice, factor[0])
    return VirtualPatient(ct, *_truth(counts.to(device), factor))


def _coarse_values(plan: PatientPlan, head: Head, coarse_mm: Tensor) -> tuple[Tensor, NDArray[np.float64]]:
    """What is smooth, (9, d, h, w), and the head's array index from its aligned frame.

    Channels: index x, y, z; random fields for sulci, ventricles, leukoaraiosis, mottle, infarct density; lateral mm.
    """
    generator = _generator(plan, 0)
    displacement, scalars = random_field(generator, 3, 45.0), random_field(generator, 5, 35.0)
    wobble = _read_field(displacement, coarse_mm) * plan.warp_mm
    lateral = coarse_mm[..., 0]
    # the mid-sagittal plane stays a plane: x moves less the nearer it is
    wobble[0] *= (lateral.abs() / 25).clamp(max=1.0)
    # torque: right frontal and left occipital poles reach further
    wobble[1] += plan.torque_mm * torch.tanh(lateral / 40) * 0.5
    canonical = (coarse_mm / torch.tensor(plan.scale)).movedim(-1, 0) + wobble
    index_from_aligned = head.head_from_aligned.copy()
    index_from_aligned[:3, 3] += (np.array(head.codes.shape[::-1]) - 1) / 2
    index = _apply(index_from_aligned, canonical.flatten(1)).view_as(canonical)
    return torch.cat([index, _read_field(scalars, coarse_mm), lateral[None]]), index_from_aligned


def _anatomy(
    plan: PatientPlan,
    head: Head,
    values: Tensor,
    lesions: list,
    mni_from_index: NDArray[np.float64],
    base_hu: Tensor,
) -> tuple[Tensor, Tensor]:
    """HU and class counts (see `_COUNTS`) of samples. values: (9, n) as in `_coarse_values`. base_hu: by code."""
    flat = _flat_index(values[:3], head.codes.shape)
    codes = head.codes.view(-1).index_select(0, flat)
    hu = base_hu.index_select(0, codes.int())
    counts = torch.zeros(hu.shape, dtype=torch.int32)
    brain = ((codes >= int(Tissue.GM)) & (codes <= int(Tissue.CHOROID))).nonzero()[:, 0]
    if not len(brain):
        return hu, counts
    # from here on only samples of the brain
    codes, flat, values = codes[brain], flat[brain], values.index_select(1, brain)
    near_ventricle = head.near_ventricle.view(-1).index_select(0, flat).float() / 255
    near_csf = head.near_csf.view(-1).index_select(0, flat).float() / 255
    sulci_noise, ventricle_noise, leuko_noise, mottle, density = values[3:8]
    left = torch.sigmoid(values[8] / 4)
    open_ventricles = _by_side(plan.atrophy_ventricles, left, ventricle_noise)
    codes[(near_ventricle > 0.52 - 0.42 * open_ventricles) & (codes <= int(Tissue.WM))] = int(Tissue.VENTRICLE)
    open_sulci = _by_side(plan.atrophy_sulci, left, sulci_noise)
    codes[(near_csf > 0.60 - 0.30 * open_sulci) & (codes == int(Tissue.GM))] = int(Tissue.CSF)

    brain_hu = base_hu.index_select(0, codes.int())
    brain_hu += (codes <= int(Tissue.STEM)) * mottle * plan.mottle_hu
    if plan.leukoaraiosis > 0:
        patchy = torch.sigmoid(4 * (near_ventricle * 3 + 0.5 * leuko_noise - 0.9))
        brain_hu -= (codes == int(Tissue.WM)) * patchy * (plan.leukoaraiosis * 7.0)
    infarcted = torch.zeros(codes.shape, dtype=torch.bool)
    for infarct, mask, soft in lesions:
        flip = np.diag([-1.0 if infarct.left_right_flip else 1.0, 1.0, 1.0, 1.0])
        near, extent = _read_lesion(soft, mask.index_from_mni @ flip @ mni_from_index, values[:3])
        brain_hu[near] = _infarct_hu(plan, infarct, brain_hu[near], extent, codes[near], density[near])
        if infarct.acute:
            infarcted[near] |= (extent > 0.5) & (codes[near] != int(Tissue.VENTRICLE))
    for spot in plan.bright:
        place = np.diag([*(1 / np.array(spot.half_axes_mm)), 1.0])
        place[:3, 3] = -np.array(spot.centre_mm) / spot.half_axes_mm
        radius = _apply(place @ mni_from_index, values[:3]).norm(dim=0)
        brain_hu[radius < 1 + 0.15 * density] = spot.hu
    hu[brain] = brain_hu
    counts[brain] = _COUNTS.index_select(0, codes.int()) + infarcted.int() * _INFARCT
    return hu, counts


def _flat_index(index_xyz: Tensor, shape: torch.Size) -> Tensor:
    """Nearest voxel (n) in a flattened (D, H, W) volume; outside points to the border, which is air."""
    limits = torch.tensor(shape[::-1])[:, None] - 1.0
    x, y, z = torch.minimum(index_xyz.clamp(min=0), limits).round_().int()
    return (z * shape[1] + y) * shape[2] + x


def _by_side(pair: tuple[float, float], left: Tensor, noise: Tensor) -> Tensor:
    """Atrophy (left, right) where samples lie, made patchy, 0 to 1."""
    return ((pair[1] + (pair[0] - pair[1]) * left) * (1 + 0.3 * noise)).clamp_(0, 1)


# grey, other parenchyma, CSF, brain, infarct are counted in 6 bits each of one integer: at most 4 · 3 · 3 per voxel
_CLASSES = (GREY, (Tissue.WM, Tissue.STEM), FLUID, BRAIN_CODES)
_COUNTS = torch.tensor([sum(1 << 6 * k for k, codes in enumerate(_CLASSES) if c in codes) for c in Tissue]).int()
_INFARCT = 1 << 6 * len(_CLASSES)


def _base_hu(plan: PatientPlan) -> Tensor:
    table = torch.zeros(len(Tissue))
    stem = 0.6 * plan.wm_hu + 0.4 * plan.gm_hu
    values = {
        Tissue.AIR: -1000.0,
        Tissue.GM: plan.gm_hu,
        Tissue.DEEP_GM: plan.gm_hu + 0.5,
        Tissue.WM: plan.wm_hu,
        Tissue.STEM: stem,
        Tissue.CSF: plan.csf_hu,
        Tissue.VENTRICLE: plan.csf_hu,
        Tissue.VESSEL: 45.0,
        Tissue.CHOROID: plan.choroid_hu,
        Tissue.BONE: plan.bone_hu,
        Tissue.SOFT: 45.0,
        Tissue.SCALP: -20.0,
        Tissue.SINUS: 55.0,
        Tissue.AIR_CELLS: -400.0,
        Tissue.EYE: 12.0,
    }
    for code, hu in values.items():
        table[int(code)] = hu
    return table


def _read_lesion(soft: Tensor, mask_from_index: NDArray[np.float64], index_xyz: Tensor) -> tuple[Tensor, Tensor]:
    """Which samples (3, n) lie in a lesion's crop, and its soft extent there, trilinear."""
    size = np.array(soft.shape[:1:-1])
    normalise = np.diag([*(2 / size), 1.0])
    normalise[:3, 3] = 1 / size - 1
    place = _apply(normalise @ mask_from_index, index_xyz)
    near = (place.abs().amax(0) < 1).nonzero()[:, 0]
    return near, F.grid_sample(soft, place[:, near].T[None, None, None], align_corners=False).flatten()


def _infarct_hu(
    plan: PatientPlan, infarct: InfarctPlan, hu: Tensor, extent: Tensor, codes: Tensor, density: Tensor
) -> Tensor:
    """Darken parenchyma (acute) or replace it by fluid (old); fill sulci by swelling."""
    parenchyma = codes <= int(Tissue.STEM)
    if not infarct.acute:
        cavity = extent * (0.75 + 0.15 * density).clamp(0, 1)
        return torch.where(parenchyma, hu + (plan.csf_hu + 2 - hu) * cavity, hu)
    drop = torch.where(codes <= int(Tissue.DEEP_GM), infarct.drop_gm_hu, infarct.drop_wm_hu)
    floor = plan.csf_hu + 3
    darker = torch.maximum(hu - extent * drop * (1 + 0.2 * density).clamp(0.4, 1.6), hu.clamp(max=floor))
    swollen = hu + (plan.gm_hu - infarct.drop_gm_hu - hu).clamp(min=0) * extent * infarct.effacement
    return torch.where(parenchyma, darker, torch.where(codes == int(Tissue.CSF), swollen, hu))


def _slice_weights(plan: PatientPlan, lattice: Lattice, factor: int) -> tuple[Tensor, Tensor]:
    """Matrices (slices, samples) of the slice profile and (D, slices) of interpolation to the lattice's planes."""
    depth, step = lattice.shape[0], lattice.spacing_mm[0]
    sample = (torch.arange(depth * factor) + 0.5) * step / factor
    plane = (torch.arange(depth) + 0.5) * step
    thickness = step if lattice.native else plan.scanner.slice_mm
    start = step / 2 if lattice.native else (plan.scanner.phase - 1) * thickness
    count = depth if lattice.native else int(depth * step / thickness) + 3
    centre = start + torch.arange(count) * thickness
    fine = step / factor
    overlap = torch.minimum(sample[None] + fine / 2, centre[:, None] + thickness / 2) - torch.maximum(
        sample[None] - fine / 2, centre[:, None] - thickness / 2
    )
    profile = overlap.clamp(min=0)
    empty = profile.sum(1) == 0
    profile[empty, (centre[empty, None] - sample[None]).abs().argmin(1)] = 1.0
    profile = profile / profile.sum(1, keepdim=True)
    if lattice.native:
        return profile, torch.eye(depth)
    tent = (1 - (plane[:, None] - centre[None]).abs() / thickness).clamp(min=0)
    return profile, tent / tent.sum(1, keepdim=True)


def _scan(plan: PatientPlan, fine_hu: Tensor, lattice: Lattice, factor: int) -> Tensor:
    """From fine HU (d·f, H, W) to the CT: slice profile, point spread, shading, streaks, noise, slice interpolation."""
    device = fine_hu.device
    profile, interpolate = (x.to(device) for x in _slice_weights(plan, lattice, factor))
    scanner = plan.scanner
    spacing = lattice.spacing_mm
    thickness = spacing[0] if lattice.native else scanner.slice_mm
    slices = torch.tensordot(profile, fine_hu, 1)
    sigma = (0.0, scanner.blur_mm / spacing[1], scanner.blur_mm / spacing[2])
    if sigma[1] > 0.25:
        air = -1000.0
        slices = blur((slices - air)[None, None], sigma)[0, 0] + air
    slices += _shading(plan, slices.shape, spacing, device)
    slices += _noise(plan, slices, thickness, spacing)
    return slices if lattice.native else torch.tensordot(interpolate, slices, 1)


def _shading(plan: PatientPlan, shape: torch.Size, spacing: tuple[float, float, float], device: torch.device) -> Tensor:
    """Cupping (brighter near the skull) and a left-right ramp, HU, (1, H, W)."""
    y = (torch.arange(shape[1], device=device) - (shape[1] - 1) / 2) * spacing[1] / 90
    x = (torch.arange(shape[2], device=device) - (shape[2] - 1) / 2) * spacing[2] / 75
    radius2 = (y[:, None] ** 2 + x[None] ** 2).clamp(max=1.5)
    return (plan.scanner.cupping_hu * radius2 + plan.scanner.ramp_hu * x[None])[None]


def _noise(plan: PatientPlan, slices: Tensor, thickness_mm: float, spacing: tuple[float, float, float]) -> Tensor:
    """Correlated noise per slice, stronger in the middle and where much bone surrounds the brain, and streaks.

    σ falls with pixel size as the mean of correlated noise does.
    """
    generator = _generator(plan, 2)
    scanner = plan.scanner
    white = torch.randn(slices.shape, generator=generator)
    bands = torch.randn((slices.shape[0], 1, max(slices.shape[1] // 4, 2), 3), generator=generator)
    white, bands = white.to(slices.device), bands.to(slices.device)
    grain = scanner.grain_mm / 2
    sigma = (0.0, grain / spacing[1], grain / spacing[2])
    shaped = blur(white[None, None], tuple(s if s > 0.3 else 0.0 for s in sigma))[0, 0]
    shaped = shaped / shaped.std().clamp(min=1e-6)
    coarse = math.sqrt(scanner.grain_mm**2 / (scanner.grain_mm**2 + spacing[1] * spacing[2]))
    fine = math.sqrt(scanner.grain_mm**2 / (scanner.grain_mm**2 + 0.45**2))
    thin = math.sqrt(5.0 / thickness_mm)
    amount = scanner.noise_hu * coarse / fine * min(thin, 1.6)
    # streaks run left to right between dense bone: low slices of the head, where bone surrounds much air and tissue
    bone = ((slices > 300).float().mean((1, 2)) / 0.08).clamp(max=2.0)
    streak = F.interpolate(bands, size=slices.shape[1:], mode="bilinear", align_corners=True)[:, 0]
    low = ((bone - 1.0).clamp(min=0) * scanner.streak_hu)[:, None, None]
    return shaped * amount * (0.8 + 0.2 * bone[:, None, None]) + streak * low


def _truth(counts: Tensor, factor: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Infarct, tissue and brain of each voxel from the class counts of its fine slices (d·f, H, W)."""
    total = counts.unflatten(0, (-1, factor[0])).sum(1, dtype=torch.int32)
    grey, white, fluid, brain, infarct = ((total >> 6 * k) & 63 for k in range(5))
    samples = math.prod(factor)
    inside = 2 * brain > samples
    commonest = torch.where((grey >= white) & (grey >= fluid), 1, torch.where(white >= fluid, 2, 3))
    tissue = torch.where(inside & (4 * (grey + white + fluid) > samples), commonest, 0).to(torch.uint8)
    lesion = inside & (2 * infarct > brain) & (10 * (grey + white) > 3 * samples)
    return lesion, tissue, inside
