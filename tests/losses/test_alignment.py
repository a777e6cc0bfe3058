"""L_T: 0 for a mirror-symmetric volume, and its gradient leads to the mid-plane."""

import pytest
import torch

from adn.losses.alignment import BRAIN_RADIUS_MM, mirror_difference, plane_difference, reconstruction_difference
from adn.space.warp import invert_rigid, mirror, rigid_matrix, warp
from given import given

SHAPE, SPACING = (5, 21, 32), (5.0, 2.5, 2.0)


def blob(x_mm):
    """A ball of soft edge, x_mm to the left of the middle."""
    axes = [(torch.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING, strict=True)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.exp(-((x - x_mm) ** 2 + y**2 + z**2) / (2 * 6.0**2))[None, None]


def pose(x_mm, in_plane_deg=0.0):
    x = torch.as_tensor(x_mm, dtype=torch.float32)
    zero = torch.zeros(())
    return rigid_matrix(torch.tensor([[0.0, 0.0, in_plane_deg]]), torch.stack([x, zero, zero])[None])


def test_by_hand():
    row = torch.tensor([1.0, 0, 0, 0]).reshape(1, 1, 1, 1, 4)
    assert mirror_difference(row).tolist() == [0.5]
    assert mirror_difference(torch.cat([row, row + mirror(row)])).tolist() == [0.5, 0.0]  # each scan alone


def test_reconstruction_by_hand():
    """Unmoved, T⁻¹(X′) is the mirror image itself."""
    row = torch.tensor([1.0, 0, 0, 0.5]).reshape(1, 1, 1, 1, 4)
    found = reconstruction_difference(row, row, torch.eye(4)[None], (1.0, 1.0, 1.0))
    assert found.tolist() == pytest.approx([0.25])  # |1 − 0.5| twice, over 4


def test_the_distance_of_the_plane_by_hand():
    """5 mm aside; turned by 30°, that is twice sin 15° of the radius; nothing where the plane is not known."""
    known = torch.cat([pose(0.0), pose(0.0), torch.full((1, 4, 4), torch.nan)])
    found = plane_difference(torch.cat([pose(5.0), pose(0.0, 30.0), pose(5.0)]), known)
    assert found.tolist() == pytest.approx([5.0, 2 * BRAIN_RADIUS_MM * 0.258819, 0.0], abs=1e-3)


def test_moving_along_the_plane_is_free_and_an_unknown_plane_gives_no_gradient():
    along = torch.tensor([[0.0, 7.0, -3.0]])
    assert float(plane_difference(rigid_matrix(torch.zeros(1, 3), along), pose(0.0))) == pytest.approx(0.01)
    shift = torch.tensor(5.0, requires_grad=True)
    plane_difference(pose(shift), torch.full((1, 4, 4), torch.nan)).sum().backward()
    assert float(given(shift.grad)) == 0


def test_the_gradient_points_to_the_mid_plane():
    shift = torch.tensor(0.7, requires_grad=True)  # between voxels: at them, linear interpolation has a kink
    brain = blob(5.0)

    def loss(x_mm):
        return mirror_difference(warp(brain, pose(x_mm), SPACING)).sum()

    loss(shift).backward()
    assert given(shift.grad) < 0  # reading further left brings the ball to the middle
    assert float(loss(0.9) - loss(0.5)) / 0.4 == pytest.approx(float(given(shift.grad)), rel=0.05)
    assert loss(5.0) < 0.02 * loss(0.0)


def test_the_gradient_of_reconstruction_points_to_the_mid_plane_too():
    shift = torch.tensor(0.7, requires_grad=True)
    brain = blob(5.0)

    def loss(x_mm):
        motion = pose(x_mm)
        return reconstruction_difference(brain, warp(brain, motion, SPACING), motion, SPACING).sum()

    loss(shift).backward()
    assert given(shift.grad) < 0
    assert float(loss(0.9) - loss(0.5)) / 0.4 == pytest.approx(float(given(shift.grad)), rel=0.05)


def test_reconstruction_is_0_for_the_true_pose_of_a_symmetric_head():
    head = blob(0.0)
    identity = pose(0.0)
    assert float(reconstruction_difference(head, head, identity, SPACING)) < 1e-6
    true = pose(4.0, 15.0)
    scan = warp(head, invert_rigid(true), SPACING)
    good = reconstruction_difference(scan, warp(scan, true, SPACING), true, SPACING)
    bad = reconstruction_difference(scan, scan, identity, SPACING)
    assert good < 0.3 * bad
