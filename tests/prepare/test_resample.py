"""Resampling reads array(matrix · index), along D, H, W."""

import numpy as np
import pytest

from adn.prepare.resample import resample


def test_whole_voxels_by_hand():
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    matrix = np.eye(4)
    matrix[2, 3] = 1  # reads one column further
    moved = resample(array, matrix, outside=-1)
    assert moved.shape == array.shape
    assert np.array_equal(moved[..., :3], array[..., 1:])
    assert (moved[..., 3] == -1).all()


def test_axes_are_not_exchanged_and_the_shape_is_that_of_the_output():
    array = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)
    matrix = np.diag([1.0, 2.0, 0.5, 1.0])
    found = resample(array, matrix, (4, 3, 15))
    assert found.shape == (4, 3, 15)
    assert np.allclose(found[:, :, ::2], array[:, ::2])
    assert found[1, 1, 1] == pytest.approx((array[1, 2, 0] + array[1, 2, 1]) / 2, abs=1e-6)


def test_labels_stay_labels():
    labels = np.array([[[0, 3, 7]]], np.uint8)
    matrix = np.eye(4)
    matrix[2, 3] = 0.3
    found = resample(labels, matrix, how="nearest")
    assert found.dtype == np.uint8
    assert found.tolist() == [[[0, 3, 7]]]
