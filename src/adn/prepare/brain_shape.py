"""Checks whether a mask can be the brain of a head CT with skull."""

from __future__ import annotations

import numpy as np

from adn.prepare import coarse as cm
from adn.prepare.coarse import Mask
from adn.prepare.part import is_part
from adn.remarks import Doubt
from adn.space.geometry import Grid, bounding_box
from adn.space.volume import Volume

COARSE_MM = 2.0  # working voxel size: finer than gaps in the inner table, and fast (seconds)
BONE_HU = 130.0  # above fresh blood (90) and half a thin bone's partial volume
PLAUSIBLE_ML = (300.0, 2300.0)  # volume of a whole brain
_PART_ML_PER_MM = 1.5  # 15 cm² of brain in a slice
BRAIN_MEAN_HU = (5.0, 75.0)
MIN_COVER = 0.5  # minimum share of the brain's shell with bone nearby
_COVER_MM = 5.0
_DENSE_HU, _AIR_HU = 350.0, -100.0
_MAX_DENSE = 0.03  # largest share; calcification and a shunt stay below it
_MAX_AIR = 0.05  # largest share; air after surgery stays below it


def plausible_ml(grid: Grid) -> tuple[float, float]:
    """Smallest and largest plausible brain volume on a grid in SPL order, mL.

    The minimum for a part of a head fits the skull base and the vertex, where slices hold a third of the brain that
    middle slices do.
    """
    height_mm = grid.shape[0] * grid.spacing_mm[0]
    least_ml = _PART_ML_PER_MM * height_mm if is_part(grid) else PLAUSIBLE_ML[0]
    return least_ml, PLAUSIBLE_ML[1]


def doubt_brain(volume_hu: Volume, mask: Volume) -> Doubt | None:
    """Why a mask cannot be the brain of a head CT with skull; None if nothing speaks against it.

    volume_hu: finite HU; mask: on the same grid. Checks volume, density, bone and air inside, skipped slices, and the
    skull around it.
    """
    scan, inside = volume_hu.reoriented("SPL"), mask.reoriented("SPL").data > 0
    volume_ml = float(inside.sum()) * scan.grid.voxel_ml
    low, high = plausible_ml(scan.grid)
    if not low <= volume_ml <= high:
        return Doubt("volume", {"brain_ml": volume_ml})
    hu = scan.data[inside]
    mean_hu = float(hu.mean())
    if not BRAIN_MEAN_HU[0] <= mean_hu <= BRAIN_MEAN_HU[1]:
        return Doubt("density", {"mean_hu": mean_hu})
    dense, air = float((hu > _DENSE_HU).mean()), float((hu < _AIR_HU).mean())
    if dense > _MAX_DENSE or air > _MAX_AIR:
        return Doubt("bone_or_air", {"bone_percent": 100 * dense, "air_percent": 100 * air})
    used = np.flatnonzero(inside.any(axis=(1, 2)))
    if used[-1] - used[0] + 1 > used.size:
        return Doubt("skips_slices")
    # Only the surroundings of the brain: bone further away does not matter.
    crop = bounding_box(inside, [int(np.ceil(3 * _COVER_MM / step)) for step in scan.grid.spacing_mm])
    coarse = cm.coarsen(np.clip(scan.data[crop], -1024.0, 1500.0), scan.grid.spacing_mm, COARSE_MM)
    share = bony_share(cm.block_mean(inside[crop], coarse.factors) > 0.5, coarse.hu > BONE_HU, coarse.spacing_mm)
    return None if share >= MIN_COVER else Doubt("little_bone", {"bone_percent": 100 * share})


def bony_share(brain: Mask, bone: Mask, spacing_mm: tuple[float, float, float]) -> float:
    """Share of the shell around the brain with bone nearby: large inside a skull, small in an abdomen."""
    away = cm.distance_mm(brain, spacing_mm)
    shell = (away > 0.0) & (away <= _COVER_MM)
    near_bone = cm.distance_mm(bone, spacing_mm) <= _COVER_MM
    return float((shell & near_bone).sum()) / max(int(shell.sum()), 1)
