"""Names in the ASPECTS picture do not overlap."""

import numpy as np

from adn.figures.aspects import apart


def test_close_labels_are_moved_apart_and_the_others_stay():
    places = [(0.0, 0.0), (0.0, 4.0), (3.0, 2.0), (80.0, 80.0)]
    found = apart(places, 9.0)
    distance = np.linalg.norm(found[:, None] - found[None], axis=-1)
    assert distance[~np.eye(4, dtype=bool)].min() > 8.99
    np.testing.assert_array_equal(found[3], places[3])
    assert np.abs(found - places).max() < 9.0


def test_no_labels_have_no_positions():
    assert apart([], 9.0).shape == (0, 2)
