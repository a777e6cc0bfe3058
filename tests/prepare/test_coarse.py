"""Morphology on small masks, counted by hand."""

import numpy as np

from adn.prepare.coarse import large_pieces, largest, peel_slices


def test_peeling_removes_an_outer_layer_of_the_given_depth_only():
    """A 7 × 7 square with bone in its outer two rings and in its middle, in a slice of its own."""
    mask = np.zeros((3, 11, 11), bool)
    mask[1, 2:9, 2:9] = True
    bone = mask.copy()
    bone[1, 4:7, 4:7] = False
    bone[1, 5, 5] = True
    for steps, side in ((0, 7), (1, 5), (2, 3), (9, 3)):
        left = peel_slices(mask, bone, steps)
        assert left.sum() == side**2
        assert left[1, 5, 5]  # bone that the outside does not reach: a calcification


def test_large_pieces_are_kept():
    mask = np.zeros((3, 20, 20), bool)
    mask[1, :10, :10] = mask[1, 12:16, 12:16] = mask[1, 18, 18] = True
    assert np.array_equal(large_pieces(mask, 0.1).sum(), 116)
    assert np.array_equal(large_pieces(mask, 0.5), largest(mask))
    assert not large_pieces(np.zeros_like(mask), 0.1).any()
