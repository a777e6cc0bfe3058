"""Renders a virtual patient on any lattice: anatomy, then disease, then the scanner."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adn.space.labels import TissueLabel
from adn.virtual.anatomy import Head
from adn.virtual.blur import blur
from adn.virtual.disease import infarct_in_samples
from adn.virtual.fields import Lesion, LesionSource, apply, lesions_of, random_field, read_field, read_lesion, swelling
from adn.virtual.lattice import Lattice, Samples
from adn.virtual.masses import mass_in_samples, pushed
from adn.virtual.plan import PatientPlan, stream
from adn.virtual.scanner import between_slices, in_field, scan_noise, slice_positions, take_scan
from adn.virtual.soft_tissue import SOFT_HU, mix_solids
from adn.virtual.tissue_codes import AIR_HU, BRAIN_CODES, FLUID, GREY, Tissue

FINEST_MM = 1.25  # anatomy is sampled at least this finely in plane
FINEST_SLICE_MM = 2.5
SLAB_SAMPLES = 65536  # samples per step on a CPU, so that temporaries stay in its cache
SYLVIAN_MM, SYLVIAN_REACH_MM = (42.0, -2.0, 2.0), (15.0, 22.0, 12.0)  # centre of the fissure in MNI LPS mm, and its σ
READER_MM = 1.5  # σ by which a reader's outline is smoothed, since readers do not follow every sulcus


@dataclass(frozen=True, eq=False)
class VirtualPatient:
    """A rendered patient, arrays (D, H, W) on the lattice. ct: HU. infarct, brain: bool. tissue: uint8, `TissueLabel`.

    midplane: (nx, ny, nz, d), the mid-sagittal plane n · p = d with n to the patient's left, p in LPS mm about the
    lattice's centre.
    """

    ct: Tensor
    infarct: Tensor
    tissue: Tensor
    brain: Tensor
    midplane: tuple[float, float, float, float]


def render(
    plan: PatientPlan,
    head: Head,
    lattice: Lattice,
    lesion_source: LesionSource,
    device: torch.device | str = "cpu",
    slice_sample_mm: float = FINEST_SLICE_MM,
) -> VirtualPatient:
    """Render a plan. The same plan gives the same patient on every lattice, except for noise, which depends on it.

    lesion_source: returns an infarct's mask in MNI space. slice_sample_mm: distance of samples across a slice, of which
    there are at most four. The result is bit-reproducible on the same device and torch version.
    """
    quiet = render_quiet(plan, head, lattice, lesions_of(plan, lesion_source, device), device, slice_sample_mm)
    ct, seen = develop(plan, quiet.slices, quiet.centres, lattice)
    infarct, tissue, brain = (x * seen for x in truth(quiet.shares, quiet.shares[4], lattice.spacing_mm[1:]))
    m = lattice.pose.matrix
    return VirtualPatient(ct, infarct, tissue, brain, (m[0, 0], m[0, 1], m[0, 2], -m[0, 3]))


class QuietScan(NamedTuple):
    """A scan without noise. slices: (S, H, W) in HU, tilted like the gantry. centres: (S,), mm along D.

    shares: (5, D, H, W), the shares of each voxel of the lattice that are grey matter, other parenchyma, fluid, brain
    and acute infarct.
    """

    slices: Tensor
    centres: Tensor
    shares: Tensor


def render_quiet(
    plan: PatientPlan,
    head: Head,
    lattice: Lattice,
    lesions: list[Lesion],
    device: torch.device | str = "cpu",
    slice_sample_mm: float = FINEST_SLICE_MM,
) -> QuietScan:
    """The expensive part of `render`: anatomy and disease on the scanner's slices."""
    d, h, w = lattice.spacing_mm
    factor = (
        min(max(math.ceil(d / slice_sample_mm), 1), 4),
        min(max(math.ceil(h / FINEST_MM - 0.01), 1), 3),
        min(max(math.ceil(w / FINEST_MM - 0.01), 1), 3),
    )
    work = _work_lattice(plan, lattice)
    hu, counts = _sample_head(plan, head, work, factor, lesions, device)
    slices, centres = take_scan(plan, hu, work, head.mni_from_aligned)
    slope = 0.0 if lattice.native else float(work.axes[2, 1])
    if slope:
        counts = _untilt(counts, lattice, work, slope, factor[0])
    return QuietScan(slices, centres, counts.unflatten(1, (-1, factor[0])).sum(2) / math.prod(factor))


