"""The mask ends at the foramen magnum if a neck was scanned, and is unchanged if only the start of the cord was."""

import numpy as np
import pytest
from tests.prepare.phantom import head

from adn.config import GridConfig
from adn.errors import InputError
from adn.prepare import conform
from adn.prepare.canal import canal_slices, without_long_canal
from adn.space.geometry import Grid
from adn.space.volume import Volume

SPACING_MM = (5.0, 2.0, 2.0)


def brain(tail, base=6):
    """24 slices of brain, the lowest `base` of them smaller, on `tail` slices of canal of 4 cm²."""
    mask = np.zeros((tail + 24 + 2, 90, 80), np.uint8)
    mask[:tail, 45:55, 35:45] = 1
    mask[tail : tail + base, 30:70, 25:55] = 1
    mask[tail + base : tail + 24, 5:85, 8:72] = 1
    return mask


@pytest.mark.parametrize("tail", [0, 3, 10, 30])
def test_the_canal_ends_where_the_brain_begins(tail):
    assert canal_slices(brain(tail) > 0, SPACING_MM) == tail


def test_a_short_canal_is_kept_and_a_long_one_removed():
    short, long = brain(12), brain(13)
    assert without_long_canal(short, SPACING_MM) is short
    cut = without_long_canal(long, SPACING_MM)
    assert not cut[:13].any()
    assert np.array_equal(cut[13:], long[13:])
    assert long[:13].any()  # what was given stays


def test_a_brain_whose_base_is_cut_off_has_no_canal():
    assert canal_slices(brain(0)[3:] > 0, SPACING_MM) == 0


def test_a_canal_beyond_the_model_grid_is_not_refused():
    scan, mask = head()
    used = np.flatnonzero(mask.data.any((1, 2)))
    tail = 24
    data = np.concatenate([np.repeat(scan.data[:1], tail, 0), scan.data])
    inside = np.concatenate([np.zeros((tail, *mask.data.shape[1:]), np.uint8), mask.data])
    inside[: used[0] + tail, 60:76, 50:66] = 1  # 8 cm²
    affine = scan.grid.affine.copy()
    affine[:3, 3] -= tail * affine[:3, 0]
    grid = Grid(data.shape, affine)
    assert conform(Volume(data, grid, "HU"), Volume(inside, grid, "label"), GridConfig()).mask.data.any()
    inside[: used[0] + tail, 40:96, 30:86] = 1  # as wide as a brain
    with pytest.raises(InputError, match="must fit the model grid"):
        conform(Volume(data, grid, "HU"), Volume(inside, grid, "label"), GridConfig())
