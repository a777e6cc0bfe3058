"""ASPECTS on a brain that lies in MNI space: regions, sides, levels."""

import numpy as np
import pytest

from adn.answers import Aspects, NotAssessable
from adn.atlas import ASPECTS_REGIONS
from adn.findings.aspects import aspects, regions_at
from adn.findings.twins import places, twins_of
from adn.space.geometry import Grid
from adn.space.volume import Volume

PLACES = {  # well inside each region of the left side, MNI LPS mm
    "caudate": (13, -14, 10), "lentiform": (26, -2, 2), "internal capsule": (20, 12, 6), "insula": (38, -6, 4),
    "M1": (44, -40, 6), "M2": (56, 10, 6), "M3": (56, 56, 6), "M4": (38, -36, 32), "M5": (50, 10, 32),
    "M6": (46, 55, 32),
}  # fmt: skip


def scan(slices=slice(None)):
    """An ellipsoid of brain in MNI's frame, 35 HU."""
    grid = Grid.centred((30, 92, 74), (5.0, 2.0, 2.0))
    mni = np.linalg.inv(grid.index_from_frame).astype(np.float64)
    mni[:3, 3] += (0.0, 17.0, 10.0)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    place = index @ mni[:3, :3].T + mni[:3, 3] - (0.0, 17.0, 10.0)
    brain = np.linalg.norm(place / (72.0, 90.0, 72.0), axis=-1) < 1
    kept = np.zeros_like(brain)
    kept[slices] = brain[slices]
    hu = np.where(brain, 35.0, -1000.0).astype(np.float32)
    return Volume(hu, grid), Volume(kept.astype(np.uint8), grid, "label"), mni


@pytest.mark.parametrize("name", ASPECTS_REGIONS)
@pytest.mark.parametrize("side", [1, -1])
def test_known_places_are_in_their_region_and_side(name, side):
    x, y, z = PLACES[name]
    found = regions_at(np.array([side * x, y, z], float))
    assert ASPECTS_REGIONS[found.number - 1] == name
    assert bool(found.left) == (side > 0)


@pytest.mark.parametrize("name", ["insula", "M2", "M5"])
def test_a_marked_region_loses_its_point_on_its_side_only(name):
    volume, brain, mni = scan()
    empty = np.zeros(volume.grid.shape, np.uint8)
    whole = twins_of(volume, brain, empty, mni)
    number, left = regions_at(places(whole, np.eye(4)))
    here = (number == ASPECTS_REGIONS.index(name) + 1) & ~left
    box = tuple(slice(s, s + f * n) for s, f, n in zip(whole.start, whole.factors, here.shape, strict=True))
    fine = here.repeat(whole.factors[0], 0).repeat(whole.factors[1], 1).repeat(whole.factors[2], 2)
    cut = tuple(slice(0, min(b.stop, n) - b.start) for b, n in zip(box, volume.grid.shape, strict=True))
    infarct = empty.copy()
    infarct[box] = fine[cut]
    found = aspects(twins_of(volume, brain, infarct, mni), np.eye(4), 1.0)
    assert isinstance(found, Aspects)
    assert (found.left, found.right) == (10, 9)
    assert [(x.region, x.side) for x in found.regions if x.affected] == [(name, "right")]


def test_nothing_marked_scores_ten():
    volume, brain, mni = scan()
    found = aspects(twins_of(volume, brain, np.zeros(volume.grid.shape, np.uint8), mni), np.eye(4), 1.0)
    assert isinstance(found, Aspects)
    assert (found.left, found.right) == (10, 10)
    assert len(found.regions) == 20


@pytest.mark.parametrize("slices", [slice(16, 30), slice(0, 17)])
def test_a_missing_level_is_reported(slices):
    volume, brain, mni = scan(slices)
    found = aspects(twins_of(volume, brain, np.zeros(volume.grid.shape, np.uint8), mni), np.eye(4), 1.0)
    assert found == NotAssessable("levels_missing")
