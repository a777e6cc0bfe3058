"""The tissue network: shapes, windows, squares of pixels as channels, and the box about a head."""

import pytest
import torch

from adn.config import TissueConfig
from adn.nn.tissue import TissueNet, channels_to_squares, head_box, squares_to_channels, window

SMALL = TissueConfig(channels=(8, 16, 16))


def test_pixel_squares_become_channels_and_back():
    x = torch.randn(2, 3, 5, 6, 4)
    packed = squares_to_channels(x)
    assert packed.shape == (2, 12, 5, 3, 2)
    assert torch.equal(packed[0, :4, 0, 0, 0], x[0, 0, 0, :2, :2].flatten())
    assert torch.equal(channels_to_squares(packed), x)


def test_a_window_is_one_channel_from_0_to_1():
    hu = torch.tensor([-1000.0, -10.0, 40.0, 90.0, 1200.0]).view(1, 1, 5, 1, 1)
    brain, wide = window(hu, ((-10.0, 90.0), (-200.0, 1200.0)))[0]
    assert torch.allclose(brain.flatten(), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))
    assert wide.flatten()[-1] == 1
    assert wide.flatten()[1] == pytest.approx(190 / 1400)


def test_any_number_of_slices_and_any_divisible_sides_work():
    net = TissueNet(SMALL)
    assert net.multiple == 8
    assert net(torch.zeros(1, 1, 3, 16, 24)).shape == (1, 4, 3, 16, 24)
    assert net(torch.zeros(1, 1, 1, 8, 8)).shape == (1, 4, 1, 8, 8)
    with pytest.raises(ValueError, match="divisible by 8"):
        net(torch.zeros(1, 1, 3, 16, 20))


def test_every_output_voxel_depends_on_its_neighbouring_slices():
    torch.manual_seed(0)
    net = TissueNet(SMALL).eval()
    hu = torch.full((1, 1, 5, 16, 16), 30.0)
    changed = hu.clone()
    changed[:, :, 1] += 20
    moved = (net(hu) - net(changed)).abs().amax((0, 1, 3, 4))
    assert (moved > 0).all()


def test_the_box_holds_the_head_and_can_be_halved():
    hu = torch.full((2, 64, 48), -1000.0)
    hu[:, 20:37, 5:18] = 30.0
    _, rows, columns = head_box(hu, 8)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (24, 16)
    assert rows.start <= 20
    assert rows.stop >= 37
    assert columns.start <= 5
    assert columns.stop >= 18


def test_a_table_wider_than_any_head_is_cut_off_about_the_head():
    hu = torch.full((1, 64, 96), -1000.0)
    hu[:, 60, :] = 100.0  # the table
    hu[:, 20:40, 30:54] = 30.0
    _, _, columns = head_box(hu, 8, most=32)
    assert columns.stop - columns.start == 32
    assert columns.start <= 30
    assert columns.stop >= 54


def test_without_a_head_the_box_is_the_whole_plane():
    assert head_box(torch.full((1, 16, 24), -1000.0), 8)[1:] == (slice(0, 16), slice(0, 24))
