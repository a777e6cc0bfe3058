"""In recipes that mix sources, nothing but the infarct itself may reveal that there is one; a naive mix fails."""

import pytest
import torch

from adn.feed.mix import MixedSamples
from adn.recipes import load_recipe, recipe_names
from given import loose
from mixed_phantoms import Virtual, cases

sources_auc = pytest.importorskip("sources_auc")
MIXED = [name for name in recipe_names() if load_recipe(name).train.mix.used]


def area(tmp_path, recipe, count):
    """By samples of other phantoms than those it learnt on."""
    tables = []
    for seed, folder in enumerate(("train", "validation")):
        own = cases(tmp_path / recipe.name / folder, first=20 * seed, recipe=recipe)
        samples = MixedSamples(own, loose(Virtual()), seed, count)
        tables.append(sources_auc.table(samples, count)[:2])
    return sources_auc.auc(*tables)


@pytest.mark.slow
@pytest.mark.parametrize("name", MIXED)
def test_geometry_noise_and_blood_do_not_reveal_an_infarct(tmp_path, name):
    recipe = load_recipe(name)
    with torch.no_grad():
        assert area(tmp_path, recipe, 250) <= 0.65  # chance moves it by 0.04
        assert area(tmp_path, sources_auc.naive(recipe).model_copy(update={"name": "naive"}), 60) > 0.9


def test_every_mixing_recipe_is_tested():
    assert "slicewise-mix" in MIXED
