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
from adn.synth.anatomy import Head, blur, isin
from adn.synth.lesions import LesionMask
from adn.synth.plan import InfarctPlan, PatientPlan
from adn.synth.tissues import BRAIN_CODES, FLUID, GREY, PARENCHYMA, Tissue

FINEST_MM = 1.25  # anatomy is sampled at least this finely in plane
FINEST_SLICE_MM = 2.5
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


class _Points:
    """Positions of a lattice's samples in the patient's aligned frame, and values read there."""

    def __init__(self, lattice: Lattice, factor: tuple[int, int, int], slab: slice) -> None:
        self.factor = factor
        first, last = slab.start, slab.stop
        self.shape = ((last - first) * factor[0], lattice.shape[1] * factor[1], lattice.shape[2] * factor[2])
        axes = []
        for axis, (n, f, step) in enumerate(zip(lattice.shape, factor, lattice.spacing_mm, strict=True)):
            position = (torch.arange(n * f, dtype=torch.float32) + 0.5) * (step / f) - n * step / 2
            axes.append(position[first * f : last * f] if axis == 0 else position)
        matrix = lattice.pose.matrix.copy()
        matrix[:3, 1] += matrix[:3, 2] * lattice.shear
        self.matrix = torch.from_numpy(matrix).float()
        self.axes = axes

    def positions(self, stride: int = 1) -> Tensor:
        """(d, h, w, 3) LPS mm in the aligned frame; stride > 1 gives a coarse lattice over the same extent."""
        axes = self.axes
        if stride > 1:
            axes = [_coarse(a, stride) for a in axes]
        z, y, x = axes
        m = self.matrix
        base = m[:3, 3] + z[:, None, None, None] * m[:3, 2] + y[None, :, None, None] * m[:3, 1]
        return base + x[None, None, :, None] * m[:3, 0]

    def smooth(self, values: Tensor) -> Tensor:
        """Coarse lattice values (1, C, d, h, w) → every sample, trilinear."""
        return F.interpolate(values, size=self.shape, mode="trilinear", align_corners=True)


def _coarse(axis: Tensor, stride: int) -> Tensor:
    count = max(math.ceil((len(axis) - 1) / stride), 1) + 1
    return torch.linspace(float(axis[0]), float(axis[-1]), count)


def _read_field(field: Tensor, positions: Tensor) -> Tensor:
    """Values (1, C, d, h, w) of a field at positions in mm."""
    return F.grid_sample(field, positions[None] / FIELD_MM, padding_mode="border", align_corners=True)


def _apply(matrix: NDArray, points: Tensor) -> Tensor:
    m = torch.from_numpy(np.asarray(matrix)).float()
    return points @ m[:3, :3].T + m[:3, 3]


def _lookup(volume: Tensor, index_xyz: Tensor) -> Tensor:
    """Nearest voxel of a (D, H, W) volume at (W, H, D) indices; 0 outside. Keeps uint8."""
    d, h, w = volume.shape
    limits = torch.tensor([w, h, d])
    rounded = index_xyz.round().long()
    inside = ((rounded >= 0) & (rounded < limits)).all(-1)
    flat = (rounded[..., 2] * h + rounded[..., 1]) * w + rounded[..., 0]
    return torch.where(inside, volume.flatten()[flat.clamp(0, volume.numel() - 1)], 0)


@dataclass
class _Fields:
    """Random fields of one patient, drawn once: displacement (3), then named scalars."""

    displacement: Tensor
    scalars: Tensor  # sulci, ventricles, leukoaraiosis, mottle, infarct density


