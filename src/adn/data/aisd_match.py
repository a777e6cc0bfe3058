"""Which DICOM slice a PNG was made of, found by content; and where its mask lies on the volume that is read.

AISD's PNGs show a window of some 100 HU, may run from top to bottom, and carry no geometry. Each PNG is compared with
each slice in the eight ways a picture can be turned; the order is kept or reversed. Where two readings fit about as
well, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.geometry import RAS_FROM_LPS, Grid
from adn.io.series import Series

NOMINAL_WINDOW_HU = (-10.0, 90.0)  # of AISD's PNGs, about (method, section 6); estimated anew for each case
_SIDE = 128  # pixels a row that are compared: block means hide noise and rounding, keep anatomy
_SAME = 0.98  # correlation of a picture with its own slice: 0.999 and more; other scans stay below
_RIVAL = 2.0  # a second reading must lose at least this many times more correlation than the best one
_RIVAL_FLOOR = 2e-4  # and at least this much more: below it is rounding
_WORTH = 0.5  # a pair that correlates less is no pair
_INSIDE = (5, 250)  # grey levels that the window did not cut


class Unmatched(Exception):
    """The pictures do not show this series."""


class Match(NamedTuple):
    """slices: for each picture its slice of the stack, −1 where a blank one has none. turn: see `turned`.

    reversed: pictures run against the stack. window_hu: HU of grey levels 0 and 255. correlation: the lowest of a pair.
    """

    slices: tuple[int, ...]
    turn: int
    reversed: bool
    window_hu: tuple[float, float]
    correlation: float


def turned(pictures: NDArray, turn: int) -> NDArray:
    """(n, rows, columns), turned in one of eight ways: `turn` % 4 quarter turns, after a transposition from 4 on."""
    return np.rot90(pictures.swapaxes(1, 2) if turn >= 4 else pictures, turn % 4, axes=(1, 2))


def match_slices(pictures: NDArray[np.uint8], hu: NDArray[np.float32], needed: NDArray[np.bool_]) -> Match:
    """Pair pictures (n, rows, columns) with a stack (m, rows, columns) in HU.

    needed: (n,), True where a picture's place matters (its mask holds something). Raises Unmatched where a picture that
    is not blank has no slice, and InputError (without a file's name) where several readings fit.
    """
    first = _match(pictures, hu, needed, NOMINAL_WINDOW_HU)
    window = estimate_window(pictures, hu, first)
    return _match(pictures, hu, needed, window)._replace(window_hu=window)


def _match(pictures: NDArray, hu: NDArray, needed: NDArray, window: tuple[float, float]) -> Match:
    small, stack = _block_means(pictures), _features(_block_means(np.clip(hu, *window)))
    readings = []
    for turn in range(8):
        if turned(pictures[:1], turn).shape[1:] == hu.shape[1:]:
            scores = _features(turned(small, turn)) @ stack.T
            readings += [(turn, backwards, scores, _align(scores, backwards)) for backwards in (False, True)]
    shown = pictures.min(axis=(1, 2)) < pictures.max(axis=(1, 2))
    if not readings or not shown.any():
        what = f"{pictures.shape[2]} × {pictures.shape[1]} pixels" if shown.any() else "blank"
        raise Unmatched(f"the PNGs are {what}, the DICOM slices {hu.shape[2]} × {hu.shape[1]}")
    losses = [1.0 - _total(scores, pairs) / int(shown.sum()) for _, _, scores, pairs in readings]
    best = int(np.argmin(losses))
    turn, backwards, scores, pairs = readings[best]
    own = np.array([scores[i, j] if j >= 0 else -1.0 for i, j in enumerate(pairs)])
    fitting = shown & (own >= _SAME)
    if not fitting[shown].all():
        raise Unmatched(f"{int(fitting.sum())} of {int(shown.sum())} PNGs are found among {len(hu)} DICOM slices")
    others = [loss for loss, (t, _, _, p) in zip(losses, readings, strict=True) if (t, p) != (turn, pairs)]
    if min(others, default=1.0) < _limit(losses[best]):
        raise InputError("several orders or turns of the PNGs fit the DICOM slices about equally")
    _demand_one_place(scores, pairs, own, needed & shown)
    return Match(tuple(pairs), turn, backwards, window, float(own[shown].min()))


def _limit(loss: float) -> float:
    return _RIVAL * loss + _RIVAL_FLOOR


def _demand_one_place(scores: NDArray, pairs: list[int], own: NDArray, needed: NDArray) -> None:
    """A slice that no picture took must not fit a picture as well as the slice it got."""
    free = np.setdiff1d(np.arange(scores.shape[1]), pairs)
    for i in np.flatnonzero(needed):
        if free.size and 1.0 - scores[i, free].max() < _limit(1.0 - own[i]):
            raise InputError(f"PNG number {i} fits several DICOM slices about equally")


def _step(rows: int, columns: int) -> int:
    """Pixels a side of the blocks that are compared: a divisor of both sides, so that blocks turn with the picture."""
    largest = max(1, max(rows, columns) // _SIDE)
    return max(step for step in range(1, largest + 1) if rows % step == 0 and columns % step == 0)


def _block_means(stack: NDArray) -> NDArray[np.float32]:
    """(n, rows, columns) averaged in blocks."""
    n, rows, columns = stack.shape
    step = _step(rows, columns)
    blocks = stack.reshape(n, rows // step, step, columns // step, step)
    return blocks.mean(axis=(2, 4), dtype=np.float32)


def _features(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, pixels): each slice with mean 0 and length 1, so that a product is a correlation."""
    flat = stack.reshape(len(stack), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(length > 1e-3, length, np.inf)


def _align(scores: NDArray, backwards: bool) -> list[int]:
    """For each row a column (−1: none), strictly rising (falling), with the largest sum; skipping is free."""
    gain = (scores[:, ::-1] if backwards else scores).astype(np.float64) - _WORTH
    n, m = gain.shape
    best = np.zeros((n + 1, m + 1))
    for i in range(n):
        paired = np.maximum(best[i, :-1] + gain[i], best[i, 1:])
        best[i + 1, 1:] = np.maximum.accumulate(np.maximum(paired, 0.0))
    pairs, j = [-1] * n, m
    for i in range(n, 0, -1):
        while j and best[i, j] == best[i, j - 1]:
            j -= 1
        if j and best[i, j] > best[i - 1, j]:
            pairs[i - 1] = m - j if backwards else j - 1
            j -= 1
    return pairs


def _total(scores: NDArray, pairs: list[int]) -> float:
    return float(sum(scores[i, j] for i, j in enumerate(pairs) if j >= 0))


def estimate_window(pictures: NDArray[np.uint8], hu: NDArray[np.float32], match: Match) -> tuple[float, float]:
    """HU of grey levels 0 and 255: a line through the pixels that the window did not cut. Raises Unmatched."""
    found = [i for i, j in enumerate(match.slices) if j >= 0]
    step = _step(*hu.shape[1:])  # a share of the pixels is plenty
    grey = turned(pictures[found], match.turn)[:, ::step, ::step].astype(np.float64)
    true = hu[[match.slices[i] for i in found], ::step, ::step].astype(np.float64)
    inside = (grey > _INSIDE[0]) & (grey < _INSIDE[1])
    if np.unique(grey[inside]).size < 3:
        raise Unmatched("the PNGs hold too few grey levels to tell their window")
    slope, low = np.polyfit(grey[inside], true[inside], 1)
    if slope <= 0:
        raise Unmatched("the PNGs grow darker where the CT grows brighter")
    return float(low), float(low + 255.0 * slope)


def read_stack(series: Series) -> NDArray[np.float32]:
    """The acquired slices in HU, (slices, rows, columns), in the order of `series.positions`."""
    from pydicom import config, dcmread
    from pydicom.pixels.processing import apply_rescale

    planes: list[NDArray] = []
    points: list[NDArray] = []
    for header in series.headers:
        try:
            with config.disable_value_validation():
                data = dcmread(header.path, force=True)
                pixels = np.asarray(apply_rescale(data.pixel_array, data), np.float32)
        except Exception as error:  # pydicom raises many kinds on damaged bytes
            raise InputError(
                f"{header.path}: the DICOM file is truncated or packed in an unknown way; copy the series again."
            ) from error
        planes.extend(pixels.reshape(-1, *header.shape))
        points.extend(header.positions)
    along = np.round(np.array(points) @ series.first.normal, 2)
    return np.stack([planes[i] for i in np.unique(along, return_index=True)[1]])


def carry(labels: NDArray[np.uint8], series: Series, grid: Grid) -> NDArray[np.uint8]:
    """Labels of the acquired slices (m, rows, columns) on the grid that the series was converted to, nearest voxel.

    The headers say where each slice lies, so this holds for a tilted gantry and for uneven distances too.
    """
    first = series.first
    assert first.orientation is not None
    right, down = first.orientation[:3], first.orientation[3:]
    heights = series.positions @ first.normal
    marked = heights[labels.any(axis=(1, 2))]
    reach = float(np.diff(heights).max(initial=0.0))
    result = np.zeros(grid.shape, np.uint8)
    for k, points in _planes(grid):
        height = points @ first.normal
        if not ((marked > height.min() - reach) & (marked < height.max() + reach)).any():
            continue  # most slices hold no label
        row = (points @ down - np.interp(height, heights, series.positions @ down)) / first.spacing_mm[0]
        column = (points @ right - np.interp(height, heights, series.positions @ right)) / first.spacing_mm[1]
        place = np.rint(np.interp(height, heights, np.arange(len(heights)))).astype(int)
        row, column = np.rint(row).astype(int), np.rint(column).astype(int)
        inside = (row >= 0) & (row < labels.shape[1]) & (column >= 0) & (column < labels.shape[2])
        result[..., k][inside] = labels[place[inside], row[inside], column[inside]]
    return result


def _planes(grid: Grid) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Each plane of the last array axis with its voxels' places, LPS mm (n0, n1, 3)."""
    lps = RAS_FROM_LPS @ grid.affine
    i, j = np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]), indexing="ij")
    flat = i[..., None] * lps[:3, 0] + j[..., None] * lps[:3, 1] + lps[:3, 3]
    for k in range(grid.shape[2]):
        yield k, flat + k * lps[:3, 2]
