"""Pixels folded into channels: nothing is lost, slices stay apart, and ADN's shapes do not change."""

import pytest
import torch
from torch import nn

from adn.config import load_recipe, recipe_from_dict
from adn.errors import ConfigError
from adn.nn.adn import build_adn
from adn.nn.fold import Folded, fold_pixels, unfold_pixels


def recipe(**network):
    values = load_recipe("tiny").model_dump()
    values["network"].update(network)
    return recipe_from_dict(values)


def test_unfolding_undoes_folding():
    x = torch.randn(2, 3, 4, 6, 8)
    folded = fold_pixels(x, 2)
    assert folded.shape == (2, 12, 4, 3, 4)
    assert torch.equal(unfold_pixels(folded, 2), x)


def test_a_folded_voxel_holds_its_own_pixels_of_its_own_slice():
    x = torch.arange(3 * 4 * 4.0).reshape(1, 1, 3, 4, 4)
    assert set(fold_pixels(x, 2)[0, :, 1, 0, 1].tolist()) == set(x[0, 0, 1, :2, 2:].flatten().tolist())


def test_a_network_that_changes_nothing_changes_nothing_when_folded():
    x = torch.randn(1, 1, 2, 4, 4)
    assert torch.equal(Folded(nn.Identity(), 2)(x), x)


def test_adn_gives_maps_of_the_same_shape_and_all_of_it_learns():
    folded = recipe(folded_levels=1)
    network = build_adn(folded)
    x = torch.rand(1, 1, *(folded.grid.box or folded.grid.shape))
    output = network.from_aligned(x, torch.eye(4)[None])
    assert output.infarct_probability_aligned.shape == output.parts.pathological_asymmetry.shape == x.shape
    (output.infarct_probability_aligned.mean() + output.parts.pathological_asymmetry.mean()).backward()
    assert all(p.grad is not None for part in (network.asymmetry, network.segment) for p in part.parameters())


def test_coarser_levels_are_unfolded_too():
    network = build_adn(recipe(folded_levels=1, supervised_levels=2)).train()
    sides = network.grid.box or network.grid.shape
    output = network.from_aligned(torch.rand(1, 1, *sides), torch.eye(4)[None])
    assert [gate.shape[1] for gate in output.coarse_gates] == [1]


def test_the_folded_levels_are_the_finest_and_one_is_left():
    levels = recipe().network.channels
    assert len(build_adn(recipe(folded_levels=1)).segment.inner.down) == len(levels) - 1
    with pytest.raises(ConfigError, match="of which one must be left"):
        recipe(folded_levels=len(levels))
