"""Changes that are applied equally to every source."""

import torch

from adn.config_mix import ChangesConfig
from adn.feed.changes import Changes, change, draw_changes
from adn.feed.samples import Sample
from adn.recipes import load_recipe
from adn.space.warp import mirror

GRID = load_recipe("fast").grid
NONE = Changes(False, 0.0, 1.0, (0.0, 0.0), 1.0, 0.0, 0.0, 0.0, 0)


def sample():
    brain, infarct = torch.zeros(4, 30, 24), torch.zeros(4, 30, 24)
    brain[1:3, 5:25, 4:20] = 0.4 + 0.1 * torch.rand((2, 20, 16), generator=torch.Generator().manual_seed(0))
    infarct[1, 10:15, 12:18] = 1
    infarct[2, 10:15, 5:9] = -1
    return Sample(brain[None], infarct[None], (brain[None] > 0).to(torch.uint8))


def changed(**values):
    return change(sample(), Changes(**{**NONE.__dict__, **values}), GRID)


def test_no_change_changes_nothing():
    same = changed()
    for a, b in zip(same, sample(), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-5)


def test_a_flip_mirrors_everything():
    for a, b in zip(changed(flip=True), sample(), strict=True):
        assert torch.allclose(a.float(), mirror(b).float(), atol=1e-5)


def test_contrast_scales_around_the_brains_median_and_density_adds():
    before = sample()
    brain = before.brain > 0
    after = changed(gain=1.3, denser_hu=4.0)
    shift = (after.brain[brain].median() - before.brain[brain].median()) * 80
    assert abs(float(shift) - 4.0) < 0.1
    assert abs(float(after.brain[brain].std() / before.brain[brain].std()) - 1.3) < 0.01
    assert (after.brain[~brain] == 0).all()


def test_ignored_voxels_stay_ignored_and_rotate_with_the_brain():
    turned = changed(turn_deg=5.0, scale=1.05)
    assert (turned.infarct == -1).sum() >= 20
    assert (turned.infarct == 1).sum() >= 20
    assert turned.infarct[0, 0].abs().sum() == 0


def test_draws_and_noise_depend_only_on_the_generator():
    first, again = (draw_changes(torch.Generator().manual_seed(1), ChangesConfig()) for _ in range(2))
    assert first == again
    assert torch.equal(change(sample(), first, GRID).brain, change(sample(), again, GRID).brain)
    assert first != draw_changes(torch.Generator().manual_seed(2), ChangesConfig())
