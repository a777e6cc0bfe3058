"""Hounsfield units and the unit interval, by hand."""

import numpy as np
import pytest

from adn.space.units import hu_to_unit, unit_to_hu


def test_a_window_by_hand():
    unit = hu_to_unit(np.array([-1000.0, 0.0, 8.0, 40.0, 80.0, 3000.0]), (0.0, 80.0))
    assert unit.dtype == np.float32
    assert unit == pytest.approx([0.0, 0.0, 0.1, 0.5, 1.0, 1.0])
    assert hu_to_unit(np.array([10, 20, 50]), (10.0, 50.0)) == pytest.approx([0.0, 0.25, 1.0])


def test_a_difference_of_a_tenth_is_8_hu_whatever_the_window_level():
    for window in ((0.0, 80.0), (-20.0, 60.0)):
        assert unit_to_hu(np.array([0.1, -0.1, 0.0]), window) == pytest.approx([8.0, -8.0, 0.0])


def test_windowing_is_invertible_inside_the_window():
    hu = np.linspace(-20, 60, 33).reshape(3, 11)
    back = unit_to_hu(hu_to_unit(hu, (-20.0, 60.0)), (-20.0, 60.0)) - 20.0
    assert back.shape == hu.shape
    assert np.abs(back - hu).max() < 1e-5
