"""The classical skull stripper: finds everything inside the inner table of the skull from bone and distances.

On a coarser copy, a watershed splits soft tissue into brain and the rest, by distance to anything that is not soft
tissue: floods that start deep inside the skull and in the tissues outside it meet at the narrowest places, the holes
of the skull base. Then the border is drawn on the scan's own voxels.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.prepare import coarse as cm
from adn.prepare.brain_shape import BONE_HU, BRAIN_MEAN_HU, COARSE_MM, MIN_COVER, bony_share, plausible_ml
from adn.prepare.canal import canal_slices
from adn.prepare.coarse import Mask
from adn.prepare.part import lengthened
from adn.space.geometry import bounding_box
from adn.space.volume import Volume

log = logging.getLogger(__name__)

_SOFT_HU = -25.0  # below CSF with noise, above fat
_HEAD_HU = -300.0  # between air and skin
_GAP_MM = 4.0  # half width of gaps in thin bone that are bridged before testing what is enclosed by bone
_AIR_MM = 6.0  # half width of the widest sinus; wider air lies around the head
_SKIN_MM = 12.0  # scalp with muscle; eyelid and half an eye
_CORE_MM = 12.0  # only brain, tongue and neck muscle reach this depth; the spinal canal does not
_LEAK_MM = 3.5  # half width of the skull-base holes that opening must cut
_SPECK_MM = 2.5  # half width, within a slice, of islands in bone that do not count as brain
_REACH_MM = 2.2  # the border may lie this far outside the coarse mask
_SURE_MM = 4.0  # deeper than this, everything counts as brain: calcification, blood, air after surgery
_AIR_EDGE_HU = -60.0
_TABLE_HU = (180.0, 350.0)  # limits for the threshold at the inner table, half-way between brain and bone
_CLOSE_MM = 4.0  # half width of calcified falx and of gaps from noise
_MIN_BONE_SHARE = 0.04  # share of everything brighter than water; a head has 0.2
_NO_TISSUE_HU = -100.0
_NO_BRAIN = (
    "Needed a head CT that shows the brain, but no brain was found ({why}). Check that the scan is a head CT in HU."
)


def strip_skull(volume_hu: Volume) -> Volume:
    """Find the brain: all tissue and CSF inside the inner table, with holes filled.

    volume_hu: finite HU, any axis order; padding ≤ -1000. Returns a uint8 mask on the same grid, the same for any axis
    order. If the skull was stripped already, it is the parenchyma. Raises InputError if nothing looks like a brain.
    """
    upright = volume_hu.reoriented("SPL")
    scan, own = lengthened(upright)
    coarse = cm.coarsen(np.clip(scan.data, -1024.0, 1500.0), scan.grid.spacing_mm, COARSE_MM)
    stripped = _already_stripped(coarse)
    brain = _parenchyma(scan.data, coarse) if stripped else _intracranial(coarse)
    if not brain.any():
        raise InputError(_NO_BRAIN.format(why="no soft tissue inside bone is as large as a brain"))
    mask = _draw_border(scan.data, brain, coarse, stripped)
    _require_brain(scan, mask)
    log.debug("brain mask: %.0f mL, already stripped: %s", mask.sum() * scan.grid.voxel_ml, stripped)
    return Volume(mask[own].astype(np.uint8), upright.grid, "label").reoriented(volume_hu.grid.axes)


def _already_stripped(coarse: cm.Coarse) -> bool:
    """Whether hardly any bone is left around the soft tissue."""
    return int((coarse.hu > BONE_HU).sum()) < _MIN_BONE_SHARE * int((coarse.hu > 5.0).sum())


def _parenchyma(hu: NDArray, coarse: cm.Coarse) -> Mask:
    """The brain in a scan without skull: whatever differs from the background, which is 0 or far below any tissue."""
    background_is_zero = np.count_nonzero(hu == 0) > 0.3 * hu.size
    tissue = cm.block_mean(hu != 0, coarse.factors) > 0.5 if background_is_zero else coarse.hu > _NO_TISSUE_HU
    return cm.fill_slices(cm.close(cm.largest(tissue), _CLOSE_MM, coarse.spacing_mm))


def _intracranial(coarse: cm.Coarse) -> Mask:
    """The space inside the skull on the coarse grid."""
    spacing = coarse.spacing_mm
    bone = coarse.hu > BONE_HU
    soft = (cm.median_in_slices(coarse.hu) > _SOFT_HU) & ~bone  # bone is not filtered: the median would erase thin bone
    depth = cm.distance_mm(~soft, spacing)
    enclosed = _bony_directions(cm.close(bone, _GAP_MM, spacing))
    core = cm.largest((depth > _CORE_MM) & (enclosed >= 4))
    if not core.any():
        raise InputError(_NO_BRAIN.format(why="no soft tissue lies deep inside bone"))
    room = cm.largest(cm.erode(coarse.hu < _HEAD_HU, _AIR_MM, spacing))  # the air around the head, not inside it
    skin = cm.distance_mm(room, spacing) < _AIR_MM + _SKIN_MM
    outside = soft & ((enclosed <= 1) | (skin & (enclosed <= 3)))
    markers = np.where(core, 1, np.where(outside, 2, np.where(soft, 0, 3))).astype(np.uint8)
    brain = cm.watershed(-depth, markers) == 1
    brain = _cut_leaks(brain, spacing)
    brain = _cut_canal(brain, spacing)
    if not brain.any() or bony_share(brain, bone, spacing) < MIN_COVER:
        raise InputError(_NO_BRAIN.format(why="no space of that size is enclosed by bone"))
    return cm.fill_slices(cm.close(brain, _CLOSE_MM, spacing))


def _bony_directions(bone: Mask) -> NDArray[np.int8]:
    """For each voxel, in how many of the four in-plane directions there is bone."""
    count = np.zeros(bone.shape, np.int8)
    for axis in (1, 2):
        count += np.maximum.accumulate(bone, axis=axis)
        count += np.flip(np.maximum.accumulate(np.flip(bone, axis), axis=axis), axis)
    return count


def _cut_leaks(brain: Mask, spacing: tuple[float, float, float]) -> Mask:
    """Remove thin leaks but keep the cortex, by opening with reconstruction over a small distance."""
    core = cm.largest(cm.erode(brain, _LEAK_MM, spacing))
    brain = brain & cm.dilate(core, _LEAK_MM + 2.0, spacing)
    in_plane = (1000.0, *spacing[1:])
    return brain & cm.dilate(cm.erode(brain, _SPECK_MM, in_plane), _SPECK_MM + 2.0, in_plane)


def _cut_canal(brain: Mask, spacing: tuple[float, float, float]) -> Mask:
    """Remove the spinal canal (see `canal.canal_slices`)."""
    result = brain.copy()
    result[: canal_slices(brain, spacing)] = False
    return result


def _draw_border(hu: NDArray, brain: Mask, coarse: cm.Coarse, stripped: bool) -> Mask:
    """Carry the coarse mask to the scan's own voxels, with its border where soft tissue ends."""
    used = bounding_box(brain)
    start = [max((part.start - 2) * f, 0) for part, f in zip(used, coarse.factors, strict=True)]
    stop = [min((part.stop + 2) * f, n) for part, f, n in zip(used, coarse.factors, hu.shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    signed = cm.distance_mm(~brain, coarse.spacing_mm) - cm.distance_mm(brain, coarse.spacing_mm)
    within = cm.refine(np.clip(signed, -20.0, 20.0), coarse.factors, start, hu[box].shape)
    tissue = hu[box]
    if stripped:
        inside = (within > 0.0) & (tissue > _NO_TISSUE_HU)
    else:
        soft = (tissue > _AIR_EDGE_HU) & (tissue < _inner_table_hu(tissue, within))
        inside = ((within > -_REACH_MM) & soft) | (within > _SURE_MM)
    result = np.zeros(hu.shape, bool)
    result[box] = cm.fill_slices(cm.largest(inside))
    return result


def _inner_table_hu(tissue: NDArray, within: NDArray[np.float32]) -> float:
    """HU half-way between the brain and the bone around it; a fixed 160 HU would cut off half a voxel of cortex."""
    around = tissue[(within < 0.0) & (within > -6.0) & (tissue > BONE_HU)]
    half = 0.5 * (float(np.percentile(around, 75)) + 35.0) if around.size else _TABLE_HU[0]
    return min(max(half, _TABLE_HU[0]), _TABLE_HU[1])


def _require_brain(scan: Volume, mask: Mask) -> None:
    volume_ml = float(mask.sum()) * scan.grid.voxel_ml
    low, high = plausible_ml(scan.grid)
    if not low <= volume_ml <= high:
        raise InputError(_NO_BRAIN.format(why=f"{volume_ml:.0f} mL of soft tissue inside bone"))
    mean_hu = float(scan.data[mask].mean())
    if not BRAIN_MEAN_HU[0] <= mean_hu <= BRAIN_MEAN_HU[1]:
        raise InputError(_NO_BRAIN.format(why=f"the space inside the skull has a mean of {mean_hu:.0f} HU"))
