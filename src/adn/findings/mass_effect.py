"""Mass effect: how far the septum and third ventricle lie off the mid-sagittal plane, and the fluid on each side.

The midline is found in a box around the plane, resampled into the aligned frame: slices of 5 mm, and profiles from
right to left, each averaged over 5 mm front to back.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.answers import MassEffect, NotAssessable, OneSide
from adn.findings.hypodensity import slab_mean, smooth_in_plane
from adn.findings.twins import Twins, places
from adn.prepare.resample import resample
from adn.space.affine import Affine
from adn.space.volume import Volume

_ACROSS_MM, _BACK_MM, _UP_MM = 0.75, 1.0, 3.0
_HALF_MM = 24.0
_ROWS = 5  # rows of 1 mm that make one profile
_SMOOTHING_MM = 1.8
_KEPT_HU = (-20.0, 80.0)
_PLACES = np.arange(-round(_HALF_MM / _ACROSS_MM), round(_HALF_MM / _ACROSS_MM) + 1) * _ACROSS_MM
_FURTHEST_MM, _LIKELY_MM = 14.0, 7.0  # a midline never lies further off; usual spread of shifts around the plane
_SLIT_HU, _WIDEST_MM = 4.0, 22.0  # a third ventricle: HU below the tissue on both sides, and largest width
_TISSUE_PERCENTILE = 70  # of a profile, so that a bleed does not make its surroundings look like a slit
_TOGETHER_MM, _FEWEST_SLITS = 2.0, 5  # distance of slits of one ventricle; number of profiles that must show it
_HORNS_HU = 6.0  # the horns lie this far below the tissue
_RIDGE_HU, _HORN_MM, _NEAR_MM = (
    0.5,
    10.5,
    4.0,
)  # a septum: least HU above the horns, how far out to look for these, largest distance from the third ventricle
_FEWEST = 3  # number of profiles that must show a septum
_FLUID_HU = 18.0
_NARROW, _LEAST_ML = 0.6, 5.0  # largest share of the other side's fluid, and the least fluid on that side


class _Level(NamedTuple):
    """A box in MNI space, LPS mm: extent front to back, and upwards."""

    back_mm: tuple[float, float]
    up_mm: tuple[float, float]


_SEPTUM = _Level((-20.0, 2.0), (8.0, 20.0))  # between the frontal horns
_PINEAL = _Level((4.0, 24.0), (-8.0, 8.0))  # the third ventricle, in front of the pineal gland


def mass_effect(
    volume: Volume, twins: Twins, aligned_from_scan: NDArray[np.float64], mni_from_aligned: NDArray[np.float64]
) -> MassEffect | NotAssessable:
    """Shifts in mm, positive to the patient's left, and fluid by side. volume: HU, SPL."""
    pineal = _third_ventricle(_profiles(volume, aligned_from_scan, mni_from_aligned, _PINEAL))
    if pineal is None:
        return NotAssessable("not_seen")
    rows = _profiles(volume, aligned_from_scan, mni_from_aligned, _SEPTUM)
    septum = _median([_ridge(row, pineal) for row in rows])
    ventricles, sulci = _fluid_ml(twins, mni_from_aligned)
    return MassEffect(septum, pineal, ventricles, sulci, _narrow(ventricles), _narrow(sulci))


