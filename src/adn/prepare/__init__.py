"""Turns a head CT into a deskulled brain on the model grid.

Names are loaded on first use, so that importing this package does not load SimpleITK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from adn.space.volume import Volume

if TYPE_CHECKING:
    from adn.prepare.model_grid import Conformed, carry_mask, conform
    from adn.prepare.strip import strip_skull

__all__ = ["Conformed", "SkullStripper", "carry_mask", "conform", "strip_skull"]

_HOMES = {
    "Conformed": "model_grid",
    "carry_mask": "model_grid",
    "conform": "model_grid",
    "strip_skull": "strip",
}


class SkullStripper(Protocol):
    """Anything that finds the brain: the classical `strip_skull`, or a network.

    Takes a head CT in HU, returns a uint8 mask on the same grid (1: inside the inner table of the skull). Raises
    InputError if there is no brain.
    """

    def __call__(self, volume_hu: Volume, /) -> Volume:  # noqa: D102 (the class says it)
        ...


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'adn.prepare' has no attribute '{name}'")
    return getattr(import_module(f"adn.prepare.{_HOMES[name]}"), name)
