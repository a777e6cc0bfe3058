"""Starts training from existing weights, shipped or one's own (fine-tuning)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import nn

from adn.config import NetworkConfig
from adn.errors import InputError
from adn.io.weights import find_weights, read_weights

log = logging.getLogger(__name__)


def take_over(model: nn.Module, name_or_path: str | Path) -> None:
    """Copy into a model every tensor of trained weights whose name and shape match; the others stay as they are.

    name_or_path: as in `load_model`. If the backbones of D and F differ, only T is copied. Raises WeightsError if there
    are no such weights, InputError if they are for another method, or T or most of the other tensors do not fit.
    """
    found = find_weights(name_or_path)
    if found.members:
        names = ", ".join(path.stem for path in found.members)
        raise InputError(
            f"{name_or_path}: is an ensemble, which cannot be trained as one; start from a member ({names})."
        )
    given, recipe = read_weights(found.path)
    least_after_t = 0.5 if _same_backbones(model, recipe) else 0.0
    own = model.state_dict()
    if not least_after_t:
        log.info("%s has other backbones: only its T is taken over", name_or_path)
        given = {name: tensor for name, tensor in given.items() if name.startswith("align.")}
    taken = {name for name, tensor in own.items() if name in given and given[name].shape == tensor.shape}
    for network, least in (("align.", 1.0), ("", least_after_t)):
        names = {name for name in own if name.startswith(network) and name.startswith("align.") == bool(network)}
        if len(names & taken) < least * len(names):
            raise InputError(
                f"{name_or_path}: cannot start from it, because only {len(names & taken)} of {len(names)} tensors "
                f"{'of T' if network else 'of the networks after T'} fit this recipe; choose the recipe that the "
                "weights were trained with ('adn info' names those that ship), or train without `start`."
            )
    model.load_state_dict({name: given[name] if name in taken else tensor for name, tensor in own.items()})
    log.info("starting from %s: %d of %d tensors", name_or_path, len(taken), len(own))


def _same_backbones(model: nn.Module, recipe: dict[str, Any]) -> bool:
    """Whether the weights' D and F have the same backbones as the model's; always true for baselines."""
    own, given = getattr(model, "network", None), recipe.get("network", {})
    kinds = ("d_backbone", "f_backbone")
    return not isinstance(own, NetworkConfig) or all(getattr(own, kind) == given.get(kind, "resunet") for kind in kinds)
