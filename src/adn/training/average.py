"""Averages a network's weights over its last steps, which generalises better than the weights of any single step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """Mean of the trained parameters: over all steps at first, then exponential with a memory of `steps` steps."""

    def __init__(self, model: nn.Module, steps: int) -> None:
        self.steps, self.count = steps, 0
        self.trained: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.mean = [p.detach().clone() for p in self.trained]

    @torch.no_grad()
    def add(self) -> None:
        """Include the current parameters."""
        self.count += 1
        for mean, now in zip(self.mean, self.trained, strict=True):
            mean.lerp_(now, 1 / min(self.count, self.steps))

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Use the mean weights in the model during the block, then restore its own."""
        own = [p.detach().clone() for p in self.trained]
        self.give()
        try:
            yield
        finally:
            _copy(own, self.trained)

    def give(self) -> None:
        """Replace the model's weights by the mean for good."""
        _copy(self.mean, self.trained)

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {"count": self.count, "mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.count = state["count"]
        _copy(state["mean"], self.mean)


@torch.no_grad()
def _copy(values: list[Tensor], into: list[Tensor]) -> None:
    for value, place in zip(values, into, strict=True):
        place.copy_(value)
