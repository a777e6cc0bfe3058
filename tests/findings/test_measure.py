"""Numbers of one infarct by hand: a grid of 5 × 2 × 2 mm, 0.02 mL a voxel."""

import numpy as np
import pytest

from adn.findings.measure import measure, side_of, without_small
from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume

SHAPE = (6, 10, 12)
GRID = Grid.centred(SHAPE, (5.0, 2.0, 2.0), (3.0, 4.0, 5.0))  # SPL: W grows to patient left
ALIGNED: np.ndarray = np.linalg.inv(GRID.index_from_frame)


def patient(value=30.0):
    return Volume(np.full(SHAPE, value, np.float32), GRID), Volume(np.ones(SHAPE, np.uint8), GRID)


def spot(*voxels):
    infarct = np.zeros(SHAPE, np.uint8)
    for voxel in voxels:
        infarct[voxel] = 1
    return infarct


def test_volume_side_slices_and_density_by_hand():
    volume, mask = patient()
    infarct = spot((2, 3, 9), (2, 4, 9), (4, 3, 9))  # W 9 is left of the middle 5.5, its twin is W 2
    volume.data[infarct > 0] = (20.0, 22.0, 24.0)
    volume.data[..., 2] = 33.0
    found = measure(infarct, volume, mask, ALIGNED)
    assert found.volume_ml == pytest.approx(0.06)
    assert (found.side, found.slices) == ("left", (2, 4))
    assert (found.left_ml, found.right_ml) == pytest.approx((0.06, 0.0))
    assert (found.mean_hu, found.mirror_hu, found.hu_ratio) == pytest.approx((22.0, 33.0, 2 / 3))


def test_the_mirrored_infarct_is_on_the_other_side():
    volume, mask = patient()
    infarct = spot((2, 3, 9), (2, 4, 9), (4, 3, 7))
    left, right = (measure(x, volume, mask, ALIGNED) for x in (infarct, infarct[..., ::-1]))
    assert (left.side, right.side) == ("left", "right")
    assert (left.left_ml, left.right_ml) == pytest.approx((right.right_ml, right.left_ml))


def test_the_side_is_the_patients_not_the_index():
    """A head turned by 180° in plane: its left lies at low W."""
    volume, mask = patient()
    turned = RigidTransform.from_parameters((0.0, 0.0, 180.0)).matrix @ ALIGNED
    assert measure(spot((2, 3, 9)), volume, mask, ALIGNED).side == "left"
    assert measure(spot((2, 3, 9)), volume, mask, turned).side == "right"


def test_the_mirror_voxel_is_across_an_off_centre_mid_plane():
    volume, mask = patient()
    volume.data[2, 3, 6] = 40.0
    shifted = RigidTransform.from_parameters(translation_mm=(-4.0, 0.0, 0.0)).matrix @ ALIGNED  # plane at W 7.5
    assert measure(spot((2, 3, 9)), volume, mask, shifted).mirror_hu == pytest.approx(40.0)


def test_a_mirror_voxel_outside_brain_or_scan_does_not_count():
    volume, mask = patient()
    infarct = spot((2, 3, 9), (2, 3, 10))
    volume.data[2, 3, 1:3] = (50.0, 36.0)  # twins of W 10 and W 9
    mask.data[2, 3, 1] = 0
    assert measure(infarct, volume, mask, ALIGNED).mirror_hu == pytest.approx(36.0)
    mask.data[2, 3, 2] = 0
    found = measure(infarct, volume, mask, ALIGNED)
    assert (found.mirror_hu, found.hu_ratio) == (None, None)
    away = RigidTransform.from_parameters(translation_mm=(-100.0, 0.0, 0.0)).matrix @ ALIGNED
    assert measure(infarct, volume, mask, away).mirror_hu is None


def test_no_ratio_to_zero_hu_and_no_numbers_without_infarct():
    volume, mask = patient(0.0)
    assert measure(spot((2, 3, 9)), volume, mask, ALIGNED).hu_ratio is None
    found = measure(spot(), volume, mask, ALIGNED)
    assert (found.volume_ml, found.side, found.slices) == (0.0, "none", ())
    assert (found.mean_hu, found.mirror_hu, found.hu_ratio) == (None, None, None)


@pytest.mark.parametrize(
    ("left_ml", "right_ml", "side"),
    [
        (0.0, 0.0, "none"),
        (5.0, 0.0, "left"),
        (0.0, 0.02, "right"),
        (3.0, 2.0, "both"),
        (0.6, 0.4, "left"),  # the lesser is under half a millilitre
        (0.5, 0.5, "both"),
        (20.0, 1.0, "left"),  # the lesser is under a tenth
        (9.0, 1.0, "both"),
        (1.0, 20.0, "right"),
    ],
)
def test_side_by_hand(left_ml, right_ml, side):
    assert side_of(left_ml, right_ml) == side


def test_parts_below_the_smallest_volume_are_set_just_below_the_threshold():
    """0.02 mL a voxel: parts of 3 and 2 voxels, the second joined at a corner; asked are 0.05 mL."""
    p = np.full(SHAPE, 0.2, np.float32)
    for voxel in ((1, 1, 1), (1, 1, 2), (1, 2, 2)):
        p[voxel] = 0.9
    for voxel in ((4, 5, 5), (3, 6, 6)):
        p[voxel] = 0.7
    found = without_small(p, 0.5, 0.05, 0.02)
    assert np.argwhere(found >= 0.5).tolist() == [[1, 1, 1], [1, 1, 2], [1, 2, 2]]
    assert 0.4999 < found[4, 5, 5] < 0.5
    assert np.array_equal(found[p < 0.5], p[p < 0.5])
    assert np.array_equal(without_small(p, 0.5, 0.04, 0.02), p)
    assert without_small(p, 0.5, 0.0, 0.02) is p
    assert (without_small(p, 0.8, 9.0, 0.02) < 0.8).all()
