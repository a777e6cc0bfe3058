"""The released code's augmentation: within its limits, replayable, and labels move with the brain."""

import pytest
import torch

from adn.feed.augment import Augmentation, Augmented, augment, augment_brain, draw_augmentation
from adn.feed.samples import Sample

SPACING, SHAPE = (5.0, 2.0, 1.5), (3, 25, 33)


def sample():
    brain = torch.zeros(1, *SHAPE)
    brain[:, 1, 6:12, 6:14] = 0.25
    infarct = (brain > 0).float()
    infarct[:, 0, 5, 5] = -1.0  # the reference is silent here
    return Sample(brain, infarct, (brain > 0).to(torch.uint8) * 2)


def test_draws_cover_the_limits_and_stay_within_them():
    drawn = [draw_augmentation(torch.Generator().manual_seed(i)) for i in range(400)]
    gammas, turns = [x.gamma for x in drawn], [x.in_plane_deg for x in drawn]
    assert 0.75 <= min(gammas) < 0.78
    assert 1.22 < max(gammas) <= 1.25
    assert -10 <= min(turns) < -9.5
    assert 9.5 < max(turns) <= 10
    assert 0.4 < sum(x.flip for x in drawn) / 400 < 0.6


def test_gamma_and_flip_by_hand():
    x = sample()
    found = augment(x, Augmentation(gamma=0.5, flip=True, in_plane_deg=0.0), SPACING)
    assert torch.equal(found.brain, x.brain.flip(-1) * 2)  # 0.25 ** 0.5
    assert torch.equal(found.infarct, x.infarct.flip(-1))
    assert torch.equal(found.tissue, x.tissue.flip(-1))


def test_labels_rotate_with_the_brain_and_stay_labels():
    x = sample()
    found = augment(x, Augmentation(gamma=1.0, flip=False, in_plane_deg=10.0), SPACING)
    assert set(found.infarct.unique().tolist()) <= {-1.0, 0.0, 1.0}
    assert found.tissue.dtype == torch.uint8
    moved = found.brain > 0.125
    agreement = 2 * (moved & (found.infarct > 0)).sum() / (moved.sum() + (found.infarct > 0).sum())
    assert agreement > 0.9
    still = 2 * (moved & (x.infarct > 0)).sum() / (moved.sum() + (x.infarct > 0).sum())
    assert still < 0.9
    back = augment_brain(found.brain, Augmentation(1.0, False, -10.0), SPACING)
    assert float((back - x.brain).abs().mean()) < 0.2 * float(x.brain.mean())


def test_a_sample_is_changed_by_its_seed_and_index_only_and_aligned_ones_keep_their_plane():
    class Ten(torch.utils.data.Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, index):
            return sample()

    one, again = Augmented(Ten(), 3, SPACING), Augmented(Ten(), 3, SPACING)
    assert len(one) == 10
    assert torch.equal(one[4].brain, again[4].brain)
    assert not torch.equal(one[4].brain, one[5].brain)
    for x in (Augmented(Ten(), 3, SPACING, aligned=True)[i] for i in range(10)):
        assert x.brain[0, 1].count_nonzero() == 48  # not turned: as many voxels as before
        assert x.brain.max() == pytest.approx(0.25, abs=0.11)
