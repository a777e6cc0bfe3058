"""A head that does not lie as its header says is noticed; one that does causes no warning."""

from functools import cache

import numpy as np
import pytest

from adn.io.upright import AS_STATED, WAYS, Way, average_head, bone_and_air, compare, in_words, turned_remarks
from adn.space.geometry import Grid
from adn.space.volume import Volume
from given import given
from phantoms import head


@cache
def made_up(size=1.0, side=40) -> Volume:
    """The average head as a CT of 4 mm voxels: air, soft tissue, bone."""
    bone, air = average_head(side, turn_deg=6.0, nod_deg=-5.0, size=size).repeat(2, 1).repeat(2, 2).repeat(2, 3)
    hu = 35.0 * (1 - bone - air) + 900.0 * bone - 1000.0 * air
    grid = Grid.centred(hu.shape, (4.0, 4.0, 4.0))
    return Volume(hu.astype(np.float32), grid)


def stored(volume: Volume, way: Way) -> Volume:
    """The same header, the array turned so that `way` shows the head upright again."""
    order = tuple(np.argsort(way.order))
    flipped = np.flip(volume.data, tuple(axis for axis, flip in enumerate(way.flipped) if flip))
    return volume.with_data(np.ascontiguousarray(flipped.transpose(order)))


def test_there_are_24_orientations_including_the_headers():
    assert len(set(WAYS)) == 24
    assert AS_STATED in WAYS
    assert {way.order for way in QUICK} == {way.order for way in WAYS}


@pytest.mark.parametrize("size", [0.92, 1.0, 1.08])
def test_a_correctly_oriented_head_gives_no_warning(size):
    assert turned_remarks(made_up(size)) == []
    assert turned_remarks(made_up(size).reoriented("RAI")) == []


OTHERS = [way for way in WAYS if way != AS_STATED]
QUICK = OTHERS[::3]  # each order of axes among them


@pytest.mark.parametrize("way", [way if way in QUICK else pytest.param(way, marks=pytest.mark.slow) for way in OTHERS])
def test_every_other_orientation_is_noticed(way):
    (remark,) = turned_remarks(stored(made_up(), way))
    assert remark.kind == "head_lies_otherwise"
    assert remark.blocks
    assert remark.values["seems"] == in_words(way)


def test_the_text_describes_the_change_to_the_array():
    assert in_words(Way((0, 1, 2), (True, False, False))) == "upside down"
    assert in_words(Way((0, 1, 2), (False, True, False))) == "back to front"
    assert in_words(Way((0, 2, 1), (True, False, False))) == "turned by 90° within its slices and upside down"
    assert in_words(Way((1, 0, 2), (False, False, False))) == "turned by 90° out of its slices"


def test_a_mirrored_head_looks_like_a_head():
    volume = made_up()
    assert turned_remarks(volume.with_data(np.flip(volume.data, 2))) == []


def test_thin_slabs_and_heads_without_a_face_give_no_warning():
    volume = made_up()
    for bottom, slices in ((40, 1), (40, 4), (52, 8)):
        assert (
            turned_remarks(Volume(volume.data[bottom : bottom + slices], Grid((slices, 80, 80), volume.grid.affine)))
            == []
        )
    assert turned_remarks(head()) == []
    assert turned_remarks(head().with_data(np.flip(head().data, 0))) == []


def test_without_air_or_bone_there_is_no_warning():
    turned = stored(made_up(), Way((0, 1, 2), (True, False, False)))
    for low, high in ((-20.0, 150.0), (-1000.0, 80.0), (0.0, 1000.0)):
        assert turned_remarks(turned.with_data(turned.data.clip(low, high))) == []


def test_the_patient_table_is_not_taken_for_the_head():
    volume = made_up()
    lying = volume.data.copy()
    lying[:, 74:76, 5:75] = 150.0
    assert bone_and_air(volume.with_data(lying)) == pytest.approx(bone_and_air(volume))


def test_the_true_orientation_has_the_smallest_misfit():
    found = compare(given(bone_and_air(made_up())))
    assert found.way == AS_STATED
    assert found.best == found.as_stated
    assert bone_and_air(made_up().with_data(np.full((80, 80, 80), -1000.0, np.float32))) is None
