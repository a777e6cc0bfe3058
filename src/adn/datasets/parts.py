"""Parts of heads: places slices with gaps between them at their true heights and records which were acquired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from adn.errors import InputError
from adn.io import write_volume
from adn.prepare import coarse as cm
from adn.prepare.part import copies_needed
from adn.space.geometry import Grid
from adn.space.volume import Volume

_CLOSE_MM = 2.0  # the holes that thresholding leaves are smaller
SPECKLED = 0.05  # closing and filling add at least this share to a speckled mask, and less to one drawn by hand
_APART_MM = 1000.0  # as slice distance: morphology within slices only
_RANGE_HU = (-1024.0, 3071.0)  # what scanners store
_OFF_STEP = 0.1  # tolerance, in steps, for gaps that are not exact multiples of the step
_TALLEST_MM = 600.0  # head and neck; numbers that span more are not slice numbers


@dataclass(frozen=True, eq=False)
class PartOfHead:
    """A part of a head on one regular grid, SPL. ct: int16 HU; infarct, seen: uint8.

    seen: 1 in slices that were acquired. The others are interpolated between acquired neighbours, or repeat the end of
    a short stack.
    """

    ct: Volume
    infarct: Volume
    seen: Volume

    @property
    def infarct_ml(self) -> float:
        """Outlined volume in acquired slices, mL."""
        return float(((self.infarct.data > 0) & (self.seen.data > 0)).sum()) * self.infarct.grid.voxel_ml

    def acquired(self, volume: Volume) -> Volume:
        """Only the acquired slices of a volume on this grid, for example for a picture."""
        data = volume.data[self.seen.data.any(axis=(1, 2))]
        return Volume(data, Grid.centred(data.shape, volume.grid.spacing_mm), volume.unit)

    def write(self, folder: Path) -> None:
        """Write ct.nii.gz, infarct.nii.gz and seen.nii.gz into an existing folder. Raises OutputError."""
        for name, volume in (("ct", self.ct), ("infarct", self.infarct), ("seen", self.seen)):
            write_volume(volume, folder / f"{name}.nii.gz")


def lay_slices(
    hu: NDArray, infarct: NDArray, spacing_mm: tuple[float, float, float], places: Sequence[int] | None = None
) -> PartOfHead:
    """Place slices at their heights on a regular grid, lowest first.

    hu, infarct: (n, rows, columns), rows to posterior, columns to patient left; HU are clipped to what scanners store.
    spacing_mm: of neighbouring slices, rows and columns. places: rising slice numbers, one step being spacing_mm[0];
    None if there are no gaps. Slices in the gaps are interpolated linearly, the infarct by the distance from its
    border; a stack that is too short gets copies of its ends, as at prediction (`adn.prepare.part`). Raises InputError
    if the numbers do not rise, or their count differs from the slices'.
    """
    steps = list(range(len(hu))) if places is None else [int(place) - int(places[0]) for place in places]
    if len(steps) != len(hu) or hu.shape != infarct.shape or any(b <= a for a, b in pairwise(steps)):
        raise InputError(
            f"{len(hu)} slices of {hu.shape[1:]} with masks of {infarct.shape} need as many rising slice numbers, "
            f"got {steps}; check the order."
        )
    ct = np.empty((steps[-1] + 1, *hu.shape[1:]), np.int16)
    seen = np.zeros(ct.shape, np.uint8)
    for plane, place in zip(hu, steps, strict=True):
        ct[place], seen[place] = np.rint(np.clip(plane, *_RANGE_HU)), 1
    for low, high in pairwise(steps):
        _between(ct, low, high)
    ends = _ends(len(ct), spacing_mm)
    ct, seen = np.pad(ct, ends, "edge"), np.pad(seen, ends)
    grid = Grid.centred(ct.shape, spacing_mm)
    return PartOfHead(Volume(ct, grid), lay_mask(infarct, spacing_mm, steps), Volume(seen, grid, "label"))


def lay_mask(mask: NDArray, spacing_mm: tuple[float, float, float], places: Sequence[int]) -> Volume:
    """Place a mask (n, rows, columns) on the grid that `lay_slices` makes for the same numbers."""
    steps = [int(place) - int(places[0]) for place in places]
    inside = np.zeros((steps[-1] + 1, *mask.shape[1:]), np.uint8)
    for plane, place in zip(mask, steps, strict=True):
        inside[place] = plane > 0
    for low, high in pairwise(steps):
        _mask_between(inside, low, high)
    inside = np.pad(inside, _ends(len(inside), spacing_mm), "edge")
    return Volume(inside, Grid.centred(inside.shape, spacing_mm), "label")


def slice_numbers(heights_mm: Sequence[float]) -> tuple[list[int], float]:
    """Slice numbers from 0 for slices at rising heights, and the distance that one number stands for, mm.

    Raises InputError if the distances are not multiples of the smallest, so that no even step fits all slices.
    """
    gaps = np.diff(np.asarray(heights_mm, np.float64))
    if not len(gaps) or gaps.min() <= 0:
        raise InputError(f"the distance between slices is not known from {len(heights_mm)} at different heights")
    counts = np.rint(gaps / gaps.min())
    step = float(gaps.sum() / counts.sum())
    if np.abs(gaps - counts * step).max() > _OFF_STEP * step or gaps.sum() > _TALLEST_MM:
        raise InputError(
            f"the slices lie {gaps.min():.1f} to {gaps.max():.1f} mm apart, {gaps.sum():.0f} mm in all, "
            "which no even step explains"
        )
    return [0, *(int(number) for number in np.cumsum(counts))], step


def _ends(height: int, spacing_mm: tuple[float, float, float]) -> tuple[tuple[int, int], ...]:
    """Numbers of copies of the first and last slice for a stack of this height, as `numpy.pad` takes them."""
    return copies_needed(height, spacing_mm[0]), (0, 0), (0, 0)


def _between(ct: NDArray[np.int16], low: int, high: int) -> None:
    """Interpolate the slices between two acquired ones."""
    first, last = ct[low].astype(np.float32), ct[high].astype(np.float32)
    for place in range(low + 1, high):
        share = (place - low) / (high - low)
        ct[place] = np.rint((1 - share) * first + share * last)


def _mask_between(mask: NDArray[np.uint8], low: int, high: int) -> None:
    """The same for a mask: by distance from its border, or by the nearer slice if one of the two is empty."""
    if high - low < 2:
        return
    both = mask[low].any() and mask[high].any()
    depth = [_depth(mask[place]) for place in (low, high)] if both else []
    for place in range(low + 1, high):
        share = (place - low) / (high - low)
        if both:
            mask[place] = (1 - share) * depth[0] + share * depth[1] > 0
        else:
            mask[place] = mask[low if share <= 0.5 else high]


def _depth(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance in pixels from a mask's border, positive inside."""
    image = sitk.GetImageFromArray(mask)
    return sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, insideIsPositive=True, squaredDistance=False))


def close_speckles(
    infarct: NDArray, spacing_mm: tuple[float, float, float], limit: float = SPECKLED
) -> tuple[NDArray[np.uint8], float]:
    """Close and fill, slice by slice, a mask that thresholding left speckled; other masks are left alone.

    infarct: (n, rows, columns). limit: share that closing must add to count as speckled. Returns the mask, uint8, and
    the share added.
    """
    mask = infarct > 0
    if not mask.any():
        return mask.astype(np.uint8), 0.0
    spacing = (_APART_MM, *spacing_mm[1:])
    closed = cm.fill_slices(cm.close(mask, _CLOSE_MM, spacing))
    share = float(closed.sum() / mask.sum()) - 1.0
    return (closed if share >= limit else mask).astype(np.uint8), share
