"""Detects contrast agent from bright vessels, in slices through the vault, where the skull is a simple ring.

Without contrast, hardly anything there exceeds 100 HU except calcified plexus and pineal gland, which few slices show;
enhanced arteries, veins and sinuses appear in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from adn.remarks import Remark
from adn.space.volume import Volume

ENHANCED_MM2 = 10.0  # median over slices; see docs/reliability.md
BRIGHT_HU = (100.0, 600.0)  # above fresh blood and noise, below metal
LEAST_SLICES, LEAST_MM = 4, 40.0  # needed through the vault for a result
MOST_SLICES = 24  # maximum number of slices examined
_SLAB_MM, _PIXEL_MM = 4.0, 0.9  # thin slices and pixels are averaged
_BONE_HU, _AIR_HU = 200.0, -300.0
_SKULL_MM2 = 400.0  # smaller parts are vessels and calcification
_RIM_MM = 3.0  # width beside the skull into which bone blurs
_VAULT_MM = 18.0  # greatest depth of bone in the vault; deeper bone is skull base
_BASE_MM2, _INSIDE_MM2, _SINUS_MM2 = 60.0, 4000.0, 500.0  # most skull base, least brain, most enclosed air


def enhanced_remarks(volume: Volume) -> list[Remark]:
    """A remark if vessels are as bright as with a contrast agent. volume: HU, any axis order."""
    bright = bright_mm2(volume)
    return [] if bright is None or bright <= ENHANCED_MM2 else [Remark("contrast_seen", {"bright_mm2": bright})]


def bright_mm2(volume: Volume) -> float | None:
    """Median area per vault slice that is as bright as enhanced vessels, mm²; None if there are too few slices."""
    upright = volume.view("SPL")
    slice_mm, row_mm, column_mm = upright.grid.spacing_mm
    count = max(1, round(_SLAB_MM / slice_mm))
    firsts = np.arange(0, len(upright.data) - count + 1, count)
    apart_mm = slice_mm * count
    if len(firsts) > MOST_SLICES:
        apart_mm *= (len(firsts) - 1) / (MOST_SLICES - 1)
        firsts = firsts[np.linspace(0, len(firsts) - 1, MOST_SLICES).round().astype(int)]
    planes = [upright.data[first : first + count].mean(0, dtype=np.float32) for first in firsts]
    return bright_mm2_of(planes, (row_mm, column_mm), apart_mm)


def bright_mm2_of(planes: Sequence[NDArray], pixel_mm: tuple[float, float], apart_mm: float) -> float | None:
    """The same for axial slices (rows, columns) in HU, `apart_mm` apart; their in-plane orientation is irrelevant."""
    areas = [_bright(_averaged(plane, pixel_mm), pixel_mm) for plane in planes]
    known = [area for area in areas if area is not None]
    enough = len(known) >= LEAST_SLICES and len(known) * apart_mm >= LEAST_MM
    return float(np.median(known)) if enough else None


def _averaged(plane: NDArray, pixel_mm: tuple[float, float]) -> NDArray[np.float32]:
    """The slice (rows, columns), averaged to larger pixels."""
    rows, columns = _factors(pixel_mm)
    plane = plane[: len(plane) // rows * rows, : plane.shape[1] // columns * columns].astype(np.float32)
    return plane.reshape(len(plane) // rows, rows, -1, columns).mean((1, 3))


def _factors(pixel_mm: tuple[float, float]) -> tuple[int, int]:
    rows, columns = (max(1, round(_PIXEL_MM / mm)) for mm in pixel_mm)
    return rows, columns


def _bright(plane: NDArray[np.float32], pixel_mm: tuple[float, float]) -> float | None:
    """Bright area in one slice, mm²; None if the slice does not pass through the vault."""
    sampling = [mm * factor for mm, factor in zip(pixel_mm, _factors(pixel_mm), strict=True)]
    pixel_mm2 = sampling[0] * sampling[1]
    body = np.argwhere(plane > _AIR_HU)
    if not len(body):
        return None
    (top, left), (bottom, right) = body.min(0), body.max(0) + 1
    plane = np.pad(plane[top:bottom, left:right], 1, constant_values=-1000.0)
    labelled: Any = ndimage.label(plane > _BONE_HU)
    parts = labelled[0]
    sizes = np.bincount(parts.ravel()) * pixel_mm2
    sizes[0] = 0.0
    skull = (sizes > _SKULL_MM2)[parts]
    filled = np.asarray(ndimage.binary_fill_holes(skull), bool)
    inside = filled & ~skull
    if inside.sum() * pixel_mm2 < _INSIDE_MM2:
        return None
    air = np.asarray(ndimage.binary_fill_holes(plane > _AIR_HU), bool) & (plane < _AIR_HU)
    if air.sum() * pixel_mm2 > _SINUS_MM2:
        return None
    depth_mm: Any = ndimage.distance_transform_edt(filled, sampling=sampling)
    if (skull & (depth_mm > _VAULT_MM)).sum() * pixel_mm2 > _BASE_MM2:
        return None
    away_mm: Any = ndimage.distance_transform_edt(~skull, sampling=sampling)
    bright = inside & (away_mm > _RIM_MM) & (plane > BRIGHT_HU[0]) & (plane < BRIGHT_HU[1])
    return float(bright.sum()) * pixel_mm2
