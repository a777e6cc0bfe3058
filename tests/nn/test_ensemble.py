"""Laws of ensembles of networks: shares, agreement, and what their members must have in common."""

import pytest
import torch

from adn.asymmetry import Disentangled
from adn.config import EnsembleConfig, EnsembleMember
from adn.errors import WeightsError
from adn.nn.adn import AdnOutput, build_adn
from adn.nn.baselines import Baseline
from adn.nn.ensemble import Ensemble, join
from adn.recipes import load_recipe, recipe_from_dict


class Says(Baseline):
    """A member that answers with one probability, and with it as P."""

    def __init__(self, probability):
        torch.nn.Module.__init__(self)
        self.align, self.probability = torch.nn.Identity(), probability

    def from_aligned(self, aligned, pose):
        everywhere = torch.full_like(aligned, self.probability)
        return AdnOutput(pose, Disentangled(aligned, *[everywhere] * 5), everywhere)


def together(probabilities, shares):
    members = [Says(p) for p in probabilities]
    return Ensemble(members, shares).from_aligned(torch.rand(1, 1, 2, 4, 4), torch.eye(4)[None])


def test_equal_shares_give_the_geometric_mean_of_the_odds():
    found = together((0.8, 0.5), (1.0, 1.0)).infarct_probability_aligned
    assert torch.allclose(found, torch.tensor(2.0 / 3.0))  # odds 4 and 1, so 2


def test_shares_count_against_each_other_and_maps_are_averaged_by_them():
    once, twice = together((0.9, 0.3), (0.7, 0.3)), together((0.9, 0.3), (1.4, 0.6))
    assert torch.allclose(once.infarct_probability_aligned, twice.infarct_probability_aligned)
    assert torch.allclose(once.parts.pathological_asymmetry, torch.tensor(0.7 * 0.9 + 0.3 * 0.3))


def test_one_confident_member_can_remove_a_mark_but_cannot_veto_without_limit():
    assert together((0.9, 0.001), (1.0, 1.0)).infarct_probability_aligned.max() < 0.2
    assert together((0.999, 0.999, 0.0), (1.0, 1.0, 1.0)).infarct_probability_aligned.min() > 0.5


def test_an_ensemble_of_one_network_with_itself_equals_the_network():
    recipe = load_recipe("tiny")
    network = build_adn(recipe).eval()
    brain = torch.rand(1, 1, *(recipe.grid.box or recipe.grid.shape))
    with torch.no_grad():
        alone = network.from_aligned(brain, torch.eye(4)[None])
        both = Ensemble([network, network], (1.0, 3.0)).from_aligned(brain, torch.eye(4)[None])
    assert torch.allclose(both.infarct_probability_aligned, alone.infarct_probability_aligned, atol=1e-5)
    for one, other in zip(alone.parts, both.parts, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def joined(own_smallest_ml=None, **changes):
    """Two untrained members; the second has these changes in its recipe."""
    first = load_recipe("tiny")
    values = first.model_dump()
    for key, value in changes.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    second = recipe_from_dict(values)
    members = EnsembleMember(weights="a"), EnsembleMember(weights="b")
    config = EnsembleConfig(threshold=0.3, smallest_ml=own_smallest_ml, members=members)
    return join([(build_adn(first), first), (build_adn(second), second)], config, "mine")


def test_the_recipe_is_that_of_the_first_member_with_the_ensembles_threshold():
    network, recipe = joined(own_smallest_ml=2.0, network={"channels": [8, 16]})
    assert (recipe.name, recipe.threshold, recipe.smallest_ml) == ("mine", 0.3, 2.0)
    assert recipe.grid == load_recipe("tiny").grid
    assert network.align is network.members[0].align


def test_settings_that_an_ensemble_leaves_out_are_those_its_members_share():
    recipe = joined()[1]
    assert (recipe.threshold, recipe.smallest_ml) == (0.3, load_recipe("tiny").smallest_ml)
    with pytest.raises(WeightsError, match=r"settings for smallest_ml \(0 and 3\); set smallest_ml"):
        joined(smallest_ml=3.0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"grid": {"window_hu": (0.0, 70.0)}}, "grid"), ({"network": {"clamp_q": True}}, "network.clamp_q")],
)
def test_incompatible_members_are_refused(changes, named):
    with pytest.raises(WeightsError, match=f"the same {named} in their recipes, but 'b' differs from 'a'"):
        joined(**changes)