def _fields(plan: PatientPlan) -> _Fields:
    generator = _generator(plan, 0)
    displacement = random_field(generator, 3, 45.0)
    return _Fields(displacement, random_field(generator, 5, 35.0))


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
    slab_slices: int = 8,
) -> VirtualPatient:
    """Render a plan. The same plan gives the same patient on every lattice, but for noise, which is the lattice's own.

    lesion_source: gives an infarct's mask in MNI space. Slabs of slices bound the memory.
    """
    factor = (
        max(math.ceil(lattice.spacing_mm[0] / FINEST_SLICE_MM), 1),
        max(math.ceil(lattice.spacing_mm[1] / FINEST_MM - 0.01), 1),
        max(math.ceil(lattice.spacing_mm[2] / FINEST_MM - 0.01), 1),
    )
    factor = (min(factor[0], 4), min(factor[1], 3), min(factor[2], 3))
    fields, lesions = _fields(plan), _lesions(plan, lesion_source)
    parts = []
    depth = lattice.shape[0]
    size = math.prod(lattice.shape[1:]) * factor[1] * factor[2] * factor[0]
    slab_slices = max(min(depth, int(3e6 // size)), 1) if size * depth > 6e6 else depth
    for first in range(0, depth, slab_slices):
        points = _Points(lattice, factor, slice(first, min(first + slab_slices, depth)))
        parts.append(_anatomy(plan, head, points, fields, lesions))
    fine_hu, fractions = (torch.cat(x) for x in zip(*parts, strict=True))
    fine_hu, fractions = fine_hu.to(device), fractions.to(device)
    ct = _scan(plan, fine_hu, fractions, lattice, factor[0])
    return VirtualPatient(ct, *_truth(fractions, factor[0]))


def _anatomy(
    plan: PatientPlan, head: Head, points: _Points, fields: _Fields, lesions: list
) -> tuple[Tensor, Tensor]:
    """HU and class fractions at full depth resolution, averaged in plane: (d·f, H, W), (d·f, 5, H, W)."""
    coarse = points.positions(6)
    scale = torch.tensor(plan.scale)
    canonical = coarse / scale
    wobble = _read_field(fields.displacement, coarse)[0].permute(1, 2, 3, 0) * plan.warp_mm
    lateral = coarse[..., :1]
    # the mid-sagittal plane stays a plane: x moves less the nearer it is
    stay = (lateral.abs() / 25).clamp(max=1.0)
    wobble = torch.cat([wobble[..., :1] * stay, wobble[..., 1:]], -1)
    # torque: right frontal and left occipital poles reach further
    wobble[..., 1] += plan.torque_mm * torch.tanh(lateral[..., 0] / 40) * 0.5
    canonical = canonical + wobble
    to_index = head.head_from_aligned.copy()
    to_index[:3, 3] += (np.array(head.codes.shape[::-1]) - 1) / 2
    mni_from_index = head.mni_from_aligned @ np.linalg.inv(to_index)
    canonical = _apply(to_index, canonical)
    smooth = torch.cat([canonical.permute(3, 0, 1, 2)[None], _read_field(fields.scalars, coarse), lateral.permute(3, 0, 1, 2)[None]], 1)  # fmt: skip
    values = points.smooth(smooth)[0]
    index = values[:3].permute(1, 2, 3, 0)
    sulci_noise, vent_noise, leuko_noise, mottle, density = values[3:8]
    left = torch.sigmoid(values[8] / 4)

    codes = _lookup(head.codes, index)
    near_ventricle = _lookup(head.near_ventricle, index).float() / 255
    near_csf = _lookup(head.near_csf, index).float() / 255

    def by_side(pair: tuple[float, float]) -> Tensor:
        return pair[0] * left + pair[1] * (1 - left)

    shrinkable = isin(codes, (*PARENCHYMA,)) & (codes != int(Tissue.STEM))
    grown = near_ventricle > 0.52 - 0.42 * (by_side(plan.atrophy_ventricles) * (1 + 0.3 * vent_noise)).clamp(0, 1)
    codes = torch.where(grown & shrinkable, int(Tissue.VENTRICLE), codes)
    is_cortex = codes == int(Tissue.GM)
    wide = near_csf > 0.60 - 0.30 * (by_side(plan.atrophy_sulci) * (1 + 0.3 * sulci_noise)).clamp(0, 1)
    codes = torch.where(wide & is_cortex, int(Tissue.CSF), codes)

    hu = _base_hu(plan)[codes.long()]
    brain, parenchyma = isin(codes, BRAIN_CODES), isin(codes, PARENCHYMA)
    grey, fluid = isin(codes, GREY), isin(codes, FLUID)
    white = codes == int(Tissue.WM)
    hu = hu + parenchyma * plan.mottle_hu * mottle
    if plan.leukoaraiosis > 0:
        patchy = torch.sigmoid(4 * (near_ventricle * 3 + 0.5 * leuko_noise - 0.9))
        hu = hu - white * plan.leukoaraiosis * 7.0 * patchy
    label = torch.zeros_like(hu)
    mni = None
    for infarct, mask, soft in lesions:
        mni = _apply(mni_from_index, index) if mni is None else mni
        where = mni * torch.tensor([-1.0, 1.0, 1.0]) if infarct.left_right_flip else mni
        extent = _read_lesion(soft, mask, where)
        hu = _infarct_hu(plan, infarct, hu, extent, codes, grey, density)
        if infarct.acute:
            label = torch.maximum(label, (extent > 0.5).float() * brain * (codes != int(Tissue.VENTRICLE)))
    for spot in plan.bright:
        mni = _apply(mni_from_index, index) if mni is None else mni
        radius = ((mni - torch.tensor(spot.centre_mm)) / torch.tensor(spot.half_axes_mm)).norm(dim=-1)
        hu = torch.where((radius < 1 + 0.15 * density) & brain, spot.hu, hu)
    classes = torch.stack([hu, grey.float(), (parenchyma & ~grey).float(), (fluid & brain).float(), brain.float(), label])
    pooled = F.avg_pool3d(classes[None], (1, points.factor[1], points.factor[2]))[0]
    return pooled[0], pooled[1:].transpose(0, 1)


def _base_hu(plan: PatientPlan) -> Tensor:
    table = torch.zeros(256)
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


def _read_lesion(soft: Tensor, mask: LesionMask, mni: Tensor) -> Tensor:
    """Soft extent of a lesion at MNI positions (LPS mm), trilinear, 0 outside its crop."""
    index = _apply(mask.index_from_mni, mni)
    size = torch.tensor(mask.data.shape[::-1])
    normalised = (2 * index + 1) / size - 1
    inside = (normalised.abs() < 1).all(-1)
    extent = torch.zeros(mni.shape[:-1])
    if inside.any():
        values = F.grid_sample(soft, normalised[inside][None, None, None], align_corners=False)
        extent[inside] = values.flatten()
    return extent


def _infarct_hu(
    plan: PatientPlan, infarct: InfarctPlan, hu: Tensor, extent: Tensor, codes: Tensor, grey: Tensor, density: Tensor
) -> Tensor:
    """Darken parenchyma (acute) or replace it by fluid (old); fill sulci by swelling."""
    parenchyma = isin(codes, PARENCHYMA)
    if not infarct.acute:
        cavity = extent * (0.75 + 0.15 * density).clamp(0, 1)
        return torch.where(parenchyma, hu + (plan.csf_hu + 2 - hu) * cavity, hu)
    drop = torch.where(grey, infarct.drop_gm_hu, infarct.drop_wm_hu)
    floor = plan.csf_hu + 3
    darker = torch.maximum(hu - extent * drop * (1 + 0.2 * density).clamp(0.4, 1.6), hu.clamp(max=floor))
    swollen = hu + (plan.gm_hu - infarct.drop_gm_hu - hu).clamp(min=0) * extent * infarct.effacement
    sulcus = codes == int(Tissue.CSF)
    return torch.where(parenchyma, darker, torch.where(sulcus, swollen, hu))


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


def _scan(plan: PatientPlan, fine_hu: Tensor, fractions: Tensor, lattice: Lattice, factor: int) -> Tensor:
    """From fine HU (d·f, H, W) to the CT: slice profile, point spread, shading, streaks, noise, slice interpolation."""
    device = fine_hu.device
    profile, interpolate = (x.to(device) for x in _slice_weights(plan, lattice, factor))
    scanner = plan.scanner
    spacing = lattice.spacing_mm
    slices = torch.einsum("sf,fhw->shw", profile, fine_hu)
    sigma = (0.0, scanner.blur_mm / spacing[1], scanner.blur_mm / spacing[2])
    if sigma[1] > 0.25:
        air = -1000.0
        slices = blur((slices - air)[None, None], sigma)[0, 0] + air
    slices = slices + _shading(plan, slices.shape, spacing, device)
    slices = slices + _noise(plan, slices, profile, fractions, spacing)
    return torch.einsum("ds,shw->dhw", interpolate, slices)


def _shading(plan: PatientPlan, shape: torch.Size, spacing: tuple[float, float, float], device: torch.device) -> Tensor:
    """Cupping (brighter near the skull) and a left-right ramp, HU, (1, H, W)."""
    y = (torch.arange(shape[1], device=device) - (shape[1] - 1) / 2) * spacing[1] / 90
    x = (torch.arange(shape[2], device=device) - (shape[2] - 1) / 2) * spacing[2] / 75
    radius2 = (y[:, None] ** 2 + x[None] ** 2).clamp(max=1.5)
    return (plan.scanner.cupping_hu * radius2 + plan.scanner.ramp_hu * x[None])[None]


def _noise(
    plan: PatientPlan, slices: Tensor, profile: Tensor, fractions: Tensor, spacing: tuple[float, float, float]
) -> Tensor:
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
    thin = math.sqrt(5.0 / (spacing[0] if profile.shape[0] == fractions.shape[0] else scanner.slice_mm))
    amount = scanner.noise_hu * coarse / fine * min(thin, 1.6)
    # streaks run left to right between dense bone: low slices of the head, where bone surrounds much air and tissue
    bone = ((slices > 300).float().mean((1, 2)) / 0.08).clamp(max=2.0)
    streak = F.interpolate(bands, size=slices.shape[1:], mode="bilinear", align_corners=True)[:, 0]
    low = ((bone - 1.0).clamp(min=0) * scanner.streak_hu)[:, None, None]
    return shaped * amount * (0.8 + 0.2 * bone[:, None, None]) + streak * low


def _truth(fractions: Tensor, factor: int) -> tuple[Tensor, Tensor, Tensor]:
    """Infarct, tissue and brain of each voxel from fine fractions (d·f, 5, H, W)."""
    mean = F.avg_pool3d(fractions.transpose(0, 1)[None], (factor, 1, 1))[0]
    grey, white, fluid, brain, infarct = mean
    tissue = mean[:3].argmax(0).to(torch.uint8) + 1
    inside = brain > 0.5
    tissue = torch.where(inside & (grey + white + fluid > 0.25), tissue, 0)
    lesion = inside & (infarct > 0.5 * brain) & (grey + white > 0.3)
    return lesion, tissue, inside
