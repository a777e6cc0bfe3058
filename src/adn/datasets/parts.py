"""Parts of heads: slices with gaps between them, laid at their true heights, and which of them were acquired."""

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

_CLOSE_MM = 2.0  # holes of a threshold's speckle are smaller
SPECKLED = 0.05  # closing and filling add this share and more to a speckled mask, and less to one drawn by hand
_APART_MM = 1000.0  # as slice distance: morphology within slices only


@dataclass(frozen=True, eq=False)
class PartOfHead:
    """A part of a head on one regular grid, SPL. ct: int16 HU; infarct, seen: uint8.

    seen: 1 in slices that were acquired. Others lie between their acquired neighbours, or repeat the end of a short
    stack.
    """

    ct: Volume
    infarct: Volume
    seen: Volume

    @property
    def infarct_ml(self) -> float:
        """Outlined volume in acquired slices, mL."""
        return float(((self.infarct.data > 0) & (self.seen.data > 0)).sum()) * self.infarct.grid.voxel_ml

    def write(self, folder: Path) -> None:
        """Write ct.nii.gz, infarct.nii.gz and seen.nii.gz into a folder that exists. Raises OutputError."""
        for name, volume in (("ct", self.ct), ("infarct", self.infarct), ("seen", self.seen)):
            write_volume(volume, folder / f"{name}.nii.gz")


def lay_slices(
    hu: NDArray, infarct: NDArray, spacing_mm: tuple[float, float, float], places: Sequence[int] | None = None
) -> PartOfHead:
    """Lay slices at their heights on a regular grid, lowest first.

    hu, infarct: (n, rows, columns), rows to posterior, columns to patient left. spacing_mm: of neighbouring slices,
    rows and columns. places: rising slice numbers, a step of which is spacing_mm[0]; None where there are no gaps.
    Slices between them are interpolated linearly, the infarct by the distance from its border; a stack that is too low
    gets copies of its ends, as prediction would give it (`adn.prepare.part`). Raises InputError for numbers that do not
    rise, or are not as many as the slices.
    """
    steps = list(range(len(hu))) if places is None else [int(place) - int(places[0]) for place in places]
    if len(steps) != len(hu) or hu.shape != infarct.shape or any(b <= a for a, b in pairwise(steps)):
        raise InputError(
            f"{len(hu)} slices of {hu.shape[1:]} with masks of {infarct.shape} need as many rising slice numbers, "
            f"got {steps}; check the order."
        )
    height = steps[-1] + 1
    below, above = copies_needed(height, spacing_mm[0])
    shape = (height, *hu.shape[1:])
    ct, inside, seen = np.empty(shape, np.int16), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for plane, mask, place in zip(hu, infarct, steps, strict=True):
        ct[place], inside[place], seen[place] = np.rint(plane), mask > 0, 1
    for low, high in pairwise(steps):
        _between(ct, inside, low, high)
    ends = ((below, above), (0, 0), (0, 0))
    ct, inside, seen = np.pad(ct, ends, "edge"), np.pad(inside, ends, "edge"), np.pad(seen, ends)
    grid = Grid.centred(ct.shape, spacing_mm)
    return PartOfHead(Volume(ct, grid), Volume(inside, grid, "label"), Volume(seen, grid, "label"))


def _between(ct: NDArray[np.int16], infarct: NDArray[np.uint8], low: int, high: int) -> None:
    """Fill the slices between two acquired ones."""
    if high - low < 2:
        return
    first, last = ct[low].astype(np.float32), ct[high].astype(np.float32)
    depth = [_depth(infarct[place]) for place in (low, high)]
    for place in range(low + 1, high):
        share = (place - low) / (high - low)
        ct[place] = np.rint((1 - share) * first + share * last)
        if infarct[low].any() and infarct[high].any():
            infarct[place] = (1 - share) * depth[0] + share * depth[1] > 0
        else:
            infarct[place] = infarct[low if share <= 0.5 else high]


def _depth(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance in pixels from a mask's border, positive inside."""
    image = sitk.GetImageFromArray(mask)
    return sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, insideIsPositive=True, squaredDistance=False))


def close_speckles(
    infarct: NDArray, spacing_mm: tuple[float, float, float], limit: float = SPECKLED
) -> tuple[NDArray[np.uint8], float]:
    """Close and fill a mask that a threshold left speckled, slice by slice; others stay as they are.

    infarct: (n, rows, columns). limit: share that closing must add. Returns the mask, uint8, and that share.
    """
    mask = infarct > 0
    if not mask.any():
        return mask.astype(np.uint8), 0.0
    spacing = (_APART_MM, *spacing_mm[1:])
    closed = cm.fill_slices(cm.close(mask, _CLOSE_MM, spacing))
    share = float(closed.sum() / mask.sum()) - 1.0
    return (closed if share >= limit else mask).astype(np.uint8), share