def develop(plan: PatientPlan, slices: Tensor, centres: Tensor, lattice: Lattice) -> tuple[Tensor, Tensor]:
    """The cheap part of `render`: add noise and interpolate the slices to the lattice.

    Returns the CT (D, H, W) in HU, and which rows were scanned, bool.
    """
    work = _work_lattice(plan, lattice)
    slices = slices + scan_noise(plan, slices, work)
    if lattice.native:
        return slices, torch.ones_like(slices, dtype=torch.bool)
    positions = slice_positions(lattice, float(work.axes[2, 1]))
    seen = in_field(plan, lattice, positions).to(slices.device)
    return torch.where(seen, between_slices(slices, centres, positions), AIR_HU), seen


def _work_lattice(plan: PatientPlan, lattice: Lattice) -> Lattice:
    return lattice if lattice.native else _tilted(lattice, plan.scanner.tilt_deg)


def _tilted(lattice: Lattice, tilt_deg: float) -> Lattice:
    """The lattice sheared like a tilted gantry's slices, deep enough to contain the original."""
    slope = abs(math.tan(math.radians(tilt_deg)))
    more = math.ceil(slope * lattice.shape[1] * lattice.spacing_mm[1] / 2 / lattice.spacing_mm[0])
    shape = (lattice.shape[0] + 2 * more, *lattice.shape[1:])
    return replace(lattice, shape=shape, tilt_deg=tilt_deg)


def _untilt(counts: Tensor, lattice: Lattice, work: Lattice, slope: float, factor: int) -> Tensor:
    """Resample class counts (5, D' · f, H, W) from the sheared lattice to the fine slices of the straight one."""

    def fine(x: Lattice) -> Lattice:
        return replace(
            x, shape=(x.shape[0] * factor, *x.shape[1:]), spacing_mm=(x.spacing_mm[0] / factor, *x.spacing_mm[1:])
        )

    return between_slices(counts, slice_positions(fine(work), 0.0)[0], slice_positions(fine(lattice), slope))


def head_places(plan: PatientPlan, head: Head, lattice: Lattice, lesions: list[Lesion]) -> Tensor:
    """The index along W, H and D in a head's array that each voxel of an untilted lattice reads, (3, D, H, W).

    It includes the plan's whole deformation and swelling, so any labels of the head can be resampled as rendered.
    """
    samples = Samples(lattice, (1, 1, 1), "cpu")
    coarse, _ = _coarse_values(plan, head, samples.coarse_mm, lesions)
    return samples.smooth(coarse[:3], slice(None)).unflatten(1, lattice.shape)


