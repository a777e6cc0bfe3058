"""Dice, HD95 and surface Dice against two independent libraries; each disagreement is in docs/metrics.md, too."""

import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from adn import metrics
from given import given

SPACING = (5.0, 1.2, 0.7)
SHAPE = (9, 21, 25)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def box(*edges):
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(slice(*pair) for pair in edges)] = 1
    return mask


def blobs(seed):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), (1, 2, 2))
    return (noise > np.quantile(noise, 0.85)).astype(np.uint8)


def ours(p, r, spacing, tolerance):
    return metrics.dice(p, r), metrics.hd95_mm(p, r, spacing), metrics.surface_dice(p, r, spacing, tolerance)


def by_monai(p, r, spacing, tolerance):
    torch = pytest.importorskip("torch")
    monai = pytest.importorskip("monai.metrics")
    a, b = (torch.from_numpy(mask.astype(np.float32))[None, None] for mask in (p, r))
    options = {"include_background": True, "spacing": spacing}
    hausdorff = monai.compute_hausdorff_distance(a, b, percentile=95, **options)
    surface = monai.compute_surface_dice(a, b, class_thresholds=[tolerance], **options)
    return float(monai.compute_dice(a, b)), float(hausdorff), float(surface)


def by_surface_distance(p, r, spacing, tolerance):
    library = pytest.importorskip("surface_distance")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses names that scipy is about to drop
        p, r = p.astype(bool), r.astype(bool)
        found = library.compute_surface_distances(r, p, spacing)
    return (
        float(library.compute_dice_coefficient(r, p)),
        float(library.compute_robust_hausdorff(found, 95)),
        float(library.compute_surface_dice_at_tolerance(found, tolerance)),
    )


ONE = box((4, 5), (10, 11), (12, 13))
LINE, FIRST = box((4, 5), (10, 11), (2, 13)), box((4, 5), (10, 11), (2, 3))
PAIRS = {
    "one voxel and itself": (ONE, ONE, SPACING, 5.0),
    "one voxel, two slices away": (ONE, box((6, 7), (10, 11), (12, 13)), SPACING, 5.0),
    "a box, one slice away": (box((2, 5), (5, 12), (5, 15)), box((3, 6), (5, 12), (5, 15)), SPACING, 4.0),
    "touching the near border": (box((0, 3), (0, 7), (0, 10)), box((0, 3), (0, 7), (0, 14)), SPACING, 2.0),
    "touching the far border": (box((6, 9), (14, 21), (15, 25)), box((6, 9), (14, 21), (11, 25)), SPACING, 2.0),
    "whole slices": (box((0, 2), (0, 21), (0, 25)), box((0, 4), (0, 21), (0, 25)), SPACING, 5.0),
    "a line and its end": (LINE, FIRST, (1.0, 1.0, 1.0), 5.0),
    **{f"blobs {seed}": (blobs(seed), blobs(seed + 100), SPACING, 2.0) for seed in range(3)},
}
# What surface-distance says where it differs: (HD95, surface Dice); None: as ours.
SURFELS = {
    "one voxel, two slices away": (None, 0.5),
    "a box, one slice away": (None, 0.7794),
    "touching the near border": (None, 0.8279),
    "touching the far border": (None, 0.8279),
    "whole slices": (None, 0.8275),
    "a line and its end": (9.0, 0.6164),
}


@pytest.mark.parametrize("name", PAIRS)
def test_scores_agree_with_monai_if_neither_mask_is_empty(name):
    assert ours(*PAIRS[name]) == pytest.approx(by_monai(*PAIRS[name]), abs=1e-4)


@pytest.mark.parametrize("name", [name for name in PAIRS if "blobs" not in name])
def test_surface_distance_agrees_or_differs_as_its_definition_says(name):
    mine, theirs = ours(*PAIRS[name]), by_surface_distance(*PAIRS[name])
    expected = [
        mine[0],
        *(b if b is not None else a for a, b in zip(mine[1:], SURFELS.get(name, (None, None)), strict=True)),
    ]
    assert theirs == pytest.approx(expected, abs=1e-4)


def test_surface_distance_measures_between_corners_so_it_lies_within_a_voxel_diagonal():
    voxel_mm = float(np.linalg.norm(SPACING))
    for seed in range(3):
        mine, theirs = ours(*PAIRS[f"blobs {seed}"]), by_surface_distance(*PAIRS[f"blobs {seed}"])
        assert mine[0] == pytest.approx(theirs[0])
        assert abs(given(mine[1]) - theirs[1]) < voxel_mm


def test_monai_gives_nan_for_empty_masks_where_adn_has_a_policy():
    empty = np.zeros_like(ONE)
    assert np.isnan(by_monai(empty, empty, SPACING, 5.0)).all()
    assert ours(empty, empty, SPACING, 5.0) == (1.0, 0.0, 1.0)
    dice, hd95, surface = by_monai(ONE, empty, SPACING, 5.0)  # a false alarm: NaN, so a mean would leave it out
    assert np.isnan(dice)
    assert np.isnan(hd95)
    assert surface == 0.0
    assert ours(ONE, empty, SPACING, 5.0) == (0.0, None, 0.0)


def test_pooling_both_directions_as_medpy_does_gives_less():
    there, back = np.arange(11.0), np.zeros(1)  # the line's 11 distances to its end, and one back
    assert np.percentile(np.concatenate([there, back]), 95) == pytest.approx(9.45)
    assert metrics.hd95_mm(LINE, FIRST, (1.0, 1.0, 1.0)) == pytest.approx(9.5)
