"""Laws of grids and rigid motions, on odd and anisotropic shapes."""

import numpy as np
import pytest

from adn.errors import InputError
from adn.space.geometry import Grid, RigidTransform, axis_changes, bounding_box, reorient_array
from space.grids import ORDERS, SHAPE, SPACING, oblique, places


def test_there_are_48_axis_orders():
    assert len(set(ORDERS)) == 48


def test_a_centred_grid_is_at_the_requested_place():
    grid = Grid.centred((40, 256, 256), (5.0, 1.2, 1.2), (1.0, -2.0, 3.0))
    assert grid.axes == "SPL"
    assert grid.spacing_mm == pytest.approx((5.0, 1.2, 1.2))
    assert grid.centre_mm == pytest.approx([1.0, -2.0, 3.0])
    assert grid.voxel_ml == pytest.approx(0.0072)
    assert grid.affine @ [0, 0, 127.5, 1] == pytest.approx([1.0, -2.0 + 127.5 * 1.2, 3.0 - 19.5 * 5, 1.0])


@pytest.mark.parametrize("axes", ORDERS)
def test_an_axis_grows_towards_its_letter(axes):
    grid = Grid.centred(SHAPE, SPACING, axes=axes)
    assert grid.axes == axes
    for axis, code in enumerate(axes):
        row, sign = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}[code]
        assert grid.affine[row, axis] == sign * SPACING[axis]


def test_the_frame_is_lps_about_the_centre():
    grid = Grid.centred((3, 5, 8), (5.0, 1.2, 0.7), (30.0, 40.0, -50.0))
    step = grid.index_from_frame
    assert step @ [0, 0, 0, 1] == pytest.approx([1.0, 2.0, 3.5, 1.0])
    assert step @ [0.7, 0, 0, 1] == pytest.approx([1.0, 2.0, 4.5, 1.0])  # patient left: W grows
    assert step @ [0, 1.2, 0, 1] == pytest.approx([1.0, 3.0, 3.5, 1.0])  # posterior: H grows
    assert step @ [0, 0, 5.0, 1] == pytest.approx([2.0, 2.0, 3.5, 1.0])  # superior: D grows


@pytest.mark.parametrize("axes", ORDERS)
def test_reorienting_moves_no_voxel_and_keeps_directions_exactly(axes):
    grid = oblique()
    turned = grid.reoriented(axes)
    assert turned.axes == axes
    assert np.array_equal(np.sort(np.abs(turned.affine[:3, :3]), 1), np.sort(np.abs(grid.affine[:3, :3]), 1))
    assert sorted(turned.shape) == sorted(grid.shape)
    moved = np.stack([reorient_array(places(grid)[..., i], "SPL", axes) for i in range(3)], -1)
    assert np.abs(places(turned) - moved).max() < 1e-12
    home = turned.reoriented("SPL")
    assert np.array_equal(home.affine[:3, :3], grid.affine[:3, :3])
    assert home.same_as(grid, 1e-9)


def test_axis_changes_by_hand():
    assert axis_changes("RAS", "SPL") == ((2, 1, 0), (False, True, True))
    array = np.arange(6).reshape(1, 2, 3)
    assert np.array_equal(reorient_array(array, "SPL", "RPS"), array.transpose(2, 1, 0)[::-1])


def test_same_as_considers_every_voxel():
    grid = Grid.centred((9, 9, 9), (2.0, 2.0, 2.0), axes="RAS")
    assert grid.same_as(Grid(grid.shape, grid.affine + np.diag([0, 0, 1e-5, 0])))
    assert not grid.same_as(Grid.centred((9, 9, 9), (2.0, 2.0, 2.0), (0.0, 0.0, 0.03), "RAS"))
    assert not grid.same_as(Grid.centred((9, 9, 9), (2.0, 2.0, 2.0), axes="ARS"))  # first and last voxel agree
    assert not grid.same_as(Grid((9, 9, 8), grid.affine))


@pytest.mark.parametrize("axis", range(3))
def test_a_hundredth_of_a_voxel_is_the_same_grid(axis):
    grid = Grid.centred((30, 512, 512), (5.0, 0.4, 0.5), axes="SPL")
    for share, same in ((0.0, True), (0.01, True), (0.012, False), (-0.01, True), (-0.1, False)):
        affine = grid.affine.copy()
        affine[:3, 3] += share * affine[:3, axis]
        assert grid.same_as(Grid(grid.shape, affine)) == same


