"""Affine maps move points, compose and invert; the torch twin agrees."""

import numpy as np
import pytest
import torch

from adn.space.affine import Affine
from adn.space.warp import move_points


@pytest.fixture
def affine():
    matrix = np.eye(4)
    matrix[:3] = np.random.default_rng(1).normal(size=(3, 4))
    return Affine(matrix)


def test_points_by_hand():
    quarter = Affine(np.array([[0, -1, 0, 10], [1, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]]))
    assert quarter.apply((1, 0, 3)).tolist() == [10, 1, 6]
    assert quarter.apply(np.zeros((2, 5, 3))).shape == (2, 5, 3)
    assert quarter.offset.tolist() == [10, 0, 0]


def test_maps_compose_and_invert(affine):
    points = np.random.default_rng(2).normal(size=(7, 3))
    assert np.allclose((affine @ affine).apply(points), affine.apply(affine.apply(points)))
    assert np.allclose(affine.inverse().apply(affine.apply(points)), points)


def test_a_map_does_not_change_with_its_source_array():
    matrix = np.eye(4)
    affine = Affine(matrix)
    matrix[0, 3] = 5
    assert affine.offset.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        affine.matrix[0, 3] = 1


def test_the_torch_version_moves_points_to_the_same_places(affine):
    points = np.random.default_rng(3).normal(size=(3, 4, 5, 6))  # channels first
    moved = move_points(torch.tensor(affine.matrix), torch.from_numpy(points)).numpy()
    assert np.allclose(np.moveaxis(moved, 0, -1), affine.apply(np.moveaxis(points, 0, -1)), atol=1e-5)
