"""Overlap and volume difference of two masks."""

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.space.geometry import bounding_box


def as_masks(prediction: NDArray, reference: NDArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Both masks as boolean arrays. Raises InputError unless they are 3D, of equal shape, and hold 0 and 1 only.

    Label maps and probabilities are refused: taking every non-zero voxel would silently grow the mask.
    """
    if prediction.shape != reference.shape or prediction.ndim != 3:
        raise InputError(
            f"Masks to compare must be 3D and of equal shape, but the prediction is {prediction.shape} and the "
            f"reference {reference.shape}. Resample one onto the other's grid."
        )
    return _as_mask(prediction, "prediction"), _as_mask(reference, "reference")


def _as_mask(array: NDArray, what: str) -> NDArray[np.bool_]:
    mask = array.astype(bool)
    if array.dtype != bool and not np.array_equal(array, mask):
        raise InputError(f"The {what} must hold 0 and 1 only, but holds other values. Choose a label or a threshold.")
    return mask


def crop_to_union(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Crop both masks to the box around all their voxels, plus one voxel of background on every side.

    The added background makes a mask's voxels at the edge of the array boundary voxels, cropped or not.
    """
    union = a | b
    window = bounding_box(union) if union.any() else (slice(0, 0),) * union.ndim
    return np.pad(a[window], 1), np.pad(b[window], 1)


def dice(prediction: NDArray, reference: NDArray) -> float:
    """2 |P ∩ R| / (|P| + |R|) of two 3D masks, in [0, 1]. Both empty: 1; one empty: 0. Raises InputError."""
    p, r = as_masks(prediction, reference)
    total = int(np.count_nonzero(p)) + int(np.count_nonzero(r))
    return 2.0 * int(np.count_nonzero(p & r)) / total if total else 1.0


def precision_recall(prediction: NDArray, reference: NDArray) -> tuple[float, float]:
    """Share of predicted voxels that are infarct, and share of infarct voxels that were predicted, both in [0, 1].

    Both masks empty: 1, 1; one empty: 0, 0. Raises InputError.

    >>> predicted, reference = np.array([[[1, 1, 0, 0]]]), np.array([[[0, 1, 1, 1]]])
    >>> precision_recall(predicted, reference)
    (0.5, 0.3333333333333333)
    """
    p, r = as_masks(prediction, reference)
    predicted, infarct = int(np.count_nonzero(p)), int(np.count_nonzero(r))
    if not (predicted and infarct):
        value = 0.0 if predicted or infarct else 1.0
        return value, value
    common = int(np.count_nonzero(p & r))
    return common / predicted, common / infarct


def volume_difference_ml(prediction: NDArray, reference: NDArray, voxel_ml: float) -> float:
    """Absolute difference of the volumes of two 3D masks, mL. Raises InputError."""
    p, r = as_masks(prediction, reference)
    return abs(int(np.count_nonzero(p)) - int(np.count_nonzero(r))) * voxel_ml
