"""A head is recognised in another pose and on other slices; a different head does not fit."""

import numpy as np
import pytest

from adn.comparison.compare import fits
from adn.comparison.register import register
from adn.space.affine import Affine
from adn.space.geometry import RigidTransform
from comparison.heads import scanned, true_matrix

POSES = [((9.0, -4.0, 8.0), (6.0, -9.0, 5.0)), ((-14.0, 3.0, -12.0), (-4.0, 3.0, -8.0))]


def off_mm(match, first, second):
    points = np.argwhere(first.brain.data > 0)
    difference = Affine(match.matrix).apply(points) - Affine(true_matrix(first, second)).apply(points)
    return np.linalg.norm(difference * second.scan.grid.spacing_mm, axis=1).mean()


@pytest.mark.parametrize(("rotation_deg", "translation_mm"), POSES)
def test_a_turned_head_on_thinner_slices_is_found_to_a_millimetre(rotation_deg, translation_mm):
    first = scanned()
    pose = RigidTransform.from_parameters(rotation_deg, translation_mm)
    second = scanned(pose, shape=(52, 80, 66), spacing_mm=(3.0, 2.9, 2.9), lesion_mm=24.0)
    off = RigidTransform.from_parameters((6.0, 1.5, -1.5), (1.5, 4.0, -6.0))  # of the alignment, nodding included
    match = register(first, second._replace(aligned_from_index=off.matrix @ second.aligned_from_index))
    assert off_mm(match, first, second) < 1.0
    assert match.covered > 0.98
    assert fits(match)


@pytest.fixture(scope="module")
def whole_and_half():
    whole, half = scanned(), scanned(RigidTransform.from_parameters((5.0, 0.0, 0.0)), shape=(10, 70, 58))
    return whole, half, register(whole, half)


def test_the_same_pair_gives_the_same_numbers(whole_and_half):
    whole, half, match = whole_and_half
    assert np.array_equal(register(whole, half).matrix, match.matrix)


def test_another_head_does_not_fit():
    assert not fits(register(scanned(), scanned(width=0.84)))


def test_half_a_head_does_not_cover_a_whole_one(whole_and_half):
    assert whole_and_half[2].covered < 0.8
