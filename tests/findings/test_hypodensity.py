"""Relative hypodensity by hand: 30 HU everywhere, 24 HU on one side is a fifth."""

import numpy as np
import pytest

from adn.findings.hypodensity import relative_hypodensity, slab_mean, smooth_in_plane
from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume

SHAPE = (5, 60, 81)  # W 40 is the middle
GRID = Grid.centred(SHAPE, (5.0, 2.0, 2.0))
ALIGNED: np.ndarray = np.linalg.inv(GRID.index_from_frame)
MIDDLE = (2, 30)


def head():
    return np.full(SHAPE, 30.0, np.float32), Volume(np.ones(SHAPE, np.uint8), GRID, "label")


def test_a_dark_side_is_darker_by_its_fraction_and_the_mirror_side_brighter():
    hu, mask = head()
    hu[:, 20:40, 10:30] = 24.0
    found = relative_hypodensity(Volume(hu, GRID), mask, ALIGNED)
    assert found[2, 30, 20] == pytest.approx(0.2, abs=1e-3)
    assert found[2, 30, 60] == pytest.approx(-0.25, abs=1e-3)  # (24 - 30) / 24
    assert found[2, 5, 40] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("column", [20, 60])
def test_the_map_is_0_where_the_mirror_voxel_is_fluid_or_calcified(column):
    for value in (8.0, 120.0):
        hu, mask = head()
        hu[:, 20:40, column - 10 : column + 10] = value
        found = relative_hypodensity(Volume(hu, GRID), mask, ALIGNED)
        assert found[2, 30, 20] == found[2, 30, 60] == 0.0


def test_outside_the_brain_is_zero_and_does_not_bleed_in():
    hu, mask = head()
    mask.data[..., :6] = 0
    hu[..., :6] = 1000.0
    found = relative_hypodensity(Volume(hu, GRID), mask, ALIGNED)
    assert found.shape == (5, 60, 75)  # the brain's box
    assert np.abs(found).max() < 1e-3


def test_the_mirror_voxel_is_across_the_aligned_mid_plane():
    hu, mask = head()
    hu[:, 16:22, 21:27] = 20.0
    turned = RigidTransform.from_parameters((0.0, 0.0, 90.0)).matrix @ ALIGNED  # the head lies on its side
    found = relative_hypodensity(Volume(hu, GRID), mask, turned)
    twin = np.linalg.inv(turned) @ np.diag([-1.0, 1, 1, 1]) @ turned @ [2, 19, 24, 1]
    place = tuple(np.rint(twin[:3]).astype(int))
    assert found[2, 19, 24] > 0.05
    assert found[place] < -0.05


def test_smoothing_keeps_the_sum_and_has_its_width():
    spot = np.zeros((1, 101, 101), np.float32)
    spot[0, 50, 50] = 1.0
    smooth = smooth_in_plane(spot, (5.0, 0.5, 0.5), 5.0)
    assert smooth.sum() == pytest.approx(1.0, abs=0.01)
    assert smooth[0, 50, 55] / smooth[0, 50, 50] == pytest.approx(0.5, abs=0.02)  # half at half the width


def test_thin_slices_are_averaged_to_five_mm():
    ramp = np.arange(7, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    assert slab_mean(ramp, 5.0) is ramp
    np.testing.assert_allclose(slab_mean(ramp, 1.0)[:, 0, 0], [1, 1.5, 2, 3, 4, 4.5, 5])


def test_requested_slices_have_the_same_means_as_all_slices():
    noise = np.random.default_rng(0).normal(30, 20, (23, 5, 4)).astype(np.float32)
    whole = np.concatenate([np.zeros((1, 5, 4)), np.cumsum(noise, 0, dtype=np.float64)])
    low, high = np.maximum(np.arange(23) - 2, 0), np.minimum(np.arange(23) + 3, 23)
    expected = ((whole[high] - whole[low]) / (high - low)[:, None, None]).astype(np.float32)
    assert np.array_equal(slab_mean(noise, 1.0), expected)
    some = [1, 9, 10, 22]
    assert np.array_equal(slab_mean(noise, 1.0, some), expected[some])
    assert np.array_equal(slab_mean(noise, 5.0, some), noise[some])
