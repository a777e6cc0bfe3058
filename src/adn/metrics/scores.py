"""All scores of one case."""

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from adn.errors import InputError
from adn.metrics.lesions import lesion_agreement
from adn.metrics.overlap import as_masks, crop_to_union, dice, precision_recall
from adn.metrics.surface import boundary_distances_mm, hd95_of, surface_dice_of
from adn.space.geometry import Grid
from adn.space.volume import Volume

SURFACE_TOLERANCE_MM = 5.0


@dataclass(frozen=True)
class Scores:
    """One prediction against its reference.

    hd95_mm is None if exactly one of the two is empty; hd95_or_diagonal_mm is then the grid's diagonal.
    volume_difference_ml: absolute; volume_bias_ml: prediction − reference. precision, recall: of voxels.
    """

    dice: float
    hd95_mm: float | None
    hd95_or_diagonal_mm: float
    surface_dice_5mm: float
    volume_difference_ml: float
    volume_bias_ml: float
    precision: float
    recall: float
    lesion_f1: float
    lesion_precision: float
    lesion_recall: float
    prediction_ml: float
    reference_ml: float


def score(prediction_mask: Volume, reference: Volume) -> Scores:
    """Score a predicted mask (0 and 1) against a reference mask on the same grid.

    Raises InputError if the grids differ, saying how, or if a value is neither 0 nor 1.
    """
    grid = reference.grid
    if not prediction_mask.grid.same_as(grid):
        raise InputError(
            "A prediction is scored on its reference's grid, but "
            f"{grid_difference(prediction_mask.grid, grid)}. Resample one onto the other (a mask: nearest)."
        )
    # Crop once to the box around both masks: scores do not change, and a whole-head grid is mostly background.
    p, r = crop_to_union(*as_masks(prediction_mask.data, reference.data))
    distances = boundary_distances_mm(p, r, grid.affine[:3, :3])
    both_empty = not (p.any() or r.any())
    hd95 = hd95_of(distances) if distances else 0.0 if both_empty else None
    precision, recall = precision_recall(p, r)
    lesions = lesion_agreement(p, r)
    prediction_ml, reference_ml = (int(np.count_nonzero(mask)) * grid.voxel_ml for mask in (p, r))
    return Scores(
        dice=dice(p, r),
        hd95_mm=hd95,
        hd95_or_diagonal_mm=diagonal_mm(grid) if hd95 is None else hd95,
        surface_dice_5mm=surface_dice_of(distances, SURFACE_TOLERANCE_MM) if distances else float(both_empty),
        volume_difference_ml=abs(prediction_ml - reference_ml),
        volume_bias_ml=prediction_ml - reference_ml,
        precision=precision,
        recall=recall,
        lesion_f1=lesions.f1,
        lesion_precision=lesions.precision,
        lesion_recall=lesions.recall,
        prediction_ml=prediction_ml,
        reference_ml=reference_ml,
    )


def diagonal_mm(grid: Grid) -> float:
    """Distance between the two voxel centres of a grid that are furthest apart, mm: the largest distance possible."""
    corners = np.array([*product(*((0, n - 1) for n in grid.shape))]) @ grid.affine[:3, :3].T
    return float(max(np.linalg.norm(a - b) for a, b in combinations(corners, 2)))


def grid_difference(prediction: Grid, reference: Grid) -> str:
    """How two grids differ, in words: the first difference among axes, shape, spacing and position."""
    both = f"the prediction's {{}} and the reference's {{}} (prediction {prediction}, reference {reference})"
    if prediction.axes != reference.axes:
        return both.format(f"axes grow towards {prediction.axes}", f"towards {reference.axes}")
    if prediction.shape != reference.shape:
        sizes = ("×".join(str(n) for n in grid.shape) for grid in (prediction, reference))
        return both.format(*(f"shape is {size}" for size in sizes))
    if not np.allclose(prediction.spacing_mm, reference.spacing_mm, rtol=0, atol=1e-4):
        steps = ("×".join(f"{s:.4f}" for s in grid.spacing_mm) for grid in (prediction, reference))
        return both.format(*(f"spacing is {step} mm" for step in steps))
    shift_mm = float(np.linalg.norm(prediction.centre_mm - reference.centre_mm))
    return f"they lie apart or are turned: the centres are {shift_mm:.3g} mm apart ({reference})"