def _sample_head(
    plan: PatientPlan,
    head: Head,
    lattice: Lattice,
    factor: tuple[int, int, int],
    lesions: list[Lesion],
    device: torch.device | str,
) -> tuple[Tensor, Tensor]:
    """HU (D · f, H, W) and class counts (5, D · f, H, W), computed a few slices at a time."""
    samples = Samples(lattice, factor, device)
    coarse, index_from_aligned = _coarse_values(plan, head, samples.coarse_mm, lesions)
    mni_from_index = head.mni_from_aligned @ np.linalg.inv(index_from_aligned)
    maps = head.flat(device)
    shape = (lattice.shape[0] * factor[0], *lattice.shape[1:])
    hu = torch.empty(shape, device=device)
    counts = torch.empty(shape, dtype=torch.int32, device=device)
    base_hu = _base_hu(plan).to(device)
    per_slice = math.prod(shape[1:]) * factor[1] * factor[2]
    step = max(SLAB_SAMPLES // per_slice, 1) if torch.device(device).type == "cpu" else shape[0]
    for first in range(0, shape[0], step):
        slab = slice(first, first + step)
        values = samples.smooth(coarse, slab)
        fine_hu, fine_counts = _anatomy(plan, maps, head.codes.shape, values, lesions, mni_from_index, base_hu)
        hu[slab] = samples.voxel_sums(fine_hu) / (factor[1] * factor[2])
        counts[slab] = samples.voxel_sums(fine_counts)
    shifts = 6 * torch.arange(len(_CLASSES) + 1, device=device)[:, None, None, None]
    return hu, ((counts >> shifts) & 63).float()


def _coarse_values(
    plan: PatientPlan, head: Head, coarse_mm: Tensor, lesions: list[Lesion]
) -> tuple[Tensor, NDArray[np.float64]]:
    """Smooth values, (10, d, h, w), and the matrix from the aligned frame to the head's array index.

    Channels: index x, y, z; random fields for sulci, ventricles, leukoaraiosis, mottle, infarct density; lateral mm;
    opening of the Sylvian fissures.
    """
    device, generator = coarse_mm.device, stream(plan, 0)
    displacement, scalars = random_field(generator, 3, 45.0).to(device), random_field(generator, 5, 35.0).to(device)
    wobble = read_field(displacement, coarse_mm) * plan.warp_mm
    lateral = coarse_mm[..., 0]
    # the mid-sagittal plane stays flat: x moves less near it
    wobble[0] *= (lateral.abs() / 25).clamp(max=1.0)
    # torque: where it is positive, the left frontal and the right occipital pole protrude
    wobble[1] += plan.torque_mm * torch.tanh(lateral / 40) * 0.5
    canonical = (coarse_mm / torch.tensor(plan.scale, device=device)).movedim(-1, 0) + wobble
    mni = apply(head.mni_from_aligned, canonical)
    for lesion in lesions:
        if lesion.broad is not None:
            canonical = canonical + swelling(lesion, mni)
    for mass in plan.masses:
        canonical = canonical + pushed(mass, mni)
    index_from_aligned = head.head_from_aligned.copy()
    index_from_aligned[:3, 3] += (np.array(head.codes.shape[::-1]) - 1) / 2
    index = apply(index_from_aligned, canonical)
    fields = read_field(scalars, coarse_mm)
    return torch.cat([index, fields, lateral[None], _sylvian(plan, mni)[None]]), index_from_aligned


def _sylvian(plan: PatientPlan, mni: Tensor) -> Tensor:
    """Extra width of sulci around the Sylvian fissures, (d, h, w)."""
    x, y, z = mni
    around = [((c - m) / s).square() for c, m, s in zip((x.abs(), y, z), SYLVIAN_MM, SYLVIAN_REACH_MM, strict=True)]
    return torch.exp(-0.5 * (around[0] + around[1] + around[2])) * torch.where(x > 0, plan.sylvian[0], plan.sylvian[1])


def _anatomy(
    plan: PatientPlan,
    maps: tuple[Tensor, Tensor, Tensor, Tensor],
    shape: torch.Size,
    values: Tensor,
    lesions: list[Lesion],
    mni_from_index: NDArray[np.float64],
    base_hu: Tensor,
) -> tuple[Tensor, Tensor]:
    """HU and class counts (see `_COUNTS`) of samples.

    maps: `Head.flat` of a head of `shape`. values: (10, n) as in `_coarse_values`. base_hu: by code.
    """
    flat = _flat_index(values[:3], shape)
    codes = maps[0].index_select(0, flat)
    hu = base_hu.index_select(0, codes.int())
    counts = torch.zeros(hu.shape, dtype=torch.int32, device=hu.device)
    brain = ((codes >= int(Tissue.GM)) & (codes <= int(Tissue.CHOROID))).nonzero()[:, 0]
    if not len(brain):
        return mix_solids(hu, maps[3], values[:3], flat, shape, plan.bone_hu), counts
    everywhere, index = flat, values[:3]
    # from here on, only samples in the brain
    codes, flat, values = codes[brain], flat[brain], values.index_select(1, brain)
    near_ventricle, near_csf = (x.index_select(0, flat).float() / 255 for x in maps[1:3])
    sulci_noise, ventricle_noise, leuko_noise, mottle, density = values[3:8]
    left = torch.sigmoid(values[8] / 4)
    open_ventricles = _by_side(plan.atrophy_ventricles, left, ventricle_noise)
    codes[(near_ventricle > 0.52 - 0.42 * open_ventricles) & (codes <= int(Tissue.WM))] = int(Tissue.VENTRICLE)
    open_sulci = _by_side(plan.atrophy_sulci, left, sulci_noise) + 0.6 * values[9]
    codes[(near_csf > 0.60 - 0.30 * open_sulci) & (codes == int(Tissue.GM))] = int(Tissue.CSF)

    brain_hu = base_hu.index_select(0, codes.int())
    brain_hu[(codes == int(Tissue.CHOROID)) & (density > 0.4)] = plan.choroid_hu
    brain_hu += (codes <= int(Tissue.STEM)) * mottle * plan.mottle_hu
    if plan.leukoaraiosis > 0:
        patchy = torch.sigmoid(4 * (near_ventricle * 3 + 0.5 * leuko_noise - 0.9))
        brain_hu -= (codes == int(Tissue.WM)) * patchy * (plan.leukoaraiosis * 7.0)
    infarcted = torch.zeros(codes.shape, dtype=torch.bool, device=codes.device)
    for lesion in lesions:
        near, extent = read_lesion(lesion.soft, lesion.index_from_mni @ mni_from_index, values[:3])
        brain_hu[near] = infarct_in_samples(plan, lesion.plan, brain_hu[near], extent, codes[near], density[near])
        if lesion.plan.acute:
            infarcted[near] |= (extent > 0.5) & (codes[near] != int(Tissue.VENTRICLE))
    for mass in plan.masses:
        brain_hu = mass_in_samples(plan, mass, brain_hu, codes, apply(mni_from_index, values[:3]), density)
    for spot in plan.bright:
        place = np.diag([*(1 / np.array(spot.half_axes_mm)), 1.0])
        place[:3, 3] = -np.array(spot.centre_mm) / spot.half_axes_mm
        radius = apply(place @ mni_from_index, values[:3]).square().sum(0).sqrt()
        brain_hu[radius < 1 + 0.15 * density] = spot.hu
    hu[brain] = brain_hu
    counts[brain] = _COUNTS.to(codes.device).index_select(0, codes.int()) + infarcted.int() * _INFARCT
    return mix_solids(hu, maps[3], index, everywhere, shape, plan.bone_hu), counts


def _flat_index(index_xyz: Tensor, shape: torch.Size) -> Tensor:
    """Flat index (n) of the nearest voxel of a (D, H, W) volume; positions outside take the border, which is air."""
    limits = torch.tensor(shape[::-1], device=index_xyz.device)[:, None] - 1.0
    x, y, z = torch.minimum(index_xyz.clamp(min=0), limits).round_().int()
    return (z * shape[1] + y) * shape[2] + x


def _by_side(pair: tuple[float, float], left: Tensor, noise: Tensor) -> Tensor:
    """Atrophy at each sample, 0 to 1, from the values for (left, right), made patchy by `noise`."""
    return ((pair[1] + (pair[0] - pair[1]) * left) * (1 + 0.3 * noise)).clamp_(0, 1)


# grey, other parenchyma, CSF, brain, infarct are counted in 6 bits each of one integer: at most 4 · 3 · 3 per voxel
_CLASSES = (GREY, (Tissue.WM, Tissue.STEM), FLUID, BRAIN_CODES)
_COUNTS = torch.tensor([sum(1 << 6 * k for k, codes in enumerate(_CLASSES) if c in codes) for c in Tissue]).int()
_INFARCT = 1 << 6 * len(_CLASSES)


def _base_hu(plan: PatientPlan) -> Tensor:
    table = torch.full((len(Tissue),), SOFT_HU)  # marrow and air cells: `mix_solids` mixes bone and air in
    stem = 0.6 * plan.wm_hu + 0.4 * plan.gm_hu
    values = {
        Tissue.AIR: AIR_HU,
        Tissue.GM: plan.gm_hu,
        Tissue.DEEP_GM: plan.gm_hu + 0.5,
        Tissue.WM: plan.wm_hu,
        Tissue.STEM: stem,
        Tissue.CSF: plan.csf_hu,
        Tissue.VENTRICLE: plan.csf_hu,
        Tissue.VESSEL: plan.gm_hu + 18.0,
        Tissue.CHOROID: plan.gm_hu,
        Tissue.BONE: plan.bone_hu,
        Tissue.SOFT: 50.0,
        Tissue.SCALP: -95.0,
        Tissue.SINUS: plan.gm_hu + 18.0,
        Tissue.EYE: 12.0,
    }
    for code, hu in values.items():
        table[int(code)] = hu
    return table


def truth(shares: Tensor, infarcted: Tensor, pixel_mm: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Infarct (bool), tissue (`TissueLabel`) and brain (bool) of each voxel, (D, H, W) each.

    shares: (4 or more, D, H, W), the shares of each voxel that are grey matter, other parenchyma, fluid and brain.
    infarcted: (D, H, W), the share that is acute infarct. It is outlined as by a reader, who includes narrow sulci but
    not wide ones.
    """
    grey, white, fluid, brain = shares[:4]
    inside = brain > 0.5
    commonest = torch.where(white >= fluid, TissueLabel.WM, TissueLabel.CSF)
    commonest = torch.where((grey >= white) & (grey >= fluid), TissueLabel.GM, commonest)
    tissue = torch.where(inside & (grey + white + fluid > 0.25), commonest, TissueLabel.OUTSIDE).to(torch.uint8)
    sigma = tuple(math.sqrt(max(READER_MM**2 - p**2 / 12, 0.0)) / p for p in pixel_mm)
    parenchyma, around, infarct = blur(torch.stack([grey + white, brain, infarcted])[None], (0.0, *sigma))[0]
    lesion = inside & (infarct > 0.5 * around) & (parenchyma > 0.4 * around)
    return lesion, tissue, inside
