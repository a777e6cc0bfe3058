"""Slices to learn from: within the brain, half of them with infarct, none twice where there are enough."""

import torch

from adn.training.slices import draw_slices


def scan(brain, infarct):
    """Slices 0 … 9 with brain or infarct in them."""
    x, marks = torch.zeros(1, 1, 10, 4, 4), torch.zeros(1, 1, 10, 4, 4)
    x[:, :, brain, 1, 1] = 0.5
    marks[:, :, infarct, 1, 1] = 1
    return x, marks


def drawn(brain, infarct, count):
    torch.manual_seed(0)
    return [draw_slices(*scan(brain, infarct), count)[0].tolist() for _ in range(30)]


def test_half_of_the_slices_have_infarct_and_none_is_drawn_twice():
    for places in drawn([1, 2, 3, 4, 5, 6, 7, 8], [4, 5, 6, 7], 5):
        assert places == sorted(set(places))
        assert len(places) == 5
        assert 0 not in places
        assert len({4, 5, 6, 7} & {*places}) >= 3
    assert len({tuple(places) for places in drawn([1, 2, 3, 4, 5, 6, 7, 8], [4, 5, 6, 7], 5)}) > 10


def test_without_infarct_all_slices_show_brain():
    assert all({*places} <= {2, 3, 4, 5, 6} for places in drawn([2, 3, 4, 5, 6], [], 3))


def test_slices_of_a_short_stack_are_repeated():
    assert all({*places} == {4, 5} and len(places) == 6 for places in drawn([4, 5], [5], 6))


def test_ignored_voxels_are_not_infarct_and_an_empty_scan_still_gives_slices():
    brain, infarct = scan([0, 1, 2, 3], [])
    infarct[:, :, 3, 1, 1] = -1
    assert any(3 not in draw_slices(brain, infarct, 2)[0].tolist() for _ in range(30))
    assert draw_slices(torch.zeros_like(brain), infarct, 4).shape == (1, 4)
