"""Samples of a mix that several methods share: kept on disk, and turned back to the head's original position."""

import pytest
import torch
from safetensors.torch import save_file

from adn.errors import InputError
from adn.feed.aligned import load_pose, pose_path
from adn.feed.mix import MixedSamples, validation_samples
from adn.feed.unaligned import StoredSamples, UnalignedSamples, unaligned, unaligned_validation
from adn.space.warp import rigid_matrix, warp
from given import given, loose
from mixed_phantoms import GRID, Virtual, cases, outlined_part

WIDE = GRID.model_copy(update={"box": (32, 96, 96)})


def pose(degrees):
    return rigid_matrix(torch.tensor([[0.0, 0.0, degrees]]), torch.tensor([[4.0, 0.0, 0.0]]))


def with_poses(found):
    for place, path in enumerate((*found.outlined, *found.whole)):
        save_file({"pose": pose(5.0 * place)}, pose_path(path))
    return found


def named_aligned(folder):
    """Phantoms under the names that `ensure_aligned` gives."""
    found = cases(folder)
    outlined, whole = ([path.rename(path.with_name(f"{path.stem}-aligned-0.safetensors")) for path in paths]
               for paths in (found.outlined, found.whole))  # fmt: skip
    return with_poses(type(found)(found.recipe, outlined, whole, found.masks))


def test_undoing_and_repeating_the_alignment_gives_the_same_sample():
    sample = outlined_part(0)
    turned = unaligned(sample, pose(12.0), WIDE)
    assert turned.brain.shape == (1, 32, 96, 96)
    again = warp((turned.infarct > 0).float()[None], pose(12.0), GRID.spacing_mm, GRID.box)[0] > 0.5
    both = (again & (sample.infarct > 0)).sum()
    assert 2 * both / (again.sum() + (sample.infarct > 0).sum()) > 0.9
    assert (turned.infarct < 0).any()
    assert turned.tissue.dtype == torch.uint8
    assert turned.brain[turned.brain > 0].median() == pytest.approx(
        float(sample.brain[sample.brain > 0].median()), abs=0.01
    )


def test_an_aligned_head_is_unchanged():
    sample = outlined_part(1)
    same = unaligned(sample, torch.eye(4)[None], GRID)
    assert torch.allclose(same.brain, sample.brain, atol=1e-5)
    assert torch.equal(same.infarct, sample.infarct)


def test_cached_samples_are_drawn_once(tmp_path):
    mixed = MixedSamples(cases(tmp_path / "a"), loose(Virtual()), 3, 4)
    kept = StoredSamples(mixed, tmp_path / "kept")
    first = kept[1]
    assert len(kept) == 4
    assert torch.allclose(first.brain, mixed[1].brain, atol=1e-5)
    loose(mixed).show = None  # not asked again
    assert torch.equal(kept[1].brain, first.brain)


def test_every_source_has_the_position_of_a_real_case(tmp_path):
    found = named_aligned(tmp_path / "a")
    mixed = MixedSamples(found, loose(Virtual()), 3, 30)
    samples = UnalignedSamples(mixed, mixed, WIDE)
    assert {mixed.draw(i).source for i in range(30)} == {"outlined", "emptied", "whole", "virtual"}
    for i in range(6):
        assert samples[i].brain.shape == (1, *given(WIDE.box))
        whose = samples._whose(mixed.draw(i))
        assert torch.equal(unaligned(mixed[i], load_pose(whose), WIDE).brain, samples[i].brain)


def test_validation_cases_keep_their_own_position(tmp_path):
    found = named_aligned(tmp_path / "a")
    named = validation_samples(found, 1)
    turned = unaligned_validation(named, found.outlined, found.whole, WIDE)
    assert [name for name, _ in turned] == [name for name, _ in named]
    last = [i for i, (name, _) in enumerate(named) if name == "whole"][-1]
    assert torch.equal(turned[last][1].brain, unaligned(named[last][1], load_pose(found.whole[-1]), WIDE).brain)


def test_a_missing_pose_is_reported(tmp_path):
    with pytest.raises(InputError, match="delete the file"):
        load_pose(tmp_path / "x-aligned-0.safetensors")
