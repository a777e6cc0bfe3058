"""Refinement finds the mid-sagittal plane of a head that is its own mirror image, and never makes a pose worse."""

import math

import pytest
import torch

from adn.losses.alignment import mirror_difference
from adn.nn.align import AlignNet
from adn.nn.refine import refine_pose
from adn.recipes import recipe_from_dict
from adn.space.warp import rigid_matrix, warp

SPACING, SHAPE = (6.0, 3.5, 3.0), (16, 48, 56)  # 96 × 168 × 168 mm


def recipe(steps=40, shape=SHAPE):
    align = {"channels": [4, 4], "shrink": 1, "refine_steps": steps}
    grid = {"spacing_mm": SPACING, "shape": shape, "box": None}
    return recipe_from_dict({"name": "test", "grid": grid, "align": align})


def motion(roll=0.0, in_plane=0.0, x=0.0):
    return rigid_matrix(torch.tensor([[0.0, roll, in_plane]]), torch.tensor([[x, 0.0, 0.0]]))


def head(place):
    """A brain with ventricles, sylvian fissures and a bright frontal falx; symmetric about x = 0 of `place`'s frame."""
    axes = [(torch.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING, strict=True)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    points = torch.stack([x, y, z, torch.ones_like(x)], -1) @ place[0].T
    x, y, z = points[..., :3].unbind(-1)
    x = x.abs()

    def ball(centre, radii):
        r = torch.stack([(p - c) / s for p, c, s in zip((x, y, z), centre, radii, strict=True)]).norm(dim=0)
        return torch.sigmoid((1 - r) * 8)

    brain = 0.45 * ball((0, 0, 0), (58, 72, 40))
    brain = brain - 0.3 * ball((10, 5, 8), (7, 28, 10)) - 0.25 * ball((48, -10, -8), (10, 14, 8))
    return (brain + 0.2 * ball((0, -45, 15), (4, 18, 15))).clamp(0, 1)[None, None]


def plane_error(place, pose):
    """Angle (degrees) and distance (mm at the centre) of the head's mid-plane from that of the aligned grid."""
    normal_and_offset = (place @ pose)[0, 0]  # the head's x as a function of the aligned frame
    return math.degrees(math.acos(min(abs(float(normal_and_offset[0])), 1.0))), abs(float(normal_and_offset[3]))


def refine(brain, pose, steps=40, scanned=None):
    chosen = recipe(steps)
    return refine_pose(AlignNet(chosen.grid, chosen.align), brain, pose, chosen, scanned)


@pytest.mark.parametrize(
    "place", [motion(in_plane=9.0), motion(5.0, -20.0, 6.0), motion(-8.0, 3.0, -5.0)], ids=["turned", "all", "rolled"]
)
def test_a_known_motion_is_recovered(place):
    brain = head(place)
    angle_deg, distance_mm = plane_error(place, refine(brain, torch.eye(4)[None]))
    assert plane_error(place, torch.eye(4)[None])[0] > 5.0
    assert angle_deg < 1.0
    assert distance_mm < 1.0


@pytest.mark.parametrize("steps", [1, 5])
def test_refinement_never_makes_a_pose_worse(steps):
    torch.manual_seed(0)
    for brain in (head(motion()), head(motion(4.0, 10.0)), torch.rand(1, 1, *SHAPE), torch.zeros(1, 1, *SHAPE)):
        for pose in (torch.eye(4)[None], motion(3.0, -7.0, 4.0)):
            refined = refine(brain, pose, steps)
            before, after = (float(mirror_difference(warp(brain, p, SPACING))) for p in (pose, refined))
            assert after <= before


def test_air_around_the_brain_changes_nothing():
    brain = head(motion(4.0, 10.0, 3.0))
    wide = recipe(shape=(24, 64, 80))
    around = torch.nn.functional.pad(brain, (12, 12, 8, 8, 4, 4))
    refined = refine_pose(AlignNet(wide.grid, wide.align), around, torch.eye(4)[None], wide)
    assert torch.allclose(refined, refine(brain, torch.eye(4)[None]), atol=0.05)


def test_zero_steps_change_nothing_and_no_gradients_remain():
    pose = motion(3.0, -7.0, 4.0)
    assert refine(head(motion()), pose, 0) is pose
    with torch.no_grad():
        assert not refine(head(motion()), pose, 2).requires_grad


def test_the_refined_pose_is_rigid_and_moves_roll_turn_and_x_only():
    pose = refine(head(motion(5.0, -12.0, 4.0)), torch.eye(4)[None])
    assert torch.allclose(pose[0, :3, :3] @ pose[0, :3, :3].T, torch.eye(3), atol=1e-5)
    assert pose[0, 2, 1].item() == pytest.approx(0.0, abs=1e-6)  # no pitch
    assert pose[0, 1:3, 3].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)  # no y, no z


@pytest.mark.parametrize(
    "place", [motion(8.0, 4.0), motion(-7.0, 0.0), motion(9.0, -12.0)], ids=["left", "right", "turned"]
)
def test_the_cut_ends_of_a_partial_scan_do_not_bias_the_plane(place):
    scanned = torch.zeros(1, 1, *SHAPE)
    scanned[:, :, 7:14] = 1.0
    part = head(place) * scanned
    told, untold = (plane_error(place, refine(part, torch.eye(4)[None], scanned=x))[0] for x in (scanned, None))
    assert told < 2.0
    assert told < untold
