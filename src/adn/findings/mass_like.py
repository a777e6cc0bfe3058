"""Something bright within darkened tissue, in or beside the mark, that does not look like an infarct.

A tumour or a bleed within its oedema darkens tissue as an infarct does. Readers recognise it by its bright middle.
The search is for a disc brighter, both relative to its mirror twin and in itself, than the ring around it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.answers import MassLike, NotAssessable
from adn.findings.twins import Twins
from adn.findings.water import block_noise_hu
from adn.prepare import coarse as cm
from adn.space.geometry import bounding_box

NEAR_MM = 15.0  # largest distance of the disc's middle from the mark
LIMIT_HU = 9.3  # contrast less a block's noise; found on virtual heads (benchmarks/quality/ring_lesions.py)
# Radius of a disc in mm, and by how many HU a wider one may have less contrast, since fewer occur by chance.
_DISCS = ((8.0, 0.0), (11.0, 1.5), (15.0, 2.5))
_GAP_MM, _RING_MM = 1.5, 8.0  # between the disc and the ring; the ring's outer edge beyond the disc
_DISC_SHARE, _RING_SHARE = 0.7, 0.5  # least share of each that is tissue with a twin
_FLUID_HU, _TWIN_FLUID_HU = 12.0, 15.0
_TISSUE_HU = 18.0
_GREY_PERCENTILE = 75  # of unmarked tissue
_ABOVE_GREY_HU = 7.0  # a disc this much brighter than grey matter needs no darker ring
_ABOVE_TWIN_HU = 1.0
_KEPT_HU, _HARD_HU, _RIM_MM = 20.0, 100.0, 3.0  # clip of differences; calcified above; margin to it and to the brain
_FEWEST_BLOCKS = 50


class _Sums(NamedTuple):
    """Fourier transforms along H and W of tissue (1 or 0), of its difference from the twin, and of its HU."""

    tissue: NDArray[np.complexfloating]
    difference: NDArray[np.complexfloating]
    hu: NDArray[np.complexfloating]


def mass_like(twins: Twins) -> MassLike | NotAssessable:
    """The disc with the most contrast within 15 mm of the mark, and whether it stands out as no infarct does."""
    marked = twins.infarct > 0.5
    if not marked.any():
        return NotAssessable("no_infarct" if not twins.infarct.any() else "no_tissue")
    near = cm.dilate(marked, NEAR_MM, twins.spacing_mm)
    slices = bounding_box(near)[0]
    tissue, grey_hu = _tissue(twins)
    tissue = tissue[slices]
    if tissue.sum() < _FEWEST_BLOCKS:
        return NotAssessable("no_tissue")
    hu = twins.hu[slices]
    difference = np.clip(hu - twins.mirror_hu[slices], -_KEPT_HU, _KEPT_HU)
    _, rows, columns = tissue.shape
    reach = int(np.ceil((_DISCS[-1][0] + _RING_MM) / min(twins.spacing_mm[1:])))
    size = (rows + reach, columns + reach)
    sums = _Sums(*(np.fft.rfft2(x * tissue, size) for x in (np.float32(1), difference, hu)))
    best, best_surplus = None, -np.inf
    for radius, bonus in _DISCS:
        contrast, above_grey = _contrast(sums, radius, twins, size, tissue.shape, grey_hu)
        contrast[~near[slices]] = -np.inf
        place = np.unravel_index(int(contrast.argmax()), contrast.shape)
        if contrast[place] + bonus > best_surplus:
            best_surplus = float(contrast[place] + bonus)
            best = float(contrast[place]), 2 * radius, float(above_grey[place])
    if best is None:
        return MassLike(0.0, 0.0, 0.0, looks_so=False)
    return MassLike(*best, looks_so=best_surplus - block_noise_hu(twins) >= LIMIT_HU)


def _tissue(twins: Twins) -> tuple[NDArray[np.bool_], float]:
    """Blocks of tissue with a twin, away from calcification and the brain's edge; how bright grey matter is."""
    own, twin = _mean_of_nine(twins.hu, twins.brain), _mean_of_nine(twins.mirror_hu, twins.mirror_brain)
    both = twins.brain & twins.mirror_brain
    apart = ~twins.brain | (twins.hu > _HARD_HU)
    inner = cm.distance_mm(apart, twins.spacing_mm) > _RIM_MM if apart.any() else both
    usual = both & (own > _TISSUE_HU) & (twins.infarct < 0.1) & (twins.mirror_infarct < 0.1)
    grey_hu = float(np.percentile(own[usual], _GREY_PERCENTILE)) if usual.any() else np.inf
    return both & inner & (own > _FLUID_HU) & (twin > _TWIN_FLUID_HU), grey_hu


def _contrast(
    sums: _Sums, radius_mm: float, twins: Twins, size: tuple[int, int], shape: tuple[int, ...], grey_hu: float
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """HU by which a disc around each block stands out, (D, H, W), −∞ where none fits; its HU above grey matter."""
    disc = _Kernel(0.0, radius_mm, twins.spacing_mm, size)
    ring = _Kernel(radius_mm + _GAP_MM, radius_mm + _RING_MM, twins.spacing_mm, size)
    inside, around = disc.means(sums, shape), ring.means(sums, shape)
    above_grey = inside.hu - grey_hu
    dark = (around.difference <= 0) & (above_grey > 0)
    possible = (inside.difference > _ABOVE_TWIN_HU) & (dark | (above_grey > _ABOVE_GREY_HU))
    possible &= (inside.share > _DISC_SHARE) & (around.share > _RING_SHARE)
    contrast = np.minimum(inside.difference - around.difference, inside.hu - around.hu)
    return np.where(possible, contrast, -np.inf), above_grey


class _Means(NamedTuple):
    """Tissue within a kernel around each block, (D, H, W): its share, and its mean difference and HU."""

    share: NDArray[np.floating]
    difference: NDArray[np.floating]
    hu: NDArray[np.floating]


class _Kernel:
    """A ring in plane (a disc if it begins at 0 mm), as a Fourier transform of `size`."""

    def __init__(
        self, from_mm: float, to_mm: float, spacing_mm: tuple[float, float, float], size: tuple[int, int]
    ) -> None:
        y, x = (np.fft.fftfreq(n, 1 / n) * mm for n, mm in zip(size, spacing_mm[1:], strict=True))
        away = np.hypot(y[:, None], x)
        kernel = (away >= from_mm) & (away <= to_mm)
        self.blocks, self.size = int(kernel.sum()), size
        self.transform = np.fft.rfft2(kernel.astype(np.float32), size)

    def means(self, sums: _Sums, shape: tuple[int, ...]) -> _Means:
        """Means over the tissue blocks that it covers, around each of the summed blocks (D, H, W)."""
        _, rows, columns = shape
        tissue, difference, hu = (np.fft.irfft2(x * self.transform, self.size)[:, :rows, :columns] for x in sums)
        count = np.maximum(tissue, 1.0)
        return _Means(tissue / self.blocks, difference / count, hu / count)


def _mean_of_nine(values: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Means over each block and its eight neighbours in plane, counting those in `where`; 0 where none does."""
    rows, columns = where.shape[1:]
    total, count = np.zeros(where.shape), np.zeros(where.shape)
    kept, counted = (np.pad(x, ((0, 0), (1, 1), (1, 1))) for x in (np.where(where, values, 0.0), where))
    for i in range(3):
        for j in range(3):
            total += kept[:, i : i + rows, j : j + columns]
            count += counted[:, i : i + rows, j : j + columns]
    return total / np.maximum(count, 1)
