"""Heads: their mid-sagittal plane, and specks."""

import numpy as np
import pytest
import torch

from adn.space.geometry import RigidTransform
from adn.virtual.anatomy import find_midplane, make_head
from adn.virtual.tissue_codes import Tissue


def ball(inner=Tissue.WM):
    z, y, x = np.ogrid[-30:31, -36:37, -32:33]
    codes = np.zeros((61, 73, 65), np.uint8)
    codes[(x / 30) ** 2 + (y / 34) ** 2 + (z / 28) ** 2 < 1] = Tissue.BONE
    codes[(x / 25) ** 2 + (y / 29) ** 2 + (z / 23) ** 2 < 1] = inner
    return codes


def test_specks_of_air_in_the_brain_become_fluid_and_air_elsewhere_stays():
    codes = ball()
    codes[30:32, 36:38, 32:34] = Tissue.AIR
    codes[30, 36, 3:6] = Tissue.AIR  # in bone
    inside = make_head("ball", codes, np.eye(4), np.eye(4)).codes[1:-1, 1:-1, 1:-1].numpy()
    assert (inside[30:32, 36:38, 32:34] == Tissue.CSF).all()
    assert (inside[30, 36, 3:6] == Tissue.AIR).all()
    assert ((inside != codes).sum()) == 8


@pytest.mark.slow
def test_the_plane_of_a_turned_head_is_found():
    pose = RigidTransform.from_parameters((0.0, 4.0, -7.0), (3.0, 0.0, 0.0))
    z, y, x = np.meshgrid(np.arange(151) - 75, np.arange(181) - 90, np.arange(161) - 80, indexing="ij")
    inverse = pose.inverse().matrix
    u, v, w = (inverse[i, 0] * x + inverse[i, 1] * y + inverse[i, 2] * z + inverse[i, 3] for i in range(3))
    codes = np.zeros(x.shape, np.uint8)
    codes[(u / 64) ** 2 + (v / 80) ** 2 + (w / 58) ** 2 < 1] = Tissue.GM
    codes[(u / 54) ** 2 + (v / 70) ** 2 + (w / 46) ** 2 < 1] = Tissue.WM
    codes[((np.abs(u) - 14) / 7) ** 2 + (v / 32) ** 2 + ((w - 5) / 14) ** 2 < 1] = Tissue.VENTRICLE
    found = find_midplane(torch.from_numpy(codes))
    normal, point = pose.matrix[:3, 0], pose.matrix[:3, 3]
    assert np.rad2deg(np.arccos(np.clip(found[:3, 0] @ normal, -1, 1))) < 0.5
    assert abs((found[:3, 3] - point) @ normal) < 0.5
