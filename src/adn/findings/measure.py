"""Numbers of one predicted infarct on the scan's own grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adn.answers import NotAssessable, VolumeLimit
from adn.results import Measurements, Side
from adn.space.affine import Affine
from adn.space.geometry import bounding_box
from adn.space.volume import Volume

BOTH_SHARE, BOTH_ML = 0.1, 0.5  # the smaller side counts if it has a tenth of the volume and half a millilitre


def measure(infarct: NDArray, volume: Volume, mask: Volume, aligned_from_scan: NDArray[np.float64]) -> Measurements:
    """Volume, side, slices and density.

    infarct: (D, H, W), > 0 inside. volume: HU, SPL. mask: brain, same grid. aligned_from_scan: 4 × 4, array index → LPS
    mm about the mid-sagittal plane; it decides left and right and where the mirror twin lies. mirror_hu leaves out
    twins that are infarct themselves or lie outside the brain.
    """
    index = np.argwhere(infarct > 0)
    voxel_ml = volume.grid.voxel_ml
    if not len(index):
        return Measurements(0.0, "none", 0.0, 0.0, (), None, None, None)
    place = Affine(aligned_from_scan).apply(index)
    left_ml = float((place[:, 0] > 0).sum() * voxel_ml)
    total_ml = len(index) * voxel_ml
    place[:, 0] *= -1.0
    twin = np.rint(Affine(aligned_from_scan).inverse().apply(place)).astype(int)
    inside = ((twin >= 0) & (twin < volume.data.shape)).all(1)
    twin = twin[inside]
    twin = twin[(mask.data[tuple(twin.T)] > 0) & (infarct[tuple(twin.T)] == 0)]
    mean_hu = float(volume.data[tuple(index.T)].mean())
    mirror_hu = float(volume.data[tuple(twin.T)].mean()) if len(twin) else None
    ratio = mean_hu / mirror_hu if mirror_hu else None
    slices = tuple(int(z) for z in np.unique(index[:, 0]))
    return Measurements(total_ml, side_of(left_ml, total_ml - left_ml), left_ml, total_ml - left_ml, slices,
                        mean_hu, mirror_hu, ratio)  # fmt: skip


def side_of(left_ml: float, right_ml: float) -> Side:
    """'both' if the smaller side counts, else the larger side; 'none' without infarct."""
    if left_ml + right_ml <= 0:
        return "none"
    lesser = min(left_ml, right_ml)
    if lesser >= BOTH_ML and lesser >= BOTH_SHARE * (left_ml + right_ml):
        return "both"
    return "left" if left_ml > right_ml else "right"


def volume_interval(volume_ml: float, errors: tuple[float, float]) -> tuple[float, float]:
    """The interval that holds the true volume, mL. errors: in √mL, as found by `metrics.calibration.fit_interval`."""
    low, high = (max(volume_ml**0.5 + error, 0.0) ** 2 for error in errors)
    return low, high


def versus_limit(interval_ml: tuple[float, float] | None, limit_ml: float) -> VolumeLimit | NotAssessable:
    """Whether a volume lies above or below a limit, judged by its interval; no answer if the weights give none."""
    if interval_ml is None:
        return NotAssessable("no_interval")
    low, high = interval_ml
    return VolumeLimit(limit_ml, "above" if low > limit_ml else "below" if high < limit_ml else "cannot_tell")


def without_small(
    probability: NDArray[np.float32], threshold: float, smallest_ml: float, voxel_ml: float
) -> NDArray[np.float32]:
    """The probability (D, H, W), lowered to just below `threshold` in connected parts smaller than `smallest_ml`.

    Every mask made from this map, on any slices, then leaves them out, yet the map still shows what was seen there.
    Parts connect by faces, edges or corners. 0 mL changes nothing.
    """
    import SimpleITK as sitk  # here, because reports use this module and must not load an image library

    marked = probability >= threshold
    if smallest_ml <= 0 or not marked.any():
        return probability
    box = bounding_box(marked)
    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(marked[box].astype(np.uint8)), True))
    small = np.bincount(labels.ravel()) * voxel_ml < smallest_ml
    result = probability.copy()
    result[box][marked[box] & small[labels]] = np.nextafter(np.float32(threshold), np.float32(0))
    return result
