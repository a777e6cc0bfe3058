"""The classical skull stripper: everything inside the inner table of the skull, found by bone and millimetres.

On a coarser copy, soft tissue is split into brain and the rest by a watershed on the distance to whatever is not soft
tissue: floods that start deep inside the skull and in the tissues outside it meet at the narrowest places, which are
the holes of the skull base. Then the border is drawn on the scan's own voxels.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.prepare import coarse as cm
from adn.prepare.coarse import Mask
from adn.volume import Volume

log = logging.getLogger(__name__)

_COARSE_MM = 2.0  # working voxel; the inner table's gaps are wider, the run time is seconds
_BONE_HU = 160.0  # above fresh blood (90) and half a thin bone's partial volume
_SOFT_HU = -25.0  # below CSF with noise, above fat
_HEAD_HU = -300.0  # between air and skin
_CORE_MM = 12.0  # deeper than this only brain, tongue and neck muscle lie; deeper than the spinal canal
_LEAK_MM = 3.5  # half width of the skull-base holes that opening must cut
_CANAL_ML_PER_MM = 1.0  # 10 cm² of cross-section: below it lies the spinal canal
_PLAUSIBLE_ML = (300.0, 2300.0)
_USUAL_ML = (900.0, 1900.0)
_BRAIN_MEAN_HU = (5.0, 75.0)
_NO_BRAIN = (
    "A head CT with a brain was needed, but there is no brain inside ({why}). Check that the scan is a head CT in HU."
)


def strip_skull(volume_hu: Volume) -> Volume:
    """Find the brain: all tissue and CSF inside the inner table, holes filled.

    volume_hu: finite HU, any axis order; padding ≤ -1000. Returns a uint8 mask on the same grid, the same for any axis
    order. A scan already without skull keeps its parenchyma. Raises InputError where nothing looks like a brain.
    """
    scan = volume_hu.reoriented("SPL")
    spacing = scan.grid.spacing_mm
    coarse = cm.coarsen(np.clip(scan.data, -1024.0, 1500.0), spacing, _COARSE_MM)
    stripped = _already_stripped(coarse)
    brain = _parenchyma(scan.data, coarse) if stripped else _intracranial(coarse)
    mask = _draw_border(scan.data, brain, coarse.factors, spacing, stripped)
    _require_brain(scan.data, mask, scan.grid.voxel_ml)
    return Volume(mask.astype(np.uint8), scan.grid, "label").reoriented(volume_hu.grid.axes)


def inspect_mask(volume_hu: Volume, mask: Volume) -> tuple[str, ...]:
    """Plain warnings about a brain mask: vertex cut off, base cut off, unusual volume."""
    inside = mask.reoriented("SPL").data > 0
    grid = mask.grid
    a_mm2 = inside.sum(axis=(1, 2)) * grid.voxel_ml * 1000.0 / volume_hu.reoriented("SPL").grid.spacing_mm[0]
    volume_ml = float(inside.sum()) * grid.voxel_ml
    warnings = []
    if a_mm2[-1] > 2500.0:
        warnings.append(
            "The top of the head is cut off: the brain reaches the last slice, so what lies above is unseen."
        )
    if a_mm2[0] > 5000.0:
        warnings.append(
            "The base of the brain is cut off: the brain reaches the first slice, so what lies below is unseen."
        )
    if not _USUAL_ML[0] <= volume_ml <= _USUAL_ML[1]:
        size = "small" if volume_ml < _USUAL_ML[0] else "large"
        warnings.append(f"The brain mask is unusually {size}: {volume_ml:.0f} mL inside the skull; check the mask.")
    return tuple(warnings)


def _already_stripped(coarse: cm.Coarse) -> bool:
    """True where hardly any bone is left around the soft tissue."""
    tissue = int((coarse.hu > _HEAD_HU).sum()) if (coarse.hu < _HEAD_HU).mean() > 0.2 else int((coarse.hu > 5).sum())
    return int((coarse.hu > _BONE_HU).sum()) < 0.02 * max(tissue, 1)


def _parenchyma(hu: NDArray, coarse: cm.Coarse) -> Mask:
    """Brain of a scan without skull: what differs from the background, which is 0 or far below any tissue."""
    if (hu == 0).mean() > 0.3:
        tissue = cm.coarsen((hu != 0).astype(np.float32), (1.0, 1.0, 1.0), 1.0).hu
        tissue = _match(tissue, coarse)
    else:
        tissue = (coarse.hu > -100.0).astype(np.float32)
    brain = cm.largest(tissue > 0.5)
    return cm.fill_slices(cm.close(brain, 4.0, coarse.spacing_mm))


def _match(tissue: NDArray, coarse: cm.Coarse) -> NDArray:
    return cm.coarsen(tissue, tuple(1.0 / f for f in coarse.factors), 1.0).hu


def _intracranial(coarse: cm.Coarse) -> Mask:
    """The space inside the skull on the coarse grid."""
    spacing = coarse.spacing_mm
    bone = coarse.hu > _BONE_HU
    soft = (coarse.hu > _SOFT_HU) & ~bone
    depth = cm.distance_mm(~soft, spacing)
    enclosed = _bony_directions(bone)
    core = cm.largest((depth > _CORE_MM) & (enclosed >= 4))
    if not core.any():
        raise InputError(_NO_BRAIN.format(why="no soft tissue lies deep inside bone"))
    outside = soft & (enclosed <= 2)
    markers = np.where(core, 1, np.where(outside, 2, np.where(soft, 0, 3))).astype(np.uint8)
    brain = cm.watershed(-depth, markers) == 1
    brain = _cut_leaks(brain, spacing)
    brain = _cut_canal(brain, spacing)
    return cm.fill_slices(cm.close(brain, 4.0, spacing))


def _bony_directions(bone: Mask) -> NDArray[np.int8]:
    """In how many of the four in-plane directions a voxel sees bone."""
    count = np.zeros(bone.shape, np.int8)
    for axis in (1, 2):
        count += np.maximum.accumulate(bone, axis=axis)
        count += np.flip(np.maximum.accumulate(np.flip(bone, axis), axis=axis), axis)
    return count


def _cut_leaks(brain: Mask, spacing: tuple[float, float, float]) -> Mask:
    """Opening by reconstruction within a small distance: thin leaks go, the cortex stays."""
    core = cm.largest(cm.erode(brain, _LEAK_MM, spacing))
    return brain & cm.dilate(core, _LEAK_MM + 2.0, spacing)


def _cut_canal(brain: Mask, spacing: tuple[float, float, float]) -> Mask:
    """Drop the spinal canal: slices below the brain's widest whose cross-section is small."""
    area = brain.sum(axis=(1, 2)) * spacing[1] * spacing[2] / 1000.0
    widest = int(np.argmax(area))
    small = np.flatnonzero(area[:widest] < _CANAL_ML_PER_MM)
    result = brain.copy()
    if small.size:
        result[: small[-1] + 1] = False
    return result