def test_a_rotation_is_judged_by_its_largest_displacement():
    grid = Grid.centred((30, 500, 500), (5.0, 0.5, 0.5))
    for degrees, same in ((0.0005, True), (0.01, False)):  # 125 mm away: 0.001 and 0.02 mm
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        assert grid.same_as(Grid(grid.shape, turn @ grid.affine)) == same


@pytest.mark.parametrize("affine", [np.diag([1.0, 1.0, 0.0, 1.0]), np.full((4, 4), np.nan), np.eye(3)])
def test_a_singular_affine_is_refused(affine):
    with pytest.raises(InputError, match="singular or not finite"):
        Grid((2, 3, 4), affine)


def test_a_grid_is_immutable_and_does_not_freeze_its_inputs():
    affine = np.eye(4)
    grid = Grid((2, 3, 4), affine)
    affine[0, 3] = 9.0
    assert grid.affine[0, 3] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 3] = 1.0


@pytest.mark.parametrize(
    ("rotation_deg", "start", "end"),
    [
        ((0.0, 0.0, 90.0), (1, 0, 0), (0, 1, 0)),  # in-plane: left → posterior
        ((0.0, 90.0, 0.0), (0, 0, 1), (1, 0, 0)),  # roll: superior → left
        ((90.0, 0.0, 0.0), (0, 1, 0), (0, 0, 1)),  # pitch: posterior → superior
    ],
)
def test_quarter_turns_by_hand(rotation_deg, start, end):
    motion = RigidTransform.from_parameters(rotation_deg, (10.0, 20.0, 30.0))
    assert (motion.matrix @ [*start, 1])[:3] == pytest.approx(np.add(end, (10.0, 20.0, 30.0)))


def test_parameters_come_back_and_act_in_the_written_order():
    rotation, shift = (11.0, -7.0, 23.0), (4.0, -5.0, 6.0)
    motion = RigidTransform.from_parameters(rotation, shift)
    assert motion.rotation_deg == pytest.approx(rotation)
    assert motion.translation_mm == pytest.approx(shift)
    x, y, z = (RigidTransform.from_parameters(tuple(np.eye(3)[i] * rotation)) for i in range(3))
    composed = RigidTransform.from_parameters(translation_mm=shift) @ z @ y @ x
    assert np.abs(composed.matrix - motion.matrix).max() < 1e-14


def test_motions_compose_invert_and_stay_rigid():
    a = RigidTransform.from_parameters((11.0, -7.0, 23.0), (4.0, -5.0, 6.0))
    b = RigidTransform.from_parameters((-3.0, 14.0, -40.0), (0.0, 25.0, -1.0))
    assert np.abs((a @ a.inverse()).matrix - np.eye(4)).max() < 1e-14
    assert np.abs((a @ b).inverse().matrix - (b.inverse() @ a.inverse()).matrix).max() < 1e-13
    assert np.linalg.det((a @ b).matrix) == pytest.approx(1.0)
    point = np.array([1.0, 2.0, 3.0, 1.0])
    assert (a @ b).matrix @ point == pytest.approx(a.matrix @ (b.matrix @ point))
    ten, twenty = (RigidTransform.from_parameters((0.0, 0.0, angle)) for angle in (10.0, 20.0))
    assert (ten @ twenty).rotation_deg == pytest.approx((0.0, 0.0, 30.0))
    assert np.array_equal(RigidTransform.identity().matrix, np.eye(4))


def test_a_pose_can_be_pasted_back():
    pose = RigidTransform.from_parameters((1.5, -7.25, 23.0), (4.0, -5.5, 6.0))
    again = eval(repr(pose), {"RigidTransform": RigidTransform})
    assert np.abs(again.matrix - pose.matrix).max() < 1e-5


def test_the_bounding_box_contains_everything_and_grows_within_the_array():
    inside = np.zeros((5, 6, 7), bool)
    inside[1, 2, 0] = inside[3, 2, 4] = True
    assert bounding_box(inside) == (slice(1, 4), slice(2, 3), slice(0, 5))
    assert bounding_box(inside, (1, 3, 1)) == (slice(0, 5), slice(0, 6), slice(0, 6))
