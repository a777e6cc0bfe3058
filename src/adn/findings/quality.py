"""Measures and judges what makes a prediction doubtful: a cut-off brain, noise, possible blood, the head's pose."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.answers import MassLike, NotAssessable
from adn.findings.hypodensity import slab_mean, smooth_in_plane
from adn.prepare import coarse as cm
from adn.prepare.brain_shape import BONE_HU, COARSE_MM
from adn.prepare.part import is_part
from adn.remarks import Remark
from adn.results import USUAL_BRAIN_ML, Measurements, Quality
from adn.space.geometry import RigidTransform, bounding_box
from adn.space.volume import Volume

# Values beyond these cause a remark (see `Quality` for what they measure).
MAX_NOISE_HU = 9.0  # clinical scans have 2 to 6
MAX_ASYMMETRY_HU = 12.0  # 3 to 6 are usual after alignment
# Beyond these the remark blocks: the findings must not be relied on (docs/reliability.md).
BLOCKING_NOISE_HU = 20.0
BLOCKING_ASYMMETRY_HU = 15.0
BLOCKING_BRAIN_ML = (500.0, 2200.0)
BLOCKING_WHOLE_ML = 700.0  # smallest brain that ends within the scan on both sides
MAX_BRIGHT_ML = 1.0
MAX_TURN_DEG, MAX_ROLL_DEG = 45.0, 14.0  # near what the alignment can correct
CUT_MM2 = 2500.0  # an end slice with more brain than this is neither the vertex nor the foramen magnum
BLOOD_HU = (55.0, 95.0)
_BONE_RIM_MM = 6.0  # partial volume of bone and of calcification, and the sinuses along the skull
_CALCIFIED_HU = 100.0
_ENHANCED_HU = 50.0
_WORSE_HU = 0.5  # how much more the sides may differ after alignment than before
_THIN_MM = 2.5  # half width of the falx, the tentorium and of vessels
_MIN_PART_ML = 0.25  # smaller parts are calcified plexus, noise or ends of the falx
_NOISE_SLICES = 5
_TISSUE_HU = (20.0, 48.0)


def cut_ends(mask: Volume) -> tuple[bool, bool]:
    """Whether the brain reaches the scan's first (lowest) and last slice, so that its base or vertex was cut off."""
    spl = mask.reoriented("SPL")
    pixel_mm2 = spl.grid.voxel_ml * 1000.0 / spl.grid.spacing_mm[0]
    low, high = ((spl.data[end] > 0).sum() * pixel_mm2 > CUT_MM2 for end in (0, -1))
    return bool(low), bool(high)


def mask_remarks(volume_hu: Volume, mask: Volume) -> tuple[Remark, ...]:
    """What is unusual about the brain mask of a scan: vertex or base cut off, its volume, its brightness."""
    spl = mask.reoriented("SPL")
    inside = spl.data > 0
    base_cut, vertex_cut = cut_ends(spl)
    volume_ml = float(inside.sum()) * spl.grid.voxel_ml
    part = is_part(spl.grid)
    remarks = []
    if part:
        slices = spl.grid.shape[0]
        remarks.append(Remark("part_of_head", {"slices": slices, "height_mm": slices * spl.grid.spacing_mm[0]}))
    if vertex_cut:
        remarks.append(Remark("vertex_cut"))
    if base_cut:
        remarks.append(Remark("base_cut"))
    if volume_ml < USUAL_BRAIN_ML[0] and not part:
        least_ml = BLOCKING_BRAIN_ML[0] if base_cut or vertex_cut else BLOCKING_WHOLE_ML
        remarks.append(Remark("brain_small", {"brain_ml": volume_ml}, blocks=volume_ml < least_ml))
    if volume_ml > USUAL_BRAIN_ML[1]:
        remarks.append(Remark("brain_large", {"brain_ml": volume_ml}, blocks=volume_ml > BLOCKING_BRAIN_ML[1]))
    if inside.any() and (median_hu := brain_median_hu(volume_hu.view("SPL"), spl)) > _ENHANCED_HU:
        remarks.append(Remark("brain_bright", {"median_hu": median_hu}, blocks=True))
    return tuple(remarks)


