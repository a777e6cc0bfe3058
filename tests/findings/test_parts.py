"""Parts of a mark that do not look like an infarct: wide sulci are dropped, dark tissue stays."""

from dataclasses import dataclass

import numpy as np
import pytest

from adn.config import PartsConfig
from adn.findings.parts import Evidence, parts_with_evidence, without_unlikely
from adn.findings.twins import twins_of
from adn.space.geometry import Grid, bounding_box
from adn.space.volume import Volume

SHAPE = (12, 80, 80)
SPACING_MM = (5.0, 2.0, 2.0)
NOTHING = dict.fromkeys(Evidence._fields, 0.0)


@dataclass
class Head:
    """Symmetric brain of 32 HU. Dark tissue (24 HU) and wide sulci (stripes of fluid) of equal size, both marked."""

    volume: Volume
    mask: Volume
    probability: np.ndarray
    matrix: np.ndarray
    dark: tuple[slice, ...]
    sulci: tuple[slice, ...]


@pytest.fixture
def head() -> Head:
    grid = Grid.centred(SHAPE, SPACING_MM)
    _z, y, x = np.indices(SHAPE)
    brain = ((y - 39.5) / 36) ** 2 + ((x - 39.5) / 34) ** 2 < 1
    hu = np.where(brain, 32.0, 0.0).astype(np.float32)
    dark, sulci = (slice(3, 8), slice(20, 32), slice(50, 64)), (slice(3, 8), slice(48, 60), slice(50, 64))
    hu[dark] = 24.0
    hu[sulci][:, :, ::3] = 4.0
    probability = np.zeros(SHAPE, np.float32)
    probability[dark], probability[sulci] = 0.8, 0.8
    matrix = np.array([[0, 0, -2.0, 79.0], [0, -2.0, 0, 79.0], [5.0, 0, 0, -27.5], [0, 0, 0, 1]])
    volume = Volume(hu, grid)
    return Head(volume, volume.with_data(brain.astype(np.uint8), "label"), probability, matrix, dark, sulci)


def test_evidence_by_hand(head):
    twins = twins_of(head.volume, head.mask, np.zeros(SHAPE, np.uint8), head.matrix)
    box = bounding_box(head.mask.data > 0)
    labels, found = parts_with_evidence(head.probability, 0.5, twins, box, head.volume.grid.voxel_ml)
    dark, sulci = (found[int(labels[place][0, 0, 0])] for place in (head.dark, head.sulci))
    assert dark.mean == pytest.approx(0.8)
    assert dark.peak == pytest.approx(0.8)
    assert dark.size == pytest.approx(np.log(5 * 12 * 14 * 0.02), abs=1e-6)
    assert dark.fluid == 0.0
    assert dark.level == pytest.approx(-8.0, abs=0.1)
    assert dark.twin_level == pytest.approx(0.0, abs=0.1)
    assert sulci.fluid == pytest.approx(5 / 14, abs=0.05)
    assert abs(sulci.level) < 0.1
    assert sulci.rough > 5 > dark.rough


def test_parts_with_a_negative_score_are_set_just_below_the_threshold(head):
    config = PartsConfig(intercept=1.0, **(NOTHING | {"fluid": -4.0}))
    found = without_unlikely(head.probability, 0.5, head.volume, head.mask, head.matrix, config)
    assert (found[head.dark] == head.probability[head.dark]).all()
    assert (found[head.sulci] > 0.4999).all()
    assert (found[head.sulci] < 0.5).all()


def test_the_same_parts_remain_in_the_box_around_the_brain(head):
    config = PartsConfig(intercept=1.0, **(NOTHING | {"fluid": -4.0}))
    box = bounding_box(head.mask.data > 0)
    assert head.probability[box].shape != SHAPE
    whole = without_unlikely(head.probability, 0.5, head.volume, head.mask, head.matrix, config)
    inside = without_unlikely(head.probability[box], 0.5, head.volume, head.mask, head.matrix, config)
    assert np.array_equal(inside, whole[box])


def test_a_part_too_small_to_judge_is_removed(head):
    probability = np.zeros(SHAPE, np.float32)
    probability[5, 40, 20] = 0.9
    config = PartsConfig(intercept=100.0, **NOTHING)
    found = without_unlikely(probability, 0.5, head.volume, head.mask, head.matrix, config)
    assert found[5, 40, 20] < 0.5


def test_an_empty_mask_is_unchanged(head):
    nothing = np.zeros(SHAPE, np.float32)
    config = PartsConfig(intercept=-1.0, **NOTHING)
    assert without_unlikely(nothing, 0.5, head.volume, head.mask, head.matrix, config) is nothing


def test_a_large_part_is_always_kept():
    config = PartsConfig(intercept=-100.0, **NOTHING)
    small, large = (Evidence(**(NOTHING | {"size": float(np.log(ml))})) for ml in (79.0, 81.0))
    assert not small.likely(config)
    assert large.likely(config)


def test_every_kind_of_evidence_has_its_coefficient():
    assert ("intercept", *Evidence._fields) == tuple(PartsConfig.model_fields)
