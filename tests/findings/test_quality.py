"""What makes a scan doubtful, on a head of 30 HU with bone around and known spots in it."""

import numpy as np
import pytest

from adn.findings.quality import bright_ml, cut_ends, noise_hu
from adn.space.geometry import Grid
from adn.space.volume import Volume

SHAPE = (20, 100, 90)
GRID = Grid.centred(SHAPE, (5.0, 2.0, 2.0))
Z, Y, X = np.meshgrid(
    *[(np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, GRID.spacing_mm, strict=True)], indexing="ij"
)
LEVEL = np.sqrt((X / 70) ** 2 + (Y / 85) ** 2 + (Z / 44) ** 2)


def head(noise=0.0):
    hu = np.where(LEVEL < 1, 30.0, np.where(LEVEL < 1.12, 1000.0, -1000.0))
    hu += np.random.default_rng(0).normal(0, noise, SHAPE) if noise else 0.0
    return hu.astype(np.float32), Volume((LEVEL < 1).astype(np.uint8), GRID, "label")


def ball(x, y, z, radius):
    return (X - x) ** 2 + (Y - y) ** 2 + (Z - z) ** 2 < radius**2


def test_a_bleed_is_measured():
    hu, mask = head(noise=4.0)
    spot = ball(20, 10, 5, 10)
    hu[spot] += 35.0
    assert bright_ml(Volume(hu, GRID), mask) == pytest.approx(spot.sum() * GRID.voxel_ml, rel=0.3)


@pytest.mark.parametrize("noise", [0.0, 4.0, 8.0])
def test_a_normal_head_has_no_bleed(noise):
    hu, mask = head(noise)
    assert bright_ml(Volume(hu, GRID), mask) == 0.0


def test_falx_sinus_and_calcification_are_not_blood():
    hu, mask = head()
    hu[(np.abs(X) < 2.1) & (LEVEL < 1) & (Z > 0)] = 60.0  # falx
    hu[ball(0, 82, 0, 8) & (LEVEL < 1)] = 65.0  # a sinus at the skull
    hu[ball(25, 0, 0, 6)] = 70.0  # the rim of what is calcified
    hu[ball(25, 0, 0, 4)] = 200.0
    assert bright_ml(Volume(hu, GRID), mask) < 0.5


def test_the_brain_cut_by_the_scans_ends_is_noticed():
    _, mask = head()
    assert cut_ends(mask) == (False, False)
    top = Volume(mask.data[:12], Grid.centred((12, 100, 90), GRID.spacing_mm), "label")
    assert cut_ends(top) == (False, True)
    assert cut_ends(top.reoriented("IPL")) == (False, True)


def test_noise_is_measured():
    hu, mask = head(noise=5.0)
    assert noise_hu(Volume(hu, GRID), mask) == pytest.approx(5.0, rel=0.15)
