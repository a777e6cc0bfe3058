"""A volume's voxels keep their place and value, however its axes are ordered."""

import numpy as np
import pytest
from test_geometry import ORDERS, oblique, places

from adn.errors import InputError
from adn.space.volume import Volume


def coded():
    """Every voxel holds its own number."""
    grid = oblique()
    return Volume(np.arange(np.prod(grid.shape), dtype=np.int32).reshape(grid.shape), grid, "label")


@pytest.mark.parametrize("axes", ORDERS)
def test_reorienting_keeps_each_value_at_its_place(axes):
    volume = coded()
    turned = volume.reoriented(axes)
    assert turned.data.dtype == np.int32
    assert turned.data.flags.c_contiguous
    assert turned.unit == "label"
    by_value = places(turned.grid).reshape(-1, 3)[np.argsort(turned.data.ravel())]
    assert np.abs(by_value - places(volume.grid).reshape(-1, 3)).max() < 1e-12
    assert np.array_equal(turned.reoriented("SPL").data, volume.data)


def test_data_must_fit_the_grid():
    with pytest.raises(InputError, match="shapes must be equal"):
        Volume(np.zeros((7, 4, 3)), oblique())


def test_other_values_lie_on_the_same_grid():
    volume = coded()
    other = volume.with_data(np.zeros(volume.grid.shape, np.float32), "HU")
    assert other.grid is volume.grid
    assert (other.unit, volume.with_data(volume.data).unit) == ("HU", "label")


def test_a_volume_introduces_itself():
    assert repr(coded()) == "Volume(label, 3×4×7, 5×1.2×0.7 mm, SPL)"
    assert repr(coded().grid) == "Grid(3×4×7, 5×1.2×0.7 mm, SPL)"
