"""Parts of heads: slices added to a short stack do not appear in the result."""

import numpy as np
import pytest
from tests.prepare.phantom import head

from adn.config import GridConfig
from adn.findings.quality import mask_remarks
from adn.prepare import conform, strip_skull
from adn.prepare.brain_shape import plausible_ml
from adn.prepare.part import copies_needed, lengthened
from adn.space.geometry import Grid
from adn.space.volume import Volume


@pytest.mark.parametrize(
    ("slices", "slice_mm", "copies"), [(9, 5.0, (0, 0)), (1, 5.0, (4, 4)), (6, 5.0, (1, 2)), (5, 10.0, (1, 1))]
)
def test_copies_extend_to_45_mm_and_seven_slices(slices, slice_mm, copies):
    assert copies_needed(slices, slice_mm) == copies


def test_original_slices_keep_their_places():
    volume = Volume(np.arange(24.0).reshape(2, 4, 3), Grid.centred((2, 4, 3), (5.0, 2.0, 2.0), (7.0, 8.0, 9.0)))
    longer, own = lengthened(volume)
    assert longer.grid.shape[0] == 9
    assert np.array_equal(longer.data[own], volume.data)
    assert np.array_equal(longer.data[0], volume.data[0])
    assert np.array_equal(longer.data[-1], volume.data[-1])
    first = longer.grid.affine @ [own.start, 0, 0, 1]
    assert first == pytest.approx(volume.grid.affine @ [0, 0, 0, 1])


def test_tall_stacks_are_unchanged():
    volume = Volume(np.zeros((10, 4, 3)), Grid.centred((10, 4, 3), (5.0, 2.0, 2.0)))
    assert lengthened(volume) == (volume, slice(0, 10))


def test_the_plausible_volume_depends_on_the_height():
    assert plausible_ml(Grid.centred((30, 9, 9), (5.0, 1.0, 1.0))) == (300.0, 2300.0)
    assert plausible_ml(Grid.centred((11, 9, 9), (5.0, 1.0, 1.0))) == (82.5, 2300.0)


@pytest.mark.parametrize("slices", [1, 3])
def test_a_partial_scan_gets_the_same_brain_as_the_whole_head(slices):
    whole, brain = head()
    middle = whole.grid.shape[0] // 2
    cut = slice(middle, middle + slices)
    affine = whole.grid.affine.copy()
    affine[:3, 3] += middle * affine[:3, 0]
    data = whole.data[cut]
    part = Volume(data, Grid(data.shape, affine), "HU")
    mask = strip_skull(part)
    expected = brain.data[cut] > 0
    found = mask.data > 0
    assert mask.grid.shape == part.grid.shape
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.95
    assert mask_remarks(part, mask)[0].kind == "part_of_head"

    conformed = conform(part, mask, GridConfig())
    home = conformed.scan_index_from_model_index()
    centre = np.argwhere(conformed.mask.data > 0).mean(0)
    assert (home @ [*centre, 1])[:3] == pytest.approx(np.argwhere(found).mean(0), abs=0.6)
