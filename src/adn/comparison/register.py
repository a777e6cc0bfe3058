"""Rigid registration of two scans of one head, on brain and skull, to less than a millimetre."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from adn.prepare import coarse as cm
from adn.prepare.resample import resample
from adn.space.affine import Affine
from adn.space.volume import Volume

CLIP_HU = (-20.0, 120.0)  # fluid, brain and the inner skull locate a head; how bright its bone is does not matter
_RIM_MM = 8.0  # rim of skull around the brain that counts
_START_PITCH_DEG = (-24.0, -16.0, -8.0, 0.0, 8.0, 16.0, 24.0)  # starts: the mid-sagittal plane is known, the nod is not
_SKETCH_MM, _NEAR_MM, _FINE_MM = 6.0, 3.0, 1.5  # voxel sizes for choosing a start, then for refining it twice


class Head(NamedTuple):
    """One scan, SPL. scan: HU. brain, infarct: masks on its grid. aligned_from_index: array index → LPS mm in a frame
    whose mid-sagittal plane is x = 0."""

    scan: Volume
    brain: Volume
    infarct: Volume
    aligned_from_index: NDArray[np.float64]


class Match(NamedTuple):
    """How one scan maps onto another. matrix: 4 × 4, index in the first (SPL) → index in the second.

    brain_dice: overlap of the brains where both were scanned. likeness: correlation of brain and skull, −1 to 1.
    covered: share of either brain that the other scan shows, whichever is smaller.
    """

    matrix: NDArray[np.float64]
    brain_dice: float
    likeness: float
    covered: float


def register(first: Head, second: Head) -> Match:
    """Find the rigid motion that maps `second` onto `first`, and how well it fits."""
    sketches = _picture(first, _SKETCH_MM), _picture(second, _SKETCH_MM)
    starts = [_start(first, second, degrees) for degrees in _START_PITCH_DEG]
    rough = [_refined(*sketches, start, steps=25, step_mm=3.0) for start in starts]
    motion, _ = min(rough, key=lambda found: found[1])
    for finest_mm, steps, step_mm in ((_NEAR_MM, 60, 1.0), (_FINE_MM, 60, 0.3)):
        motion, _ = _refined(_picture(first, finest_mm), _picture(second, finest_mm), motion, steps, step_mm)
    matrix = np.linalg.inv(_mm(second.scan)) @ _matrix(motion) @ _mm(first.scan)
    return Match(matrix, *_fit(first, second, matrix))


def laid_on(values: NDArray, match: Match, first: Volume, outside: float = 0.0) -> NDArray[np.float32]:
    """Resample values from the second scan's voxels to the first's, linearly."""
    return resample(np.ascontiguousarray(values, np.float32), match.matrix, first.grid.shape, outside=outside)


def _mm(volume: Volume) -> NDArray[np.float64]:
    """4 × 4: array index (D, H, W) → mm along the array's own axes (W, H, D), as poses and SimpleITK use."""
    depth, height, width = volume.grid.spacing_mm
    matrix = np.zeros((4, 4))
    matrix[0, 2], matrix[1, 1], matrix[2, 0], matrix[3, 3] = width, height, depth, 1.0
    return matrix


class _Picture(NamedTuple):
    """What is compared: clipped HU, and the mask within which they count."""

    image: sitk.Image
    mask: sitk.Image


def _picture(head: Head, finest_mm: float) -> _Picture:
    """A head on voxels of about `finest_mm`."""
    spacing = head.scan.grid.spacing_mm
    factors = tuple(max(1, round(finest_mm / step)) for step in spacing)
    hu = cm.block_mean(np.clip(head.scan.data, *CLIP_HU), factors)  # type: ignore[arg-type]
    brain = cm.block_mean(head.brain.data > 0, factors) >= 0.5  # type: ignore[arg-type]
    coarse_mm = tuple(step * factor for step, factor in zip(spacing, factors, strict=True))
    around = cm.dilate(brain, _RIM_MM, coarse_mm)  # type: ignore[arg-type]
    images = sitk.GetImageFromArray(hu.astype(np.float32)), sitk.GetImageFromArray(around.astype(np.uint8))
    middle = [(factor - 1) / 2 * step for factor, step in zip(factors, spacing, strict=True)]
    for image in images:
        image.SetSpacing(coarse_mm[::-1])
        image.SetOrigin(middle[::-1])
    return _Picture(*images)


