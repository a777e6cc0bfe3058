"""Distances worked out on paper: anisotropic voxels, the border, turned and sheared grids; and what must not matter."""

import numpy as np
import pytest

from adn import metrics
from adn.errors import InputError
from adn.metrics.scores import diagonal_mm
from adn.metrics.surface import hd95_all_voxels_mm, hd95_mm
from adn.space.geometry import Grid
from adn.space.volume import Volume

SHAPE, SPACING = (6, 9, 11), (5.0, 1.2, 0.7)


def box(*edges, shape=SHAPE):
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(*pair) for pair in edges)] = 1
    return mask


def test_one_extra_slice_adds_one_slice_thickness_whatever_the_pixel_size():
    thin, thick = box((1, 2), (2, 7), (2, 9)), box((1, 3), (2, 7), (2, 9))  # 35 pixels a slice, all of them boundary
    assert metrics.hd95_mm(thin, thick, SPACING) == pytest.approx(5.0)  # half of thick's voxels are 5 mm away
    assert metrics.surface_dice(thin, thick, SPACING, 4.9) == pytest.approx((35 + 35) / (35 + 70))
    assert metrics.surface_dice(thin, thick, SPACING, 5.0) == 1.0


def test_the_end_of_the_array_is_background():
    whole = np.ones(SHAPE, np.uint8)
    outer = whole.copy()
    outer[1:-1, 1:-1, 1:-1] = 0  # exactly whole's boundary, plus a boundary inwards that is the same voxels
    assert metrics.hd95_mm(whole, outer, SPACING) == 0.0
    assert metrics.surface_dice(whole, outer, SPACING, 0.0) == 1.0


def test_one_voxel_in_each_corner_is_the_diagonal_apart():
    first, last = box((0, 1), (0, 1), (0, 1)), box((5, 6), (8, 9), (10, 11))
    expected = np.sqrt(25.0**2 + 9.6**2 + 7.0**2)
    assert metrics.hd95_mm(first, last, SPACING) == pytest.approx(expected)
    grid = Grid.centred(SHAPE, SPACING)
    assert diagonal_mm(grid) == pytest.approx(expected)
    for p, r in ((first, last * 0), (last * 0, first)):  # one empty: missing, or the largest there could be
        scores = metrics.score(Volume(p, grid), Volume(r, grid))
        assert scores.hd95_mm is None
        assert scores.hd95_or_diagonal_mm == pytest.approx(expected)
    assert metrics.score(Volume(first * 0, grid), Volume(first * 0, grid)).hd95_or_diagonal_mm == 0.0


def test_precision_and_recall_of_voxels():
    p, r = box((0, 2), (0, 2), (0, 2)), box((1, 3), (0, 2), (0, 3))  # 8 and 12 voxels, 4 in common
    assert metrics.precision_recall(p, r) == (pytest.approx(4 / 8), pytest.approx(4 / 12))
    assert metrics.precision_recall(p * 0, r) == (0.0, 0.0)
    assert metrics.precision_recall(p * 0, p * 0) == (1.0, 1.0)


def test_turning_the_grid_in_space_changes_no_distance():
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    p, r = box((0, 3), (1, 4), (2, 8)), box((1, 5), (3, 8), (0, 5))
    assert metrics.hd95_mm(p, r, turn * SPACING) == pytest.approx(metrics.hd95_mm(p, r, SPACING))


def test_on_a_sheared_grid_distances_are_in_patient_space():
    steps = np.array([[5.0, 0.0, 0.0], [1.5, 1.2, 0.0], [0.0, 0.0, 0.7]])  # each slice 1.5 mm along the rows
    one, above = box((1, 2), (2, 3), (2, 3)), box((2, 3), (2, 3), (2, 3))
    assert metrics.hd95_mm(one, above, steps) == pytest.approx(np.hypot(5.0, 1.5))
    straight = np.diag(SPACING)
    straight[0, 1] = 1e-3  # hardly sheared: the other path, the same answer
    p, r = box((0, 3), (1, 4), (2, 8)), box((1, 5), (3, 8), (0, 5))
    assert metrics.hd95_mm(p, r, straight) == pytest.approx(metrics.hd95_mm(p, r, SPACING), rel=1e-3)


def test_scores_do_not_depend_on_the_empty_margin():
    p, r = box((0, 3), (1, 4), (2, 8)), box((1, 5), (3, 8), (0, 5))
    near = metrics.score(Volume(p, Grid.centred(SHAPE, SPACING)), Volume(r, Grid.centred(SHAPE, SPACING)))
    wide = [np.pad(mask, ((2, 30), (40, 3), (0, 50))) for mask in (p, r)]
    grid = Grid.centred(wide[0].shape, SPACING)
    assert metrics.score(*(Volume(mask, grid) for mask in wide)) == near


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Grid.centred((5, 9, 11), SPACING), "shape is 5×9×11"),
        (Grid.centred(SHAPE, (5.0, 1.2, 0.75)), "spacing is 5.0000×1.2000×0.7500 mm"),
        (Grid.centred(SHAPE, SPACING, axes="SPR"), "axes grow towards SPR"),
        (Grid.centred(SHAPE, SPACING, (0.0, 3.0, 4.0)), "centres are 5 mm apart"),
    ],
)
def test_different_grids_are_refused_with_the_difference(other, words):
    mask = np.zeros(other.shape, np.uint8)
    with pytest.raises(InputError, match=words):
        metrics.score(Volume(mask, other), Volume(np.zeros(SHAPE, np.uint8), Grid.centred(SHAPE, SPACING)))


def test_distances_over_all_voxels_count_common_voxels_as_0():
    thin, thick = box((1, 2), (2, 7), (2, 9)), box((1, 5), (2, 7), (2, 9))
    assert hd95_mm(thin, thick, SPACING) == pytest.approx(15.0)
    inner = box((2, 3), (3, 4), (3, 4))
    far = np.where(box((5, 6), (3, 4), (3, 4)), 1, inner)
    assert hd95_all_voxels_mm(inner, far, SPACING) == pytest.approx(0.95 * 15.0)  # of two voxels one is common
    assert hd95_all_voxels_mm(inner, 0 * inner, SPACING) is None
    assert hd95_all_voxels_mm(0 * inner, 0 * inner, SPACING) == 0.0
