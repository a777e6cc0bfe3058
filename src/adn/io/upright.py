"""Checks that the head is oriented as the header says; some converters rotate one without the other.

Bone and air, at 8 mm, are compared with an average head in the 24 orientations an array can have (a mirrored head
cannot be recognised, because left and right look alike). The best fit should be the orientation in the header.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib import resources
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from adn.remarks import Remark
from adn.space.geometry import bounding_box
from adn.space.units import WHOLE_BRAIN_MM
from adn.space.volume import Volume

SURE_SHARE = 0.06  # by how much less another orientation of a whole head must misfit; docs/reliability.md
SURE_SHARE_OF_PART = 0.12  # the same for a part of a head
LEAST_MM = 20.0  # scans shorter than this from bottom to top are not checked
_STEP_MM, _SIDES = 8.0, (40, 60, 80)  # voxel and cube sizes for the comparison; the smallest cube that fits is used
_FINE_MM = 2.5  # voxels are skipped as long as the spacing stays within this
_MARGIN_MM = 30.0
_BONE_HU, _AIR_HU = (100.0, 400.0), (0.0, -1000.0)  # HU at which the share of bone or air is 0 and 1
_BODY = 0.3  # share of air below which a voxel is body
# A scan with less air was clipped to a window; with less bone, it has no skull. Shares count from _SURELY.
_SURELY, _LEAST_AIR, _LEAST_BONE = 0.7, 0.02, 0.002
_THIN_MM = 6.0  # half width of things that are not head: headrest, hair
_WEIGHTS = np.array([2.0, 1.0], np.float32)[:, None, None, None]  # of bone, air
# Turned, nodding or large heads are normal deviations from the average one, so the comparison allows for them.
_TURNS_DEG, _NODS_DEG, _SIZES = (-30.0, -15.0, 0.0, 15.0, 30.0), (-18.0, 0.0, 18.0), (0.9, 1.0, 1.1)


class Way(NamedTuple):
    """How an array labelled SPL must be turned so that the head really is SPL: axis order, then axes to flip."""

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]


AS_STATED = Way((0, 1, 2), (False, False, False))
WAYS = tuple(
    Way((i, j, k), (a, b, False)) for i, j, k in permutations(range(3)) for a, b in product((False, True), repeat=2)
)


class Misfit(NamedTuple):
    """How badly a head fits the average one, oriented as the header says and as it fits best."""

    as_stated: float
    best: float
    way: Way


def turned_remarks(volume: Volume) -> list[Remark]:
    """A remark if the head is oriented differently than the header says. volume: HU."""
    upright = volume.view("SPL")
    height_mm = upright.grid.shape[0] * upright.grid.spacing_mm[0]
    shares = bone_and_air(upright) if height_mm >= LEAST_MM else None
    if shares is None:
        return []
    way = compare(shares).way
    if way == AS_STATED:
        return []
    found = compare_in_detail(shares, way)
    if not is_sure(found, height_mm):
        return []
    return [Remark("head_lies_otherwise", {"seems": in_words(found.way)}, blocks=True)]


def is_sure(found: Misfit, height_mm: float) -> bool:
    """Whether another orientation fits so much better that the header must be wrong. height_mm: of the scan."""
    least = SURE_SHARE if height_mm >= WHOLE_BRAIN_MM else SURE_SHARE_OF_PART
    return found.way != AS_STATED and found.best < (1 - least) * found.as_stated


def in_words(way: Way) -> str:
    """How the head seems to be oriented, phrased to follow 'it seems to be'."""
    upside_down, back_to_front = way.flipped[:2]
    if way.order == AS_STATED.order:
        exchanged = ["upside down"] * upside_down + ["back to front"] * back_to_front
        return " and ".join(exchanged)
    if way.order == (0, 2, 1):
        return "turned by 90° within its slices" + " and upside down" * upside_down
    return "turned by 90° out of its slices"


def bone_and_air(upright: Volume) -> NDArray[np.float32] | None:
    """Shares of bone and air, and where the scan has data, (3, n, n, n) in voxels of 8 mm with the head centred.

    upright: HU, SPL. Table and headrest are removed. None if there is no head, air or bone.
    """
    steps = [max(1, int(_FINE_MM / mm)) for mm in upright.grid.spacing_mm]
    hu = upright.data[tuple(slice(step // 2, None, step) for step in steps)]
    spacing = np.array(upright.grid.spacing_mm) * steps
    bone, air = (np.clip((hu - low) / (high - low), 0, 1).astype(np.float32) for low, high in (_BONE_HU, _AIR_HU))
    if (air > _SURELY).mean() < _LEAST_AIR or (bone > _SURELY).mean() < _LEAST_BONE:
        return None
    head = _head(air < _BODY, spacing)
    if not head.any():
        return None
    bone, air = np.where(head, bone, 0), np.where(head, air, 1)
    box = bounding_box(head, [int(np.ceil(_MARGIN_MM / mm)) for mm in spacing])
    shape = np.array([part.stop - part.start for part in box]) * spacing / _STEP_MM
    side = next((side for side in _SIDES if side >= shape.max() + 1), _SIDES[-1])
    means = [_mean_matrix(part, mm, side) for part, mm in zip(box, spacing, strict=True)]
    maps = np.stack([bone[box], air[box], np.ones_like(air[box])])
    coarse = np.einsum("cijk,ai,bj,dk->cabd", maps, *means, optimize=True).astype(np.float32)
    scanned = coarse[2] > 0.5
    return np.where(scanned, coarse / np.maximum(coarse[2], 0.5), 0)


def _head(body: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The largest part of the body that is not thin within slices, with holes filled."""
    disc = np.ones((1, *(2 * max(1, round(_THIN_MM / mm)) + 1 for mm in spacing[1:])), bool)
    labelled: Any = ndimage.label(ndimage.binary_erosion(body, disc))
    parts, count = labelled
    if not count:
        return np.zeros_like(body)
    core = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    grown = body & np.asarray(
        ndimage.binary_dilation(core, np.ones((1, *(side + 2 for side in disc.shape[1:])), bool)), bool
    )
    return np.stack([np.asarray(ndimage.binary_fill_holes(plane), bool) for plane in grown])