def _start(first: Head, second: Head, pitch_deg: float) -> sitk.Euler3DTransform:
    """A starting motion from both brains' mid-sagittal planes, tops and middles, nodded by `pitch_deg`."""
    ends = [_top(head) for head in (first, second)]
    c, s = np.cos(np.deg2rad(pitch_deg)), np.sin(np.deg2rad(pitch_deg))
    nod = np.eye(4)
    nod[1:3, 1:3] = [[c, -s], [s, c]]
    centre = np.array([0.0, *(ends[0] - [0.0, 70.0])])  # nod around a point in mid-brain
    nod[:3, 3] = centre - Affine(nod).apply(centre)
    shift = np.eye(4)
    shift[1:3, 3] = ends[1] - ends[0]
    index = np.linalg.inv(second.aligned_from_index) @ shift @ nod @ first.aligned_from_index
    matrix = _mm(second.scan) @ index @ np.linalg.inv(_mm(first.scan))
    u, _, v = np.linalg.svd(matrix[:3, :3])
    rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
    where = np.argwhere(first.brain.data[::4, ::4, ::4] > 0).mean(axis=0) * 4
    middle = Affine(_mm(first.scan)).apply(where)
    motion = sitk.Euler3DTransform()
    motion.SetCenter(middle.tolist())
    motion.SetMatrix(rotation.ravel().tolist())
    motion.SetTranslation((Affine(matrix).apply(middle) - middle).tolist())
    return motion


def _top(head: Head) -> NDArray[np.float64]:
    """(y, z): midway between a brain's front and back, and its top, aligned mm."""
    place = Affine(head.aligned_from_index).apply(np.argwhere(head.brain.data[::2, ::4, ::4] > 0) * [2, 4, 4])
    return np.array([(place[:, 1].min() + place[:, 1].max()) / 2, np.percentile(place[:, 2], 99.8)])


def _refined(
    fixed: _Picture, moving: _Picture, start: sitk.Euler3DTransform, steps: int, step_mm: float
) -> tuple[sitk.Euler3DTransform, float]:
    """The motion near `start` at which the two correlate best, and the negative correlation there (−1: perfect)."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(fixed.mask)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(step_mm, 0.005, steps, 0.5, 1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    motion = sitk.Euler3DTransform(start)
    method.SetInitialTransform(motion, inPlace=True)
    method.SetNumberOfThreads(1)  # sums in one order, so that the same pair gives the same numbers
    try:
        method.Execute(fixed.image, moving.image)
    except RuntimeError:  # nothing overlaps
        return start, 1.0
    return motion, float(method.GetMetricValue())


def _matrix(motion: sitk.Euler3DTransform) -> NDArray[np.float64]:
    """A motion as a 4 × 4 matrix, mm → mm."""
    origin = np.array(motion.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for axis, unit in enumerate(np.eye(3)):
        matrix[:3, axis] = np.array(motion.TransformPoint(unit.tolist())) - origin
    matrix[:3, 3] = origin
    return matrix


def _fit(first: Head, second: Head, matrix: NDArray[np.float64]) -> tuple[float, float, float]:
    """Overlap of the brains, correlation, and how much of the other's brain each shows."""
    match = Match(matrix, 0.0, 0.0, 0.0)
    seen = laid_on(np.ones(second.scan.grid.shape), match, first.scan) > 0.5
    mine = first.brain.data > 0
    theirs = laid_on(second.brain.data > 0, match, first.scan) > 0.5
    both = float((mine & theirs).sum())
    dice = 2 * both / max(float((mine & seen).sum() + theirs.sum()), 1.0)
    whole_ml = float((second.brain.data > 0).sum()) * second.scan.grid.voxel_ml
    shown = float(theirs.sum()) * first.scan.grid.voxel_ml / max(whole_ml, 1e-3)
    covered = min(float((mine & seen).sum()) / max(float(mine.sum()), 1.0), shown)
    around = cm.dilate(mine, _RIM_MM, first.scan.grid.spacing_mm) & seen
    a = np.clip(first.scan.data, *CLIP_HU)[around].astype(np.float64)
    b = np.clip(laid_on(second.scan.data, match, first.scan), *CLIP_HU)[around].astype(np.float64)
    likeness = float(np.corrcoef(a, b)[0, 1]) if a.size > 1 and a.std() and b.std() else 0.0
    return dice, likeness, min(covered, 1.0)
