"""All scores of one case."""

from dataclasses import dataclass

import numpy as np

from adn.errors import InputError
from adn.metrics.lesions import lesion_agreement
from adn.metrics.overlap import dice, volume_difference_ml
from adn.metrics.surface import hd95_mm, surface_dice
from adn.volume import Volume


@dataclass(frozen=True)
class Scores:
    """One prediction against its reference. hd95_mm is None where exactly one of the two is empty."""

    dice: float
    hd95_mm: float | None
    surface_dice_5mm: float
    volume_difference_ml: float
    prediction_ml: float
    reference_ml: float
    lesion_f1: float
    lesion_precision: float
    lesion_recall: float


def score(prediction_mask: Volume, reference: Volume) -> Scores:
    """Score a predicted mask (0 and 1) against a reference mask on the same grid.

    Raises InputError where the grids differ or a value is neither 0 nor 1.
    """
    grid = reference.grid
    if not prediction_mask.grid.same_as(grid):
        raise InputError(
            "A prediction is scored on its reference's grid, but the prediction lies on "
            f"{prediction_mask.grid} and the reference on {grid}. Resample one onto the other."
        )
    p, r = prediction_mask.data, reference.data
    overlap = dice(p, r)  # first, because it refuses values other than 0 and 1
    lesions = lesion_agreement(p, r)
    return Scores(
        dice=overlap,
        hd95_mm=hd95_mm(p, r, grid.spacing_mm),
        surface_dice_5mm=surface_dice(p, r, grid.spacing_mm, tolerance_mm=5.0),
        volume_difference_ml=volume_difference_ml(p, r, grid.voxel_ml),
        prediction_ml=int(np.count_nonzero(p)) * grid.voxel_ml,
        reference_ml=int(np.count_nonzero(r)) * grid.voxel_ml,
        lesion_f1=lesions.f1,
        lesion_precision=lesions.precision,
        lesion_recall=lesions.recall,
    )
