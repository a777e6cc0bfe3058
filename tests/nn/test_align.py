"""Network T: untrained it does nothing, and no training takes it past its limits."""

import pytest
import torch

from adn.config import AlignConfig, GridConfig
from adn.nn.align import AlignNet
from adn.space.geometry import RigidTransform
from given import loose

GRID = GridConfig(spacing_mm=(6.0, 2.5, 2.0), shape=(17, 36, 40), box=None)  # 80 mm wide, 90 mm high


def net(**settings):
    torch.manual_seed(0)
    return AlignNet(GRID, AlignConfig(channels=(4, 8, 8), **settings))


def parameters(pose):
    motion = RigidTransform(pose.detach().double().numpy())
    return (*motion.rotation_deg, *motion.translation_mm)


@pytest.mark.parametrize("settings", [{}, {"shrink": 1}, {"coordinates": False}, {"pooling": "place"}])
def test_an_untrained_t_is_the_identity(settings):
    pose = net(**settings)(torch.rand(2, 1, *GRID.shape))
    assert torch.equal(pose, torch.eye(4).expand(2, 4, 4))


@pytest.mark.parametrize("sign", [-1, 1])
def test_poses_stay_within_limits_however_large_the_output_of_t(sign):
    align = net(max_in_plane_deg=60.0, max_roll_deg=15.0, max_shift_x=0.5)
    torch.nn.init.constant_(align.head.bias, sign * 100.0)
    expected = [0.0, sign * 15.0, sign * 60.0, sign * 40.0, 0.0, 0.0]  # pitch, y and z are held
    assert parameters(align(torch.rand(1, 1, *GRID.shape))[0]) == pytest.approx(expected, abs=1e-3)


def test_the_papers_limits_allow_y_and_fix_roll():
    align = net(max_roll_deg=0.0, max_shift_y=0.5)
    torch.nn.init.constant_(align.head.bias, 100.0)
    found = parameters(align(torch.rand(1, 1, *GRID.shape))[0])
    assert found == pytest.approx([0.0, 0.0, 60.0, 40.0, 45.0, 0.0], abs=1e-3)


def test_the_released_limits_are_40_degrees_and_a_quarter_of_the_width():
    align = net(max_in_plane_deg=40.0, max_roll_deg=0.0, max_shift_x=0.25, max_shift_y=0.0)
    torch.nn.init.constant_(align.head.bias, 100.0)
    found = parameters(align(torch.rand(1, 1, *GRID.shape))[0])
    assert found == pytest.approx([0.0, 0.0, 40.0, 20.0, 0.0, 0.0], abs=1e-3)


def test_without_a_zero_start_an_untrained_t_moves():
    pose = net(zero_start=False)(torch.rand(1, 1, *GRID.shape))
    assert not torch.equal(pose[0], torch.eye(4))


def test_every_pose_is_rigid_and_each_scan_has_its_own():
    align = net()
    torch.nn.init.normal_(align.head.weight, std=5.0)
    poses = align(torch.rand(3, 1, *GRID.shape) * torch.tensor([0.2, 0.6, 1.0]).reshape(3, 1, 1, 1, 1))
    assert torch.allclose(poses[:, :3, :3] @ poses[:, :3, :3].mT, torch.eye(3).expand(3, 3, 3), atol=1e-5)
    assert torch.linalg.det(poses).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    assert not torch.allclose(poses[0], poses[2])


def test_t_has_gradients_from_the_start():
    align = loose(net())
    align(torch.rand(1, 1, *GRID.shape))[:, 0, 3].sum().backward()
    assert align.head.weight.grad[3].abs().max() > 0
    assert align.head.bias.grad.tolist() == pytest.approx([0, 0, 0, 40.0, 0, 0])  # mm of x shift per unit, tanh′(0) = 1


def test_the_coarse_copy_keeps_the_mean_and_halves_the_plane():
    brain = torch.rand(1, 1, *GRID.shape)
    coarse = net().coarse(brain)
    assert coarse.shape == (1, 1, 17, 18, 20)
    assert float(coarse.mean()) == pytest.approx(float(brain.mean()), abs=1e-6)


def test_poses_are_in_full_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert net()(torch.rand(1, 1, *GRID.shape)).dtype == torch.float32


def test_the_limits_are_not_stored_as_a_weight():
    assert "limits" not in net().state_dict()