def _draw_border(
    hu: NDArray, brain: Mask, factors: tuple[int, int, int], spacing: tuple[float, float, float], stripped: bool
) -> Mask:
    """The coarse mask on the scan's own voxels, its border where soft tissue ends."""
    coarse_spacing = tuple(f * s for f, s in zip(factors, spacing, strict=True))
    if not brain.any():
        raise InputError(_NO_BRAIN.format(why="no soft tissue inside bone is as large as a brain"))
    used = [np.flatnonzero(brain.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    start = [max((int(u[0]) - 2) * f, 0) for u, f in zip(used, factors, strict=True)]
    stop = [min((int(u[-1]) + 3) * f, n) for u, f, n in zip(used, factors, hu.shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    shape = tuple(b - a for a, b in zip(start, stop, strict=True))
    signed = cm.distance_mm(~brain, coarse_spacing) - cm.distance_mm(brain, coarse_spacing)
    near = cm.refine(np.clip(signed, -20, 20), factors, tuple(start), shape)
    tissue = hu[box]
    if stripped:
        inside = (near > 0.0) & (tissue > -100.0)
    else:
        sure = near > 4.0
        inside = (near > -1.5) & (tissue < 200.0) & (tissue > -60.0) | sure
    result = np.zeros(hu.shape, bool)
    result[box] = cm.fill_slices(cm.largest(inside))
    return result


def _require_brain(hu: NDArray, mask: Mask, voxel_ml: float) -> None:
    volume_ml = float(mask.sum()) * voxel_ml
    if not _PLAUSIBLE_ML[0] <= volume_ml <= _PLAUSIBLE_ML[1]:
        raise InputError(_NO_BRAIN.format(why=f"{volume_ml:.0f} mL of soft tissue inside bone"))
    mean_hu = float(hu[mask].mean())
    if not _BRAIN_MEAN_HU[0] <= mean_hu <= _BRAIN_MEAN_HU[1]:
        raise InputError(_NO_BRAIN.format(why=f"the space inside the skull has a mean of {mean_hu:.0f} HU"))
