"""Scores by hand, against other libraries, and the laws they must obey."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter

from adn import metrics
from adn.errors import InputError
from adn.space.geometry import Grid
from adn.space.volume import Volume

SPACING = (5.0, 1.2, 0.7)


def mask(*boxes, shape=(8, 12, 14)):
    array = np.zeros(shape, dtype=np.uint8)
    for box in boxes:
        array[tuple(slice(*edges) for edges in box)] = 1
    return array


def blobs(seed, shape=(9, 21, 25)):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), (1, 2, 2))
    return (noise > np.quantile(noise, 0.85)).astype(np.uint8)


ONE = mask(((2, 3), (3, 4), (4, 5)))
EMPTY = mask()


def test_single_voxels_are_as_far_apart_as_their_centres():
    other = mask(((4, 5), (3, 4), (4, 5)))
    assert metrics.hd95_mm(ONE, other, SPACING) == pytest.approx(10.0)
    diagonal = mask(((3, 4), (5, 6), (6, 7)))
    assert metrics.hd95_mm(ONE, diagonal, SPACING) == pytest.approx(np.sqrt(5.0**2 + 2.4**2 + 1.4**2))


def test_a_mask_agrees_with_itself():
    for m in (ONE, blobs(0)):
        assert metrics.dice(m, m) == 1.0
        assert metrics.hd95_mm(m, m, SPACING) == 0.0
        assert metrics.surface_dice(m, m, SPACING) == 1.0
        assert metrics.volume_difference_ml(m, m, 0.01) == 0.0


def test_policy_for_empty_masks():
    assert (metrics.dice(EMPTY, EMPTY), metrics.hd95_mm(EMPTY, EMPTY, SPACING)) == (1.0, 0.0)
    assert metrics.surface_dice(EMPTY, EMPTY, SPACING) == 1.0
    assert metrics.lesion_agreement(EMPTY, EMPTY)[:3] == (1.0, 1.0, 1.0)
    for p, r in ((ONE, EMPTY), (EMPTY, ONE)):
        assert metrics.dice(p, r) == 0.0
        assert metrics.hd95_mm(p, r, SPACING) is None
        assert metrics.surface_dice(p, r, SPACING) == 0.0
        assert metrics.lesion_agreement(p, r)[:3] == (0.0, 0.0, 0.0)


def test_dice_and_volume_by_hand():
    p, r = mask(((0, 2), (0, 2), (0, 2))), mask(((1, 3), (0, 2), (0, 3)))  # 8 and 12 voxels, 4 in common
    assert metrics.dice(p, r) == pytest.approx(2 * 4 / 20)
    assert metrics.volume_difference_ml(p, r, 0.5) == pytest.approx(2.0)
    assert metrics.volume_difference_ml(r, p, 0.5) == pytest.approx(2.0)


def test_the_quantile_is_linear_and_the_larger_direction_counts():
    line = mask(((0, 1), (0, 1), (0, 11)), shape=(1, 1, 11))  # distances to its first voxel: 0, 1 … 10 mm
    first = mask(((0, 1), (0, 1), (0, 1)), shape=(1, 1, 11))
    assert metrics.hd95_mm(line, first, (1.0, 1.0, 1.0)) == pytest.approx(9.5)
    assert metrics.hd95_mm(first, line, (1.0, 1.0, 1.0)) == pytest.approx(9.5)


def test_surface_dice_counts_boundary_voxels_within_the_tolerance():
    line, first = mask(((0, 1), (0, 1), (0, 11)), shape=(1, 1, 11)), mask(((0, 1), (0, 1), (0, 1)), shape=(1, 1, 11))
    assert metrics.surface_dice(line, first, (1.0, 1.0, 1.0), 5.0) == pytest.approx((6 + 1) / 12)
    assert metrics.surface_dice(line, first, (1.0, 1.0, 0.1), 0.3) == pytest.approx((4 + 1) / 12)


def test_only_the_boundary_counts_not_the_inside():
    cube, hollow = mask(((1, 6), (1, 6), (1, 6))), mask(((1, 6), (1, 6), (1, 6)))
    hollow[3, 3, 3] = 0  # the six voxels around the hole become boundary
    distances = np.concatenate([np.zeros(98), np.ones(6)])
    assert metrics.hd95_mm(hollow, cube, (1.0, 1.0, 1.0)) == pytest.approx(np.percentile(distances, 95))


@pytest.mark.parametrize("seed", range(4))
def test_cropping_and_padding_change_nothing(seed):
    p, r = blobs(seed), blobs(seed + 100)  # both touch the array's border
    wide, other = (np.pad(m, ((3, 1), (0, 7), (2, 2))) for m in (p, r))
    assert metrics.hd95_mm(wide, other, SPACING) == metrics.hd95_mm(p, r, SPACING)
    assert metrics.surface_dice(wide, other, SPACING, 2.0) == metrics.surface_dice(p, r, SPACING, 2.0)
    assert metrics.lesion_agreement(wide, other) == metrics.lesion_agreement(p, r)


@pytest.mark.parametrize("seed", range(4))
def test_distances_agree_with_scipy(seed):
    p, r = blobs(seed).astype(bool), blobs(seed + 100).astype(bool)
    edges = [m & ~np.asarray(binary_erosion(m), bool) for m in (p, r)]
    there = np.asarray(distance_transform_edt(~edges[1], sampling=SPACING))[edges[0]]
    back = np.asarray(distance_transform_edt(~edges[0], sampling=SPACING))[edges[1]]
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert metrics.hd95_mm(p, r, SPACING) == pytest.approx(expected, abs=1e-4)


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@pytest.mark.parametrize("seed", range(2))
def test_scores_agree_with_monai(seed):
    torch = pytest.importorskip("torch")
    monai = pytest.importorskip("monai.metrics")
    p, r = blobs(seed), blobs(seed + 100)
    a, b = (torch.from_numpy(m).float()[None, None] for m in (p, r))
    theirs = monai.compute_hausdorff_distance(a, b, include_background=True, percentile=95, spacing=SPACING)
    assert metrics.hd95_mm(p, r, SPACING) == pytest.approx(float(theirs), abs=1e-4)
    theirs = monai.compute_surface_dice(a, b, class_thresholds=[2.0], include_background=True, spacing=SPACING)
    assert metrics.surface_dice(p, r, SPACING, 2.0) == pytest.approx(float(theirs), abs=1e-6)
    assert metrics.dice(p, r) == pytest.approx(float(monai.compute_dice(a, b)), abs=1e-6)


def test_lesions_by_hand():
    reference = mask(((0, 1), (0, 1), (0, 1)), ((1, 2), (1, 2), (1, 2)), ((5, 7), (5, 7), (5, 7)))  # corners connect
    prediction = mask(((1, 2), (1, 2), (1, 3)), ((0, 2), (10, 12), (10, 12)), ((7, 8), (0, 1), (0, 1)))
    found = metrics.lesion_agreement(prediction, reference)
    assert (found.predicted, found.reference) == (3, 2)
    assert (found.precision, found.recall) == (pytest.approx(1 / 3), pytest.approx(1 / 2))
    assert found.f1 == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    missed = metrics.lesion_agreement(mask(((7, 8), (0, 1), (0, 1))), reference)
    assert missed[:3] == (0.0, 0.0, 0.0)


def test_score_gathers_everything_in_millimetres_and_millilitres():
    grid = Grid.centred((8, 12, 14), SPACING)
    scores = metrics.score(Volume(ONE, grid, "1"), Volume(mask(((2, 4), (3, 4), (4, 5))), grid, "1"))
    assert scores.dice == pytest.approx(2 / 3)
    assert scores.hd95_mm == pytest.approx(4.75)  # distances 0 and 5 mm
    assert scores.surface_dice_5mm == 1.0
    assert scores.volume_difference_ml == pytest.approx(0.0042)
    assert (scores.prediction_ml, scores.reference_ml) == (pytest.approx(0.0042), pytest.approx(0.0084))
    assert (scores.lesion_f1, scores.lesion_precision, scores.lesion_recall) == (1.0, 1.0, 1.0)


def test_masks_that_cannot_be_compared_are_refused():
    grid = Grid.centred((8, 12, 14), SPACING)
    with pytest.raises(InputError, match="grid"):
        metrics.score(Volume(ONE, grid), Volume(ONE, Grid.centred((8, 12, 14), SPACING, (1.0, 0.0, 0.0))))
    with pytest.raises(InputError, match="equal shape"):
        metrics.dice(ONE, ONE[1:])
    for wrong in (ONE * 2, ONE * 0.5, np.full(ONE.shape, np.nan)):
        with pytest.raises(InputError, match="0 and 1 only"):
            metrics.dice(wrong, ONE)
