"""Finds, by content, which DICOM slice each PNG was made from.

AISD's PNGs show a window of about 100 HU, may run from top to bottom, and carry no geometry. Each PNG is compared with
each slice in the eight ways a picture can be turned or flipped, with the order kept or reversed. If two readings fit
about equally well, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.io.series import Series

NOMINAL_WINDOW_HU = (-10.0, 90.0)  # approximate window of AISD's PNGs (method, section 6); estimated for each case
_SIDE = 128  # pixels per side that are compared: block means hide noise and rounding but keep anatomy
_SAME = 0.98  # minimum correlation of a picture with its own slice (0.999 and more); other scans stay below
_LIKELY = 0.9  # correlation at which a pair is good enough to estimate the window from
_RIVAL = 2.0  # a second reading must lose at least this many times more correlation than the best one
_RIVAL_FLOOR = 2e-4  # and at least this much more, since smaller losses are rounding
_WORTH = 0.5  # pairs that correlate less are not paired
_INSIDE = (5, 250)  # grey levels that the window did not cut


class Unmatched(Exception):
    """The pictures do not show this series."""


class Match(NamedTuple):
    """slices: for each picture, its slice in the stack; −1 for a blank picture without one. turn: see `turned`.

    reversed: pictures run against the stack. window_hu: HU of grey levels 0 and 255. correlation: lowest of all pairs.
    """

    slices: tuple[int, ...]
    turn: int
    reversed: bool
    window_hu: tuple[float, float]
    correlation: float


def turned(pictures: NDArray, turn: int) -> NDArray:
    """Turn (n, rows, columns) in one of eight ways: `turn` % 4 quarter turns, after transposing if `turn` ≥ 4."""
    return np.rot90(pictures.swapaxes(1, 2) if turn >= 4 else pictures, turn % 4, axes=(1, 2))


class _Reading(NamedTuple):
    """One way to read the pictures. scores: (n, m) correlations. loss: 1 − mean correlation of the pairs."""

    turn: int
    reversed: bool
    scores: NDArray[np.float32]
    pairs: list[int]
    loss: float


def match_slices(pictures: NDArray[np.uint8], hu: NDArray[np.float32], needed: NDArray[np.bool_]) -> Match:
    """Pair pictures (n, rows, columns) with a stack (m, rows, columns) in HU.

    needed: (n,), True for pictures whose position matters (their mask is not empty). Raises Unmatched if a picture that
    is not blank has no slice, and InputError (without a file name) if several readings fit.
    """
    shown = pictures.min(axis=(1, 2)) < pictures.max(axis=(1, 2))
    if not shown.any():
        raise Unmatched("the PNGs are blank")
    first = _readings(pictures, hu, NOMINAL_WINDOW_HU)[0]
    likely = [j if j >= 0 and first.scores[i, j] >= _LIKELY else -1 for i, j in enumerate(first.pairs)]
    window = estimate_window(pictures, hu, first.turn, likely)
    best, *others = _readings(pictures, hu, window)
    own = np.array([best.scores[i, j] if j >= 0 else -1.0 for i, j in enumerate(best.pairs)])
    fitting = shown & (own >= _SAME)
    if not fitting[shown].all():
        count = f"{int(fitting.sum())} of {int(shown.sum())} PNGs that show something"
        raise Unmatched(f"{count} are found among {len(hu)} DICOM slices")
    rivals = [other.loss for other in others if (other.turn, other.pairs) != (best.turn, best.pairs)]
    if min(rivals, default=1.0) < _limit(best.loss):
        raise InputError("Several orders or turns of the PNGs fit the DICOM slices about equally.")
    _require_unique_slices(best, own, needed & shown)
    return Match(tuple(best.pairs), best.turn, best.reversed, window, float(own[shown].min()))


def _readings(pictures: NDArray[np.uint8], hu: NDArray[np.float32], window: tuple[float, float]) -> list[_Reading]:
    """Every turn and order, best first. Raises Unmatched if no turn gives the slices' shape."""
    small, stack = _block_means(pictures), _features(_block_means(np.clip(hu, *window)))
    readings = []
    for turn in range(8):
        if turned(pictures[:1], turn).shape[1:] == hu.shape[1:]:
            features = _features(turned(small, turn))
            scores = features @ stack.T
            shown = int(features.any(axis=1).sum())
            for backwards in (False, True):
                pairs = _align(scores, backwards)
                total = float(sum(scores[i, j] for i, j in enumerate(pairs) if j >= 0))
                readings.append(_Reading(turn, backwards, scores, pairs, 1.0 - total / max(shown, 1)))
    if not readings:
        sizes = (f"{stack.shape[2]} × {stack.shape[1]}" for stack in (pictures, hu))
        raise Unmatched("the PNGs have {} pixels, the DICOM slices {}".format(*sizes))
    return sorted(readings, key=lambda reading: reading.loss)


