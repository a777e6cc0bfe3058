"""Networks ready to predict, from weights by name or by path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from adn.brain import TissueModel, load_tissue
from adn.config import Recipe
from adn.errors import WeightsError
from adn.io.weights import WeightsFile, find_weights, read_weights
from adn.nn.adn import ADN
from adn.nn.baselines import Baseline, build_model
from adn.nn.ensemble import Ensemble, join
from adn.nn.precision import choose_device, choose_precision, made_ready
from adn.recipes import recipe_from_dict


@dataclass(frozen=True, eq=False)
class Model:
    """Networks ready to predict, and where they came from. precision: 'fp32' or 'bf16'.

    tissue: finds the brain; None: use the classical stripper.
    """

    network: ADN | Baseline | Ensemble
    recipe: Recipe
    weights: WeightsFile
    device: torch.device
    precision: str
    tissue: TissueModel | None = None


def load_model(weights: str | Path | WeightsFile | None = None, device: str = "auto", precision: str = "auto") -> Model:
    """Load weights by name or path, or as `find_weights` found them (None: the default that adn ships with).

    Raises as `find_weights` does.
    """
    found = weights if isinstance(weights, WeightsFile) else find_weights(weights)
    target = choose_device(device)
    parts = [_load_network(path) for path in found.members or (found.path,)]
    network, recipe = join(parts, found.ensemble, found.name) if found.ensemble else parts[0]
    tissue = load_tissue(device=device, precision=precision)
    return Model(made_ready(network, target), recipe, found, target, choose_precision(precision, target), tissue)


def _load_network(path: Path) -> tuple[ADN | Baseline, Recipe]:
    tensors, values = read_weights(path)
    recipe = recipe_from_dict(values)
    network = build_model(recipe)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: its tensors do not fit the networks of its own recipe '{recipe.name}'; give weights as "
            "`adn train` wrote them."
        ) from error
    return network, recipe
