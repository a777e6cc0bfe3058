import numpy as np

from adn.datasets.bleeds import find_blood
from adn.space.geometry import Grid
from adn.space.volume import Volume


def test_blood_is_found_but_not_falx_or_rim():
    grid = Grid.centred((6, 60, 60), (5.0, 2.0, 2.0))
    hu, brain = np.full(grid.shape, 33.0, np.float32), np.zeros(grid.shape, np.uint8)
    brain[:, 5:55, 5:55] = 1
    truth = np.zeros(grid.shape, bool)
    truth[2:4, 25:33, 15:23] = True
    hu[truth] = 65.0
    hu[:, 10:50, 30] = 62.0  # falx
    hu[:, 5:7, 5:55] = 60.0  # blur of bone
    found = find_blood(Volume(hu, grid), Volume(brain, grid, "label"))
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    empty = find_blood(Volume(hu, grid), Volume(np.zeros_like(brain), grid, "label"))
    assert not empty.any()