def _limit(loss: float) -> float:
    return _RIVAL * loss + _RIVAL_FLOOR


def _require_unique_slices(reading: _Reading, own: NDArray, needed: NDArray) -> None:
    """Raise InputError if an unused slice fits a picture about as well as the slice it was paired with."""
    free = np.setdiff1d(np.arange(reading.scores.shape[1]), reading.pairs)
    for i in np.flatnonzero(needed):
        if free.size and 1.0 - reading.scores[i, free].max() < _limit(1.0 - own[i]):
            raise InputError(f"PNG number {i} fits several DICOM slices about equally.")


def _step(rows: int, columns: int) -> int:
    """Side of the compared blocks, in pixels: a divisor of both sides, so that blocks turn with the picture."""
    largest = max(1, max(rows, columns) // _SIDE)
    return max(step for step in range(1, largest + 1) if rows % step == 0 and columns % step == 0)


def _block_means(stack: NDArray) -> NDArray[np.float32]:
    """The stack (n, rows, columns), averaged in blocks."""
    n, rows, columns = stack.shape
    step = _step(rows, columns)
    blocks = stack.reshape(n, rows // step, step, columns // step, step)
    return blocks.mean(axis=(2, 4), dtype=np.float32)


def _features(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, pixels): each slice with mean 0 and norm 1, so that a dot product is a correlation."""
    flat = stack.reshape(len(stack), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(length > 1e-3, length, np.inf)


def _align(scores: NDArray, backwards: bool) -> list[int]:
    """For each row, a column (−1: none), in strictly rising (or falling) order, with the largest sum; gaps cost 0."""
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


def estimate_window(
    pictures: NDArray[np.uint8], hu: NDArray[np.float32], turn: int, pairs: Sequence[int]
) -> tuple[float, float]:
    """HU of grey levels 0 and 255, from a line fitted to the pixels that the window did not clip.

    pairs: for each picture its slice, −1 for none. Falls back to the nominal window if the pairs do not determine one.
    """
    found = [i for i, j in enumerate(pairs) if j >= 0]
    step = _step(*hu.shape[1:])  # a fraction of the pixels is plenty
    grey = turned(pictures[found], turn)[:, ::step, ::step].astype(np.float64)
    true = hu[[pairs[i] for i in found], ::step, ::step].astype(np.float64)
    inside = (grey > _INSIDE[0]) & (grey < _INSIDE[1])
    if np.unique(grey[inside]).size < 3:
        return NOMINAL_WINDOW_HU
    slope, low = np.polyfit(grey[inside], true[inside], 1)
    return (float(low), float(low + 255.0 * slope)) if slope > 0 else NOMINAL_WINDOW_HU


def read_stack(series: Series) -> NDArray[np.float32]:
    """The acquired slices in HU, (slices, rows, columns), in the order of `series.positions`."""
    from pydicom import config, dcmread
    from pydicom.pixels.processing import apply_rescale

    planes: list[NDArray] = []
    for header in series.headers:
        try:
            with config.disable_value_validation():
                data = dcmread(header.path, force=True)
                pixels = np.asarray(apply_rescale(data.pixel_array, data), np.float32)
        except Exception as error:  # pydicom raises many kinds on damaged bytes
            raise InputError(
                "the DICOM file is truncated, or compressed in an unknown way; copy the series again.", header.path
            ) from error
        planes.extend(pixels.reshape(-1, *header.shape)[header.numbers])
    return np.stack([planes[i] for i in series.order])
