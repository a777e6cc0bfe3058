"""Stage 'tissue': it trains on virtual heads using only what is installed, and its weights load."""

import pytest

from adn.brain import load_tissue
from adn.errors import InputError
from adn.feed.heads import MAX_SLICES, VirtualHeads
from adn.recipes import load_recipe
from adn.training import Machine, Source, train
from adn.training.logbook import read_log
from adn.virtual.library import Library


def small_recipe():
    recipe = load_recipe("tissue")
    stage = recipe.train.tissue.model_copy(update={"epoch_samples": 2, "max_epochs": 1})
    settings = recipe.train.model_copy(update={"tissue": stage, "validation_samples": 1, "precision": "fp32"})
    tissue = recipe.tissue.model_copy(update={"channels": (8, 8), "pixel_mm": 4.0})
    return recipe.model_copy(update={"train": settings, "tissue": tissue})


def test_a_run_leaves_weights_that_load_and_a_log(tmp_path):
    path = train(small_recipe(), tmp_path / "run", machine=Machine("cpu"))
    assert load_tissue(path, device="cpu").config.pixel_mm == 4.0
    (row,) = read_log(tmp_path / "run" / "log.csv")
    assert 0 <= float(row["val_brain"]) <= 1
    assert float(row["loss"]) > 0


def test_cases_on_disk_are_refused_for_training_tissue(tmp_path):
    with pytest.raises(InputError, match="virtual patients only"):
        train(small_recipe(), tmp_path / "run", Source(tmp_path), machine=Machine("cpu"))


def test_a_head_is_reproducible_and_its_labels_are_within_its_brain():
    heads = VirtualHeads(small_recipe(), Library(), 5, 4)
    one, again = heads[3], heads[3]
    assert (one.ct == again.ct).all()
    depth, height, width = one.tissue.shape
    assert depth <= MAX_SLICES
    assert height % 4 == width % 4 == 0
    assert not (one.tissue[~one.brain] > 0).any()
    assert one.ct.shape == (1, depth, height, width)
    assert 10 < one.ct[0][one.brain].median() < 50
