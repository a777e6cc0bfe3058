"""Several networks on one aligned brain, averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adn.asymmetry import Disentangled
from adn.config import EnsembleConfig, Recipe
from adn.errors import WeightsError
from adn.nn.adn import ADN, AdnOutput
from adn.nn.baselines import Baseline

_LEAST = 1e-4  # probabilities are clamped to [1e-4, 1 − 1e-4] before the logit, so that no member outvotes all others
_SHARED = ("method", "grid", "align")
_SHARED_NETWORK = ("polarity", "clamp_q", "clamp_compensated", "zero_outside")  # they decide how prediction uses maps


class Ensemble(nn.Module):
    """Ŷ comes from the weighted mean of the members' logits; A, P, Q and X̂ are weighted means of their maps.

    A voxel stays marked if one member is confident and the others do not contradict it. Called like its members; T is
    that of the first.
    """

    def __init__(self, members: Sequence[ADN | Baseline], shares: Sequence[float]) -> None:
        super().__init__()
        self.members, self.align = nn.ModuleList(members), members[0].align
        self.shares = [share / sum(shares) for share in shares]

    def from_aligned(self, aligned: Float[Tensor, "b 1 d h w"], pose: Tensor) -> AdnOutput:
        """The same as `ADN.from_aligned`."""
        outputs: list[AdnOutput] = [member.from_aligned(aligned, pose) for member in self.members]  # type: ignore[operator]

        def mean(maps: Sequence[Tensor]) -> Tensor:
            return torch.stack([share * x for share, x in zip(self.shares, maps, strict=True)]).sum(0)

        parts = Disentangled(*map(mean, zip(*(output.parts for output in outputs), strict=True)))
        logits = mean([output.infarct_probability_aligned.clamp(_LEAST, 1 - _LEAST).logit() for output in outputs])
        return AdnOutput(pose, parts, torch.sigmoid(logits))


def join(parts: Sequence[tuple[ADN | Baseline, Recipe]], config: EnsembleConfig, name: str) -> tuple[Ensemble, Recipe]:
    """Join members, in the order of `config`, to one network and the recipe to run it with. Raises WeightsError."""
    networks, recipes = zip(*parts, strict=True)
    first: Recipe = recipes[0]
    for member, recipe in zip(config.members, recipes, strict=True):
        differing = [key for key in _SHARED if getattr(recipe, key) != getattr(first, key)]
        differing += [
            f"network.{key}" for key in _SHARED_NETWORK if getattr(recipe.network, key) != getattr(first.network, key)
        ]
        if differing:
            raise WeightsError(
                f"{name}: members of an ensemble need the same {', '.join(differing)} in their recipes, but "
                f"'{member.weights}' differs from '{config.members[0].weights}'; leave one of them out."
            )
    own = {"name": name, "summary": config.summary, "calibration": config.calibration}
    own |= {key: _agreed(key, recipes, config, name) for key in ("threshold", "smallest_ml")}
    return Ensemble(networks, [member.share for member in config.members]), first.model_copy(update=own)


def _agreed(key: str, recipes: Sequence[Recipe], config: EnsembleConfig, name: str) -> float:
    """A setting of the ensemble's file, or, if the file leaves it out, that of all its members."""
    given = getattr(config, key)
    if given is not None:
        return given
    values = sorted({getattr(recipe, key) for recipe in recipes})
    if len(values) > 1:
        found = " and ".join(f"{value:g}" for value in values)
        raise WeightsError(f"{name}: its members have different settings for {key} ({found}); set {key} in its file.")
    return values[0]
