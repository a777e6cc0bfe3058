"""Sampling pulls, in millimetres, on odd and anisotropic grids: the torch twin agrees with numpy's geometry."""

import numpy as np
import pytest
import torch

from adn.space.geometry import Grid, RigidTransform
from adn.space.warp import invert_rigid, mirror, normalised_from_mm, rigid_matrix, warp

SHAPE, SPACING = (15, 37, 52), (5.0, 2.5, 1.7)  # 75 × 92.5 × 88.4 mm
POSE = RigidTransform.from_parameters((0.0, -9.0, 25.0), (7.0, -4.0, 3.0))


def as_tensor(pose):
    return torch.tensor(pose.matrix)[None]


def frame(shape=SHAPE, spacing=SPACING):
    """Place of every voxel in LPS mm about the centre, (D, H, W, 3), from numpy's Grid."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    matrix = np.linalg.inv(Grid.centred(shape, spacing).index_from_frame)
    return index @ matrix[:3, :3].T + matrix[:3, 3]


def blob(centre_mm, shape=SHAPE, spacing=SPACING, sigma_mm=6.0):
    squared = ((frame(shape, spacing) - centre_mm) ** 2).sum(-1)
    return torch.tensor(np.exp(-squared / (2 * sigma_mm**2)))[None, None]


def centroid_mm(x):
    weight = x[0, 0].numpy()[..., None]
    return (weight * frame()).sum((0, 1, 2)) / weight.sum()


def test_mirroring_swaps_left_and_right_and_twice_is_the_identity():
    x = torch.rand(2, 3, 4, 5, 7)
    assert torch.equal(mirror(mirror(x)), x)
    assert centroid_mm(mirror(blob((12.0, 5.0, -3.0)))) == pytest.approx([-12.0, 5.0, -3.0], abs=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_rigid_matrix_equals_the_numpy_version(seed):
    draw = np.random.default_rng(seed)
    angles, shifts = draw.uniform(-80, 80, (2, 3)), draw.uniform(-50, 50, (2, 3))
    twin = rigid_matrix(torch.tensor(angles), torch.tensor(shifts))
    for i in range(2):
        expected = RigidTransform.from_parameters(tuple(angles[i]), tuple(shifts[i]))
        assert np.abs(twin[i].numpy() - expected.matrix).max() < 1e-12
        assert np.abs(invert_rigid(twin)[i].numpy() - expected.inverse().matrix).max() < 1e-12


def test_rigid_matrix_has_the_right_gradients():
    angles = torch.tensor([[3.0, -5.0, 20.0]], dtype=torch.float64, requires_grad=True)
    shifts = torch.tensor([[1.0, 2.0, -3.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, s: invert_rigid(rigid_matrix(a, s)), (angles, shifts))


def test_conjugation_by_the_grid_by_hand():
    quarter = as_tensor(RigidTransform.from_parameters((0.0, 0.0, 90.0), (5.0, 0.0, 0.0)))
    theta = normalised_from_mm(quarter, (20.0, 40.0, 10.0))[0]  # W, H, D: half sizes 10, 20, 5 mm
    expected = [[0, -2, 0, 0.5], [0.5, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert theta.numpy() == pytest.approx(np.array(expected, float), abs=1e-12)


@pytest.mark.parametrize("start", [(0.0, 0.0, 0.0), (15.0, 10.0, 5.0), (-12.0, 18.0, -8.0)])
@pytest.mark.parametrize(
    "pose",
    [
        RigidTransform.from_parameters(translation_mm=(9.0, -6.0, 4.0)),
        RigidTransform.from_parameters((0.0, 0.0, 30.0)),
        RigidTransform.from_parameters((0.0, 12.0, 0.0)),
        POSE,
    ],
)
def test_a_blob_moves_as_numpys_geometry_says(pose, start):
    moved = centroid_mm(warp(blob(start), as_tensor(pose), SPACING))
    expected = pose.inverse().matrix @ [*start, 1.0]  # output(p) = x(pose · p): the blob lands at pose⁻¹ · start
    assert moved == pytest.approx(expected[:3], abs=0.25)


def test_whole_voxels_and_quarter_turns_by_hand():
    x = torch.rand(1, 2, 3, 6, 6, dtype=torch.float64)
    two_left = as_tensor(RigidTransform.from_parameters(translation_mm=(2 * 1.5, 0.0, 0.0)))
    out = warp(x, two_left, (5.0, 1.5, 1.5))
    assert torch.allclose(out[..., :4], x[..., 2:])  # it reads two voxels further left, so the image moves right
    assert torch.count_nonzero(out[..., 4:].abs() > 1e-9) == 0
    quarter = as_tensor(RigidTransform.from_parameters((0.0, 0.0, 90.0)))
    assert torch.allclose(warp(x, quarter, (5.0, 1.5, 1.5)), x.rot90(1, (3, 4)))


def test_the_inverse_pose_undoes_the_pose():
    x = blob((5.0, -6.0, 2.0), sigma_mm=12.0)
    home = warp(warp(x, as_tensor(POSE), SPACING), invert_rigid(as_tensor(POSE)), SPACING)
    inside = np.linalg.norm(frame() / [44, 46, 37], axis=-1) < 0.55  # what stays in the grid both ways
    bound = 2 * sum(step**2 for step in SPACING) / (8 * 12.0**2)  # two linear interpolations: h² f″ / 8 along each axis
    assert (home - x).abs()[0, 0][torch.tensor(inside)].max() < bound  # 0.058
    assert (warp(x, as_tensor(POSE), SPACING) - x).abs().max() > 0.4


def test_warping_twice_is_warping_by_the_product():
    """warp(warp(x, a), b)(p) = x(a · b · p)."""
    a, b = RigidTransform.from_parameters((0.0, 0.0, 12.0)), RigidTransform.from_parameters((0.0, 5.0, 0.0), (3, -2, 1))
    x = blob((5.0, -6.0, 2.0), sigma_mm=12.0)
    twice = warp(warp(x, as_tensor(a), SPACING), as_tensor(b), SPACING)
    assert centroid_mm(twice) == pytest.approx(centroid_mm(warp(x, as_tensor(a @ b), SPACING)), abs=0.3)


def test_mirroring_turns_a_pose_into_its_mirror_pose():
    flip = RigidTransform(np.diag([-1.0, 1.0, 1.0, 1.0]))
    x = torch.rand(1, 1, *SHAPE, dtype=torch.float64)
    other = warp(mirror(x), as_tensor(flip @ POSE @ flip), SPACING)
    assert torch.allclose(mirror(warp(x, as_tensor(POSE), SPACING)), other, atol=1e-9)


def test_a_box_is_the_centre_of_the_full_grid():
    x = torch.rand(1, 2, *SHAPE, dtype=torch.float64)
    full = warp(x, as_tensor(POSE), SPACING)
    box = warp(x, as_tensor(POSE), SPACING, (9, 25, 40))
    assert torch.allclose(box, full[:, :, 3:-3, 6:-6, 6:-6], atol=1e-9)
    grown = warp(box, as_tensor(RigidTransform.identity()), SPACING, SHAPE)
    assert torch.allclose(grown[:, :, 3:-3, 6:-6, 6:-6], box, atol=1e-9)
    grown[:, :, 3:-3, 6:-6, 6:-6] = 0
    assert grown.abs().max() < 1e-9


def test_nearest_creates_no_new_label_and_the_outside_is_zero():
    labels = torch.randint(1, 4, (1, 1, *SHAPE)).float()
    out = warp(labels, as_tensor(POSE), SPACING, mode="nearest")
    assert set(out.unique().tolist()) == {0.0, 1.0, 2.0, 3.0}
    gone = RigidTransform.from_parameters(translation_mm=(500.0, 0.0, 0.0))
    assert torch.count_nonzero(warp(labels, as_tensor(gone), SPACING)) == 0


def test_each_scan_of_a_batch_has_its_own_pose():
    x = torch.rand(2, 1, *SHAPE, dtype=torch.float64)
    poses = torch.cat([as_tensor(POSE), as_tensor(POSE.inverse())])
    both = warp(x, poses, SPACING)
    for i in range(2):
        assert torch.allclose(both[i : i + 1], warp(x[i : i + 1], poses[i : i + 1], SPACING))
