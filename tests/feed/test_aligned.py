"""Prepared cases on the brain box, cached by content."""

import numpy as np
import pytest
import torch

from adn.config import AlignConfig, GridConfig, NetworkConfig, Recipe
from adn.errors import InputError
from adn.feed import aligned
from adn.feed.aligned import Aligner, align_prepared, load_aligned
from adn.feed.cache import NOT_SCORED, Prepared
from adn.io.atomic import atomic_path
from adn.nn.align import AlignNet
from given import given

GRID = GridConfig(spacing_mm=(5.0, 3.0, 3.0), shape=(32, 64, 64), box=(24, 56, 48))
RECIPE = Recipe(name="t", grid=GRID, align=AlignConfig(channels=(8, 8, 8, 8)), network=NetworkConfig(channels=(8, 8)))


@pytest.fixture(scope="module")
def aligner():
    torch.manual_seed(0)
    return Aligner(AlignNet(GRID, RECIPE.align).eval(), RECIPE, "0" * 64)


@pytest.fixture
def prepared():
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in GRID.shape], indexing="ij")
    brain = ((z / 10) ** 2 + (y / 24) ** 2 + (x / 20) ** 2 <= 1).astype(np.float32) * 0.4
    infarct = np.zeros(GRID.shape, np.uint8)
    infarct[14:18, 28:36, 40:46] = 1
    infarct[20:22] = NOT_SCORED
    return Prepared(brain, infarct, (brain > 0).astype(np.uint8) * 2)


def test_a_straight_head_is_not_moved(aligner, prepared):
    sample = align_prepared(prepared, GRID, aligner)
    box = tuple(slice((a - b) // 2, (a + b) // 2) for a, b in zip(GRID.shape, given(GRID.box), strict=True))
    assert sample.brain.shape == (1, *given(GRID.box))
    same = (sample.brain[0].numpy() > 0) == (prepared.brain[box] > 0)
    assert same.mean() > 0.97
    assert sample.brain.max() == pytest.approx(0.4, abs=0.001)
    assert (sample.infarct > 0).sum() == pytest.approx((prepared.infarct == 1).sum(), rel=0.15)
    assert (sample.infarct[0, 16:18] == -1).all()
    assert set(sample.tissue.unique().tolist()) == {0, 2}


def test_stored_samples_are_read_back(aligner, prepared, tmp_path):
    sample = align_prepared(prepared, GRID, aligner)
    with atomic_path(tmp_path / "x.safetensors") as temporary:
        aligned.save_file(aligned._packed(sample), temporary)
    again = load_aligned(tmp_path / "x.safetensors")
    assert torch.allclose(again.brain, sample.brain, atol=1e-5)
    assert torch.equal(again.brain > 0, sample.brain > 0)
    assert torch.equal(again.infarct, sample.infarct)
    assert torch.equal(again.tissue, sample.tissue)


def test_another_grid_and_a_damaged_file_are_reported(aligner, prepared, tmp_path):
    with pytest.raises(InputError, match="align_with"):
        align_prepared(prepared, GRID.model_copy(update={"spacing_mm": (5.0, 1.2, 1.2)}), aligner)
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged"):
        load_aligned(tmp_path / "x.safetensors")