def _profiles(
    volume: Volume, aligned_from_scan: NDArray[np.float64], mni_from_aligned: NDArray[np.float64], level: _Level
) -> NDArray[np.float32]:
    """HU across the midline in a level's box, (n, places); empty where the scan does not reach it."""
    (front, back), (low, high) = level
    counts = int((high - low) / _UP_MM) + 1, int((back - front) / _BACK_MM) // _ROWS * _ROWS, len(_PLACES)
    aligned_from_mni = Affine(np.linalg.inv(mni_from_aligned))
    _, y, z = aligned_from_mni.apply([0.0, front, low])
    box = np.eye(4)  # index of the box → aligned mm
    box[:3, :3] = np.stack(
        [aligned_from_mni.linear[:, 2] * _UP_MM, aligned_from_mni.linear[:, 1] * _BACK_MM, [_ACROSS_MM, 0, 0]], axis=1
    )
    box[:3, 3] = (-_HALF_MM, y, z)
    matrix = np.linalg.inv(aligned_from_scan) @ box
    corners = np.stack(np.meshgrid(*((0, n) for n in counts), indexing="ij"), axis=-1).reshape(-1, 3)
    ends = Affine(matrix).apply(corners)
    first = np.maximum(np.floor(ends.min(axis=0)).astype(int) - 3, 0)
    last = np.minimum(np.ceil(ends.max(axis=0)).astype(int) + 4, volume.data.shape)
    if (last - first).min() < 1:
        return np.zeros((0, len(_PLACES)), np.float32)
    part = volume.data[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    slab = slab_mean(np.clip(part, *_KEPT_HU).astype(np.float32), volume.grid.spacing_mm[0])
    matrix[:3, 3] -= first
    seen = resample(smooth_in_plane(slab, volume.grid.spacing_mm, _SMOOTHING_MM), matrix, counts, outside=np.nan)
    rows = seen.reshape(-1, _ROWS, len(_PLACES)).mean(axis=1)
    return rows[np.isfinite(rows).all(axis=1)]


def _third_ventricle(rows: NDArray[np.float32]) -> float | None:
    """Where most profiles show a slit, mm; deep slits near the plane count more. None where too few show it."""
    slits, best, chosen = [_slits(row) for row in rows], 0.0, []
    for centre in sorted({place for row in slits for place, _ in row}):
        near = [[slit for slit in row if abs(slit[0] - centre) <= _TOGETHER_MM] for row in slits]
        deepest = [max(row, key=lambda slit: slit[1]) for row in near if row]
        weight = sum(depth for _, depth in deepest) * float(np.exp(-((centre / _LIKELY_MM) ** 2) / 2))
        if weight > best:
            best, chosen = weight, [place for place, _ in deepest]
    return float(np.median(chosen)) if len(chosen) >= _FEWEST_SLITS else None


def _slits(row: NDArray[np.float32]) -> list[tuple[float, float]]:
    """The middle of each dark, narrow slit near the plane, mm, and its depth, HU."""
    row = np.minimum(row, np.percentile(row, _TISSUE_PERCENTILE))
    reach, found = round(_WIDEST_MM / _ACROSS_MM), []
    for i in np.flatnonzero(np.abs(_PLACES) <= _FURTHEST_MM):
        depth = min(row[max(0, i - reach) : i].max(), row[i + 1 : i + 1 + reach].max()) - row[i]
        if row[i] > row[i - 1] or row[i] > row[i + 1] or depth < _SLIT_HU:
            continue
        bright = np.flatnonzero(row >= row[i] + depth / 2)
        left, right = _PLACES[bright[bright < i][-1] + 1], _PLACES[bright[bright > i][0] - 1]
        if right - left <= _WIDEST_MM:
            found.append((float(left + right) / 2, float(depth)))
    return found


def _ridge(row: NDArray[np.float32], near_mm: float) -> float | None:
    """The ridge between two dark horns that lies nearest to `near_mm`, mm; None where there is none within 4 mm."""
    reach, side = round(_HORN_MM / _ACROSS_MM), np.percentile(row, _TISSUE_PERCENTILE)
    best = None
    for i in range(2, len(row) - 2):
        if row[i] < row[i - 1] or row[i] < row[i + 1] or abs(_PLACES[i] - near_mm) > _NEAR_MM:
            continue
        horns = row[max(0, i - reach) : i].min(), row[i + 1 : i + 1 + reach].min()
        seen = row[i] - max(horns) > _RIDGE_HU and max(horns) < side - _HORNS_HU
        if seen and (best is None or abs(_PLACES[i] - near_mm) < abs(best - near_mm)):
            best = float(_PLACES[i])
    return best


def _median(found: list[float | None]) -> float | None:
    known = [place for place in found if place is not None]
    return float(np.median(known)) if len(known) >= _FEWEST else None


def _fluid_ml(twins: Twins, mni_from_aligned: NDArray[np.float64]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Fluid in the lateral ventricles and in the sulci of the vault, each (left, right) mL."""
    place = places(twins, mni_from_aligned) - (0.0, 17.0, 10.0)
    depth = np.linalg.norm(place / (68.0, 87.0, 68.0), axis=-1)  # 0 in the middle, 1 at the skull
    fluid, left = twins.brain & (twins.hu < _FLUID_HU), place[..., 0] > 0
    above = place[..., 2] > -12.0
    deep = fluid & above & (depth < 0.62) & (np.abs(place[..., 0]) < 36.0) & (place[..., 2] < 32.0)
    outer = fluid & above & (depth > 0.72)
    deep_ml, outer_ml = (
        tuple(float((which & side).sum() * twins.block_ml) for side in (left, ~left)) for which in (deep, outer)
    )
    return (deep_ml[0], deep_ml[1]), (outer_ml[0], outer_ml[1])


def _narrow(fluid_ml: tuple[float, float]) -> OneSide | Literal["none"]:
    """The side with clearly less fluid, or 'none'."""
    left, right = fluid_ml
    if max(fluid_ml) < _LEAST_ML:
        return "none"
    if left < _NARROW * right:
        return "left"
    return "right" if right < _NARROW * left else "none"