def brain_median_hu(volume: Volume, mask: Volume) -> float:
    """The median of the brain, HU. volume, mask: on one grid; the mask is not empty."""
    box = bounding_box(mask.data > 0)
    return float(np.median(volume.data[box][mask.data[box] > 0]))


def quality_remarks(quality: Quality, polarity: Literal["dark", "bright"]) -> tuple[Remark, ...]:
    """What makes a prediction doubtful: spots that may be blood, noise, sides that do not match after alignment."""
    remarks = []
    if polarity == "bright":
        remarks.append(Remark("bright_polarity"))
    if quality.bright_ml > MAX_BRIGHT_ML:
        # Where bright lesions were looked for, a check reports it, but no warning does.
        kind = "bright_spots" if polarity == "bright" else "may_be_blood"
        remarks.append(Remark(kind, {"bright_ml": quality.bright_ml}))
    if quality.noise_hu > MAX_NOISE_HU:
        blocks = quality.noise_hu > BLOCKING_NOISE_HU
        remarks.append(Remark("noisy", {"noise_hu": quality.noise_hu}, blocks))
    before, after = quality.asymmetry_before_hu, quality.asymmetry_after_hu
    if after > MAX_ASYMMETRY_HU:
        blocks = after > BLOCKING_ASYMMETRY_HU
        remarks.append(Remark("asymmetric", {"before_hu": before, "after_hu": after}, blocks))
    elif after > before + _WORSE_HU:
        remarks.append(Remark("alignment_no_better", {"before_hu": before, "after_hu": after}))
    return tuple(remarks)


def finding_remarks(found: Measurements, pose: RigidTransform, *, places: bool = True) -> tuple[Remark, ...]:
    """What to check in the result itself: a head near the limit of the alignment, marks on both sides.

    places: whether enough of the head was scanned to name arterial territories.
    """
    remarks = []
    _, rolled, turned = (abs(degrees) for degrees in pose.rotation_deg)
    if turned > MAX_TURN_DEG or rolled > MAX_ROLL_DEG:
        remarks.append(Remark("head_turned", {"turned_deg": turned, "rolled_deg": rolled}))
    if found.side != "none" and not places:
        remarks.append(Remark("territory_unknown"))
    if found.side == "both":
        remarks.append(Remark("both_sides", {"left_ml": found.left_ml, "right_ml": found.right_ml}))
    return tuple(remarks)


def old_remarks(old_ml: float, *, left_out: bool) -> tuple[Remark, ...]:
    """That something looks like an old infarct. left_out: it is no longer marked."""
    kind = "old_left_out" if left_out else "old_marked"
    return (Remark(kind, {"old_ml": old_ml}),) if old_ml > 0 else ()


def left_out_remarks(left_out_ml: float) -> tuple[Remark, ...]:
    """That parts of the mark did not look like an infarct and were left out (`findings.parts`)."""
    return (Remark("parts_left_out", {"left_out_ml": left_out_ml}),) if left_out_ml > 0 else ()


def mass_remarks(found: MassLike | NotAssessable) -> tuple[Remark, ...]:
    """That something bright lies in or beside the mark, like a tumour or a bleed within its oedema."""
    if isinstance(found, NotAssessable) or not found.looks_so:
        return ()
    return (Remark("may_be_mass", {"contrast_hu": found.contrast_hu, "diameter_mm": found.diameter_mm}),)


def method_remarks(method: str, *, aligns: bool) -> tuple[Remark, ...]:
    """What readers must know about predictions by methods other than ADN. aligns: whether it turns the head upright."""
    return () if method == "adn" else (Remark("method_does_not_disentangle", {"method": method, "aligns": aligns}),)


def bright_ml(volume: Volume, mask: Volume) -> float:
    """Volume of all `bright_parts`, mL."""
    return float(sum(ml for _, ml in bright_parts(volume, mask)))


