"""Agreement lesion by lesion: whether each infarct was found, and whether each finding is an infarct."""

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from adn.metrics.overlap import as_masks, crop_to_union


class LesionAgreement(NamedTuple):
    """precision: share of predicted lesions that overlap a reference lesion; recall: the reverse; f1: harmonic mean."""

    f1: float
    precision: float
    recall: float
    predicted: int
    reference: int


def lesion_agreement(prediction: NDArray, reference: NDArray) -> LesionAgreement:
    """Compare the lesions (26-connected parts) of two 3D masks; one common voxel is enough for a match.

    Both empty: 1, 1, 1; one empty: 0, 0, 0. Raises InputError.
    """
    p, r = crop_to_union(*as_masks(prediction, reference))
    p_labels, p_count = _lesions(p)
    r_labels, r_count = _lesions(r)
    if not (p_count and r_count):
        value = 0.0 if p_count or r_count else 1.0
        return LesionAgreement(value, value, value, p_count, r_count)
    common = p & r
    precision = np.unique(p_labels[common]).size / p_count
    recall = np.unique(r_labels[common]).size / r_count
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return LesionAgreement(f1, precision, recall, p_count, r_count)


def _lesions(mask: NDArray[np.bool_]) -> tuple[NDArray, int]:
    """Number the 26-connected parts from 1; return the labels and their count."""
    image = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True)  # True: corners connect
    labels = sitk.GetArrayFromImage(image)
    return labels, int(labels.max())
