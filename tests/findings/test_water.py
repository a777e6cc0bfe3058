"""Net water uptake on a head whose sides are known, and the blocks that it is measured on."""

import numpy as np
import pytest

from adn.findings.twins import twins_of
from adn.findings.water import block_noise_hu, net_water_uptake, tissue_pairs, water_uptake_percent
from adn.space.geometry import Grid
from adn.space.volume import Volume
from given import loose

SHAPE, SPACING_MM = (9, 81, 71), (5.0, 1.0, 1.0)


def head(drop_hu=0.0, noise_hu=0.0, spacing_mm=SPACING_MM, shape=SHAPE, sulcus=False):
    """A box of brain of 35 HU, mid-plane at x = 0; a marked box on the left is darker."""
    grid = Grid.centred(shape, spacing_mm)
    aligned = np.linalg.inv(grid.index_from_frame)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    x, y, z = np.moveaxis(index @ aligned[:3, :3].T + aligned[:3, 3], -1, 0)
    brain = (np.abs(x) < 30) & (np.abs(y) < 35)
    infarct = (x > 8) & (x < 26) & (np.abs(y) < 12) & (np.abs(z) < 11)
    hu = np.where(brain, 35.0, -1000.0) - drop_hu * infarct
    if sulcus:  # on the mirror side alone
        hu[(x < -12) & (x > -16) & brain] = 8.0
    hu += np.random.default_rng(1).normal(0, noise_hu, shape) if noise_hu else 0.0
    volume = Volume(hu.astype(np.float32), grid)
    return volume, Volume(brain.astype(np.uint8), grid, "label"), infarct.astype(np.uint8), aligned


def said(scan):
    twins = twins_of(*scan)
    return loose(net_water_uptake(twins, twins.infarct > 0.9, tissue_pairs(twins), block_noise_hu(twins)))


def test_net_water_uptake_by_the_formula():
    assert water_uptake_percent(30.0, 40.0) == pytest.approx(25.0)
    assert water_uptake_percent(44.0, 40.0) == pytest.approx(-10.0)


@pytest.mark.parametrize("spacing_mm", [(5.0, 1.0, 1.0), (1.0, 1.0, 1.0), (9.0, 2.5, 2.1)])
def test_water_uptake_is_the_drop_relative_to_the_mirror_side(spacing_mm):
    shape = (45 if spacing_mm[0] == 1 else 9, 81, 71)
    found = said(head(drop_hu=7.0, spacing_mm=spacing_mm, shape=shape))
    assert found.percent == pytest.approx(20.0, abs=0.3)
    assert found.mirror_hu == pytest.approx(35.0, abs=0.1)


def test_the_error_from_noise_is_within_the_stated_uncertainty():
    found = said(head(drop_hu=3.5, noise_hu=5.0))
    assert 0 < found.uncertainty_percent < 1.0
    assert abs(found.percent - 10.0) < 4 * found.uncertainty_percent


def test_the_darkest_part_of_an_infarct_counts():
    assert said(head(drop_hu=20.0)).percent == pytest.approx(100 * 20 / 35, abs=0.5)


def test_differences_elsewhere_increase_the_uncertainty():
    volume, brain, infarct, aligned = head(drop_hu=7.0)
    waves = 2.0 * np.sin(np.arange(volume.data.shape[2]) / 4.0).astype(np.float32)  # along right to left
    uneven = volume.with_data(volume.data + waves * (brain.data > 0))
    equal, unequal = said((volume, brain, infarct, aligned)), said((uneven, brain, infarct, aligned))
    assert equal.uncertainty_percent < 0.1
    assert 1.0 < unequal.uncertainty_percent < 12.0


def test_a_sulcus_on_one_side_is_not_water_uptake():
    assert said(head(drop_hu=3.5, sulcus=True)).percent == pytest.approx(10.0, abs=0.5)


def test_fluid_has_no_water_uptake():
    assert said(head(drop_hu=28.0)) is None


def test_a_marked_mirror_voxel_does_not_count():
    volume, brain, infarct, aligned = head(drop_hu=7.0)
    both = np.maximum(infarct, infarct[:, :, ::-1])
    assert said((volume, brain, both, aligned)) is None
