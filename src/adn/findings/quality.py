"""What in a scan makes a prediction doubtful: a cut brain, noise, and bright spots that may be blood."""

from __future__ import annotations

import numpy as np

from adn.findings.hypodensity import slab_mean, smooth_in_plane
from adn.prepare import coarse as cm
from adn.prepare.brain_shape import BONE_HU, COARSE_MM
from adn.results import USUAL_BRAIN_ML
from adn.space.volume import Volume

CUT_MM2 = 2500.0  # a last slice with more brain than this is not the vertex, nor the foramen magnum
BLOOD_HU = (55.0, 95.0)
_BONE_RIM_MM = 6.0  # partial volume of bone and of calcification, and the sinuses along the skull
_CALCIFIED_HU = 100.0
_ENHANCED_HU = 50.0
_THIN_MM = 2.5  # half width of the falx, the tentorium and of vessels
_MIN_PART_ML = 0.25  # smaller ones are calcified plexus, noise, ends of the falx
_NOISE_SLICES = 5
_TISSUE_HU = (20.0, 48.0)


def cut_ends(mask: Volume) -> tuple[bool, bool]:
    """Whether the brain reaches the scan's first (lowest) and last slice, so that its base or vertex is missing."""
    spl = mask.reoriented("SPL")
    pixel_mm2 = spl.grid.voxel_ml * 1000.0 / spl.grid.spacing_mm[0]
    low, high = ((spl.data[end] > 0).sum() * pixel_mm2 > CUT_MM2 for end in (0, -1))
    return bool(low), bool(high)


def inspect_mask(volume_hu: Volume, mask: Volume) -> tuple[str, ...]:
    """Plain warnings about the brain mask of a scan: vertex or base cut off, unusual volume, blood-like brightness."""
    spl = mask.reoriented("SPL")
    inside = spl.data > 0
    base_cut, vertex_cut = cut_ends(spl)
    volume_ml = float(inside.sum()) * spl.grid.voxel_ml
    warnings = []
    if vertex_cut:
        warnings.append("The top of the head is cut off: the brain reaches the last slice; what lies above is unseen.")
    if base_cut:
        warnings.append("The base of the brain is cut off: it reaches the first slice; what lies below is unseen.")
    if not USUAL_BRAIN_ML[0] <= volume_ml <= USUAL_BRAIN_ML[1]:
        size = "small" if volume_ml < USUAL_BRAIN_ML[0] else "large"
        warnings.append(f"The brain mask is unusually {size}: {volume_ml:.0f} mL inside the skull; check the mask.")
    if inside.any() and (median_hu := float(np.median(volume_hu.reoriented("SPL").data[inside]))) > _ENHANCED_HU:
        warnings.append(f"The brain is unusually bright (median {median_hu:.0f} HU): contrast-enhanced, or not in HU?")
    return tuple(warnings)


def bright_ml(volume: Volume, mask: Volume) -> float:
    """mL of brain of 55 to 95 HU in compact parts (more than 5 mm thick) away from bone and calcification.

    volume: HU, SPL. mask: brain, same grid. Looked for on voxels of about 2 mm, where noise is averaged.
    """
    where = np.argwhere(mask.data.any(axis=0))
    if not len(where):
        return 0.0
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
        return 0.0
    core = cm.erode(bright, _THIN_MM, coarse.spacing_mm)
    grown = bright & cm.dilate(core, 2 * _THIN_MM, coarse.spacing_mm)
    sizes_ml = np.bincount(cm.components(grown).ravel())[1:] * float(np.prod(coarse.spacing_mm)) / 1000.0
    return float(sizes_ml[sizes_ml >= _MIN_PART_ML].sum())


def noise_hu(volume: Volume, mask: Volume) -> float:
    """σ of the noise within tissue in a slice of 5 mm, HU: what is finer than 5 mm in plane, by the median.

    volume: HU, SPL. mask: brain, same grid. Read from five slices about the brain's middle.
    """
    used = np.flatnonzero(mask.data.any(axis=(1, 2)))
    if not len(used):
        return 0.0
    slab = slab_mean(volume.data[used[0] : used[-1] + 1].astype(np.float32), volume.grid.spacing_mm[0])
    middle = np.unique(np.linspace(0.35, 0.75, _NOISE_SLICES) * (len(used) - 1)).astype(int)
    planes = np.clip(slab[middle], 0.0, 80.0)
    inside = mask.data[used[0] + middle] > 0
    smooth = smooth_in_plane(planes, volume.grid.spacing_mm, 5.0)
    fine = (slab[middle] - smooth)[inside & (smooth > _TISSUE_HU[0]) & (smooth < _TISSUE_HU[1])]
    return float(1.4826 * np.median(np.abs(fine - np.median(fine)))) if fine.size else 0.0