def bright_parts(volume: Volume, mask: Volume) -> list[tuple[NDArray[np.float64], float]]:
    """Brain of 55 to 95 HU in compact parts (more than 5 mm thick) away from bone and calcification, largest first.

    volume: HU, SPL. mask: brain, same grid. Found on voxels of about 2 mm, which average noise. Each part: scan indices
    of its voxels' centres, (n, 3), and its volume in mL.
    """
    where = np.argwhere(mask.data.any(axis=0))
    if not len(where):
        return []
    pad = [int(np.ceil(_BONE_RIM_MM / step)) + 1 for step in volume.grid.spacing_mm[1:]]
    (top, left), (bottom, right) = np.maximum(where.min(0) - pad, 0), where.max(0) + pad + 1
    crop = (slice(None), slice(int(top), int(bottom)), slice(int(left), int(right)))
    coarse = cm.coarsen(np.clip(volume.data[crop], -100.0, 300.0), volume.grid.spacing_mm, COARSE_MM)
    brain = cm.block_mean(mask.data[crop] > 0, coarse.factors) > 0.9
    hard = (coarse.hu > BONE_HU) | (brain & (coarse.hu > _CALCIFIED_HU))
    bright = brain & (coarse.hu >= BLOOD_HU[0]) & (coarse.hu <= BLOOD_HU[1])
    if hard.any():
        bright &= cm.distance_mm(hard, coarse.spacing_mm) > _BONE_RIM_MM
    if not bright.any():
        return []
    core = cm.erode(bright, _THIN_MM, coarse.spacing_mm)
    grown = bright & cm.dilate(core, 2 * _THIN_MM, coarse.spacing_mm)
    labels, voxel_ml = cm.components(grown), float(np.prod(coarse.spacing_mm)) / 1000.0
    sizes_ml = np.bincount(labels.ravel())[1:] * voxel_ml
    corner = np.array([0, top, left]) + (np.array(coarse.factors) - 1) / 2
    return [
        (np.argwhere(labels == number) * coarse.factors + corner, float(ml))
        for number, ml in enumerate(sizes_ml, start=1)
        if ml >= _MIN_PART_ML
    ]


def noise_hu(volume: Volume, mask: Volume) -> float:
    """σ of the noise within tissue in a slice of 5 mm, HU: a robust estimate of detail finer than 5 mm in plane.

    volume: HU, SPL. mask: brain, same grid. Measured on five slices around the brain's middle.
    """
    planes = middle_planes(volume, mask)
    if planes is None:
        return 0.0
    tissue = planes.inside & (planes.smooth > _TISSUE_HU[0]) & (planes.smooth < _TISSUE_HU[1])
    fine = (planes.hu - planes.smooth)[tissue]
    return float(1.4826 * np.median(np.abs(fine - np.median(fine)))) if fine.size else 0.0


class Planes(NamedTuple):
    """Slices of 5 mm, (n, H, W). hu: as scanned. smooth: 0 to 80 HU, smoothed over 5 mm in plane. inside: the brain."""

    hu: NDArray[np.float32]
    smooth: NDArray[np.float32]
    inside: NDArray[np.bool_]


def middle_planes(volume: Volume, mask: Volume) -> Planes | None:
    """Five slices around the brain's middle; None without brain. volume: HU, SPL. mask: brain, same grid."""
    used = np.flatnonzero(mask.data.any(axis=(1, 2)))
    if not len(used):
        return None
    middle = np.unique(np.linspace(0.35, 0.75, _NOISE_SLICES) * (len(used) - 1)).astype(int)
    hu = volume.data[used[0] : used[-1] + 1].astype(np.float32, copy=False)
    slab = slab_mean(hu, volume.grid.spacing_mm[0], middle.tolist())
    smooth = smooth_in_plane(np.clip(slab, 0.0, 80.0), volume.grid.spacing_mm, 5.0)
    return Planes(slab, smooth, mask.data[used[0] + middle] > 0)
