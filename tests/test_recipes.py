"""Recipes `paper` and `released` differ where the paper and the authors' released code differ, and nowhere else."""

import pytest

from adn.recipes import load_recipe
from paper_rows import ROWS


def flat(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def settings(name):
    return {k: v for k, v in flat(load_recipe(name).model_dump()) if k not in ("name", "summary")}


def test_the_two_recipes_differ_exactly_in_the_listed_rows():
    paper, released = settings("paper"), settings("released")
    found = {key: (paper[key], released[key]) for key in paper if paper[key] != released[key]}
    assert found == {key: pair for row in ROWS.values() for key, pair in row.items()}


def test_every_row_has_its_own_settings():
    keys = [key for row in ROWS.values() for key in row]
    assert len(ROWS) == 20
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", ["paper", "released"])
def test_our_extensions_are_off(name):
    recipe = load_recipe(name)
    assert recipe.grid.box == recipe.grid.shape == (40, 256, 256)  # no brain box
    assert recipe.grid.spacing_mm == (5.0, 1.2, 1.2)
    align, network = recipe.align, recipe.network
    assert (align.shrink, align.coordinates, align.zero_start, align.per_brain) == (1, False, False, False)
    assert (align.max_roll_deg, align.refine_steps, align.channels) == (0.0, 0, (32, 64, 128, 256))
    assert (network.d_inputs, network.f_inputs, network.p_form) == (("aligned",), ("salient",), "probability")
    assert (network.d_backbone, network.f_backbone, network.polarity) == ("resunet", "resunet", "dark")
    assert network.channels == (32, 64, 128, 256)
    assert (network.supervised_levels, network.d_attention, network.mirror_average) == (1, 0, False)
    assert recipe.smallest_ml == 0.0
    assert recipe.loss.tissue
    assert recipe.loss.weight_d == recipe.loss.warm_start_weight == 10.0  # λ
    assert recipe.loss.warm_start_epochs == 2
    assert recipe.train.align.learning_rate == 1e-5
    assert recipe.train.align.max_epochs == 500
    for stage in (recipe.train.align, recipe.train.segment):
        assert (stage.clip_norm, stage.warmup_steps, stage.curriculum) == (0.0, 0, False)
        assert (stage.weight_decay, stage.poly_power, stage.epoch_samples) == (5e-4, 0.9, 1000)
    assert (recipe.train.segment.batch_size, recipe.train.segment.max_epochs) == (6, 100)
