"""Patches of a scan: where they lie, which part of them is scored, and that they are reproducible."""

import torch

from adn.config import GridConfig
from adn.feed.patches import Boxed, Patches
from adn.feed.samples import Sample


class One:
    """A brain of ones with a single voxel of infarct at (2, 7, 1); tissue tells the place."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        infarct = torch.zeros(1, 6, 10, 8)
        infarct[0, 2, 7, 1] = 1
        place = torch.arange(480).reshape(1, 6, 10, 8)
        return Sample(torch.ones(1, 6, 10, 8), infarct, place)


def test_patches_on_infarct_contain_it_and_context_is_not_scored():
    pieces = Patches(One(), 3, (2, 4, 4), (1, 2, 2), count=5, infarct_share=1.0)[0]
    assert pieces.brain.shape == (5, 4, 8, 8)
    assert pieces.infarct.shape == (5, 2, 4, 4)
    assert (pieces.infarct.sum((1, 2, 3)) == 1).all()
    assert not pieces.brain[0, :, :, :2].any()  # left of the volume lies nothing
    assert pieces.brain[0, 1, 2, 2] == 1


def test_a_patch_depends_on_seed_and_index_only():
    data = Patches(One(), 3, (2, 4, 4), count=4, infarct_share=0.5)
    assert torch.equal(data[1].tissue, data[1].tissue)
    assert not torch.equal(data[1].tissue, data[2].tissue)
    assert int((data[1].infarct.sum((1, 2, 3)) > 0).sum()) >= 1


def test_the_box_is_the_middle_of_the_grid():
    grid = GridConfig(spacing_mm=(1, 1, 1), shape=(6, 10, 8), box=(2, 4, 4))
    boxed = Boxed(One(), grid)[0].tissue[0]
    assert boxed[0, 0, 0] == 2 * 80 + 3 * 8 + 2