def _mean_matrix(part: slice, mm: float, side: int) -> NDArray[np.float64]:
    """(side, n): the share of each coarse voxel covered by each fine voxel of the box, with the box centred."""
    count = part.stop - part.start
    edges = (np.arange(count + 1) - count / 2) * mm / _STEP_MM + side / 2
    low, high = edges[:-1], edges[1:]
    cell = np.arange(side)[:, None]
    return np.clip(np.minimum(high, cell + 1) - np.maximum(low, cell), 0, None)


def compare(shares: NDArray[np.float32]) -> Misfit:
    """Compare a head (from `bone_and_air`) with the average one in every orientation."""
    misfits = dict(zip(WAYS, misfits_of(shares, (average_head(shares.shape[1]),), WAYS)[0], strict=True))
    best = min(WAYS, key=lambda way: misfits[way])
    return Misfit(misfits[AS_STATED], misfits[best], best)


def compare_in_detail(shares: NDArray[np.float32], way: Way) -> Misfit:
    """Compare the header's orientation with one other, against average heads that turn, nod and vary in size."""
    side = shares.shape[1]
    heads = (average_head(side, turn, nod, size) for turn, nod, size in product(_TURNS_DEG, _NODS_DEG, _SIZES))
    misfits = np.array(misfits_of(shares, heads, (AS_STATED, way)))
    return Misfit(float(misfits[:, 0].min()), float(misfits[:, 1].min()), way)


def varied_heads(side: int) -> Iterator[NDArray[np.float32]]:
    """Average heads that turn, nod and vary in size."""
    for turn, nod, size in product(_TURNS_DEG, _NODS_DEG, _SIZES):
        yield average_head(side, turn, nod, size)


def misfits_of(
    shares: NDArray[np.float32], heads: Iterable[NDArray[np.float32]], ways: Sequence[Way]
) -> list[list[float]]:
    """For each average head and orientation, the smallest mean squared difference over all shifts.

    Σ m (x − t)² = Σ m x² − 2 Σ m x t + Σ m t²: three correlations, summed before one inverse transform.
    """
    values, scanned = shares[:2], shares[2]
    constant = float((_WEIGHTS * values**2 * scanned).sum())
    seen = [np.fft.fftn(part).conj() for part in (*(values * scanned), scanned)]
    found = []
    for head in heads:
        weighted = (*(-2 * _WEIGHTS * head), (_WEIGHTS * head**2).sum(0))
        spectra = [np.fft.fftn(part) for part in weighted]
        row = []
        for way in ways:
            product_ = sum(a * _as_stored(b, way) for a, b in zip(seen, spectra, strict=True))
            row.append((constant + float(np.fft.ifftn(product_).real.min())) / float(scanned.sum()))
        found.append(row)
    return found


def _as_stored(spectrum: NDArray[np.complexfloating], way: Way) -> NDArray[np.complexfloating]:
    """The spectrum of a head turned as it would be stored, up to a one-voxel shift, which the search covers anyway."""
    for axis, flip in enumerate(way.flipped):
        if flip:  # mirroring an image negates its frequencies
            spectrum = np.roll(np.flip(spectrum, axis), 1, axis)
    return spectrum.transpose(np.argsort(way.order))


@lru_cache(maxsize=1)
def _stored_head() -> NDArray[np.float32]:
    with (resources.files("adn.io") / "head_template.npz").open("rb") as file:
        return np.load(file)["maps"].astype(np.float32) / 255


def average_head(side: int, turn_deg: float = 0.0, nod_deg: float = 0.0, size: float = 1.0) -> NDArray[np.float32]:
    """Shares of bone and air (2, side, side, side) of an average head, SPL, 8 mm; the neck continues to the bottom."""
    stored = _stored_head()
    turn, nod = np.deg2rad([turn_deg, nod_deg])
    about_d = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    about_w = np.array([[np.cos(nod), -np.sin(nod), 0], [np.sin(nod), np.cos(nod), 0], [0, 0, 1]])
    matrix = about_d @ about_w / size
    offset: Any = (np.array(stored.shape[1:]) - 1) / 2 - matrix @ np.full(3, (side - 1) / 2)
    parts: Any = [
        ndimage.affine_transform(part, matrix, offset, (side,) * 3, order=1, mode="nearest") for part in stored
    ]
    return np.stack(parts).astype(np.float32)
