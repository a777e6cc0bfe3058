"""Quality of a probability map independent of the threshold, from the order of its voxels alone."""

import numpy as np
from numpy.typing import NDArray


def roc_area(scores: NDArray, positive: NDArray) -> float | None:
    """Area under the ROC curve of `scores` for `positive` (same shape, bool): the chance that a positive voxel scores
    higher than a negative one, ties counting half. None if there are no voxels of either kind."""
    inside, outside = (np.asarray(scores)[where] for where in (positive, ~positive))
    if not (inside.size and outside.size):
        return None
    levels, number = np.unique(np.concatenate([inside, outside]), return_inverse=True)
    counts = [np.bincount(part, minlength=levels.size) for part in (number[: inside.size], number[inside.size :])]
    below = np.cumsum(counts[1]) - counts[1]
    return float(counts[0] @ (below + counts[1] / 2.0)) / (float(inside.size) * float(outside.size))


def matched_dice(scores: NDArray, positive: NDArray) -> float | None:
    """Dice of the highest-scoring voxels, as many as are `positive` (same shape, bool), so that marks and reference are
    equally large. Voxels tied at the limit count in part, with their average overlap. None if nothing is positive.
    """
    wanted = int(np.count_nonzero(positive))
    if not wanted:
        return None
    values = np.asarray(scores)
    limit = np.partition(values.ravel(), values.size - wanted)[values.size - wanted]
    above, level = values > limit, values == limit
    missing = wanted - int(np.count_nonzero(above))
    overlap = np.count_nonzero(above & positive) + missing * np.count_nonzero(level & positive) / np.count_nonzero(
        level
    )
    return float(overlap / wanted)
