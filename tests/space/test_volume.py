"""A volume's voxels keep their place and value, however its axes are ordered."""

import numpy as np
import pytest

from adn.errors import InputError
from adn.space.geometry import bounding_box, reorient_array, reorient_box
from adn.space.volume import BoxVolume, Volume
from space.grids import ORDERS, oblique, places


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


def test_with_data_keeps_the_grid():
    volume = coded()
    other = volume.with_data(np.zeros(volume.grid.shape, np.float32), "HU")
    assert other.grid is volume.grid
    assert (other.unit, volume.with_data(volume.data).unit) == ("HU", "label")


def test_a_volume_has_a_readable_repr():
    assert repr(coded()) == "Volume(label, 3×4×7, 5×1.2×0.7 mm, SPL)"
    assert repr(coded().grid) == "Grid(3×4×7, 5×1.2×0.7 mm, SPL)"


@pytest.mark.parametrize("axes", ORDERS)
def test_a_box_is_placed_on_the_scan_whatever_its_axes(axes):
    scan = coded()
    marked = np.zeros(scan.grid.shape, bool)
    marked[1:3, 0:2, 1:2] = True
    box = bounding_box(marked)
    values = scan.data[box].astype(np.float32) + 100
    turned = scan.reoriented(axes)
    place = reorient_box(box, scan.grid.shape, scan.grid.axes, axes)
    kept = reorient_array(values, scan.grid.axes, axes)
    on_zero, on_scan = (BoxVolume(kept, place, turned, "HU", scan_around=around) for around in (False, True))
    for laid, around in ((on_zero, 0), (on_scan, scan.data)):
        assert (laid.data.dtype, laid.grid, laid.unit) == (np.float32, turned.grid, "HU")
        np.testing.assert_array_equal(laid.reoriented(scan.grid.axes).data, np.where(marked, scan.data + 100, around))
        whole = laid.with_data(laid.data)
        for axis in range(3):
            for part in (slice(0, 1), slice(1, 3), slice(2, None)):
                np.testing.assert_array_equal(laid.part(axis, part), whole.part(axis, part))
    assert np.array_equal(turned.data, scan.reoriented(axes).data)  # the scan itself stays
