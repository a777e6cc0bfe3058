"""Whole heads cut to parts."""

import torch

from adn.feed.cut import SliceCounts, cut, slice_counts
from adn.feed.samples import Sample

SHAPE = (20, 12, 8)


def head(low=3, high=17, rows=(2, 8)):
    brain = torch.zeros(SHAPE)
    brain[low:high, rows[0] : rows[1], 1:7] = torch.linspace(0.3, 0.6, high - low)[:, None, None]
    infarct = torch.zeros(SHAPE)
    infarct[10:12, 4:6, 5:7] = 1
    return Sample(brain[None], infarct[None], (brain[None] > 0).to(torch.uint8))


def slices(sample):
    return (sample.brain[0] > 0).flatten(1).any(1).nonzero()[:, 0].tolist()


def test_a_part_holds_the_region_in_the_middle_of_the_box():
    sample = head()
    part = cut(sample, SliceCounts(0, 4, 0), sample.infarct[0] > 0, 0.9, 0.5)
    assert slices(part) == [8, 9, 10, 11]
    assert (part.infarct > 0).any()
    assert sorted(set(part.brain[part.brain > 0].tolist())) == sorted(
        set(sample.brain[0, 9:13].unique().tolist()) - {0}
    )


def test_copies_of_the_end_slices_are_ignored():
    sample = head()
    part = cut(sample, SliceCounts(2, 3, 4), sample.infarct[0] > 0, 0.0, 0.0)
    assert len(slices(part)) == 9
    first = slices(part)[0]
    assert torch.equal(part.brain[0, first], part.brain[0, first + 2])
    assert torch.equal(part.brain[0, first + 4], part.brain[0, first + 8])
    brain = part.brain[0] > 0
    copied = [first, first + 1, *range(first + 5, first + 9)]
    assert (part.infarct[0, copied][brain[copied]] == -1).all()
    assert (part.infarct[0, first + 2 : first + 5] >= 0).all()
    assert slice_counts(part) == SliceCounts(2, 3, 4)


def test_labels_and_tissue_move_with_the_brain():
    sample = head()
    part = cut(sample, SliceCounts(0, 5, 0), sample.infarct[0] > 0, 0.5, 0.5)
    assert torch.equal(part.tissue > 0, part.brain > 0)
    assert ((part.infarct > 0) <= (part.brain > 0)).all()


def test_a_part_is_centred_along_h_and_keeps_the_midplane():
    sample = head(rows=(0, 6))
    part = cut(sample, SliceCounts(0, 4, 0), sample.infarct[0] > 0, 0.5, 0.5)
    rows = (part.brain[0] > 0).any(0).any(1).nonzero()[:, 0]
    assert abs(float(rows.float().mean()) - 5.5) <= 0.5
    assert torch.equal((part.brain > 0).any(1).any(1), (sample.brain > 0).any(1).any(1))
    assert (part.brain > 0).sum() == 4 * 6 * 6


def test_a_head_shorter_than_the_part_is_kept_whole():
    part = cut(head(8, 11), SliceCounts(0, 14, 0), torch.zeros(SHAPE, dtype=torch.bool), 0.5, 0.5)
    assert len(slices(part)) == 3
