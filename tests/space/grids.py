"""The 48 axis orders, and a grid on which mixed-up axes show."""

from itertools import permutations, product

import numpy as np

from adn.space.geometry import RAS_FROM_LPS, Grid, RigidTransform

ORDERS = [
    "".join(letters)
    for triple in permutations(("RL", "AP", "SI"))
    for letters in product(*triple)
]  # fmt: skip
SHAPE, SPACING = (3, 4, 7), (5.0, 1.2, 0.7)


def oblique():
    """A tilted, turned grid of unequal sides and steps, nearest to SPL."""
    grid = Grid.centred(SHAPE, SPACING, (3.0, -7.0, 20.0))
    turn = RigidTransform.from_parameters((12.0, -7.0, 20.0)).matrix
    return Grid(SHAPE, RAS_FROM_LPS @ turn @ RAS_FROM_LPS @ grid.affine)


def places(grid):
    """World position of every voxel, (n0, n1, n2, 3)."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    return index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
