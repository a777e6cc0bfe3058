"""Begin from trained weights, those that ship or one's own: fine-tuning."""

from __future__ import annotations

import logging
from pathlib import Path

from torch import nn

from adn.errors import InputError
from adn.io.weights import find_weights, read_weights

log = logging.getLogger(__name__)


def take_over(model: nn.Module, name_or_path: str | Path) -> None:
    """Fill a model with every tensor of trained weights that has its name and shape; the others stay as they are.

    name_or_path: as for `adn predict --weights`. Raises WeightsError where there are none, InputError where they are of
    another method, or where T or most of the other networks do not fit.
    """
    found = find_weights(name_or_path)
    if found.members:
        names = ", ".join(path.stem for path in found.members)
        raise InputError(f"{name_or_path}: is an ensemble, which is not trained as one; start from a member ({names}).")
    given, _ = read_weights(found.path)
    own = model.state_dict()
    taken = {name for name, tensor in own.items() if name in given and given[name].shape == tensor.shape}
    for network, least in (("align.", 1.0), ("", 0.5)):
        names = {name for name in own if name.startswith(network) and name.startswith("align.") == bool(network)}
        if len(names & taken) < least * len(names):
            raise InputError(
                f"{name_or_path}: cannot be started from, because only {len(names & taken)} of {len(names)} tensors "
                f"{'of T' if network else 'of the networks after T'} fit this recipe; choose the recipe that the "
                "weights were trained with ('adn info' names those that ship), or train without `start`."
            )
    model.load_state_dict({name: given[name] if name in taken else tensor for name, tensor in own.items()})
    log.info("starting from %s: %d of %d tensors", name_or_path, len(taken), len(own))
