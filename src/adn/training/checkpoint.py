"""The state of a training stage on disk: enough to continue after a kill with identical numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adn.errors import OutputError
from adn.io.atomic import atomic_path
from adn.training.average import Average

Row = dict[str, float]


@dataclass
class State:
    """Progress of one stage. The log is written from here, so that log and checkpoint never disagree.

    seconds: time spent, including validation. totals: of the current epoch, name → [sum, number of steps with a value].
    history: a row per finished epoch. best: highest validation score so far (its negative if the lowest is best).
    """

    step: int = 0
    seconds: float = 0.0
    totals: dict[str, list[float]] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    best: float | None = None

    def add(self, values: Row) -> None:
        """Count one step; NaN (a term that does not occur in a batch) is left out."""
        self.step += 1
        for name, value in values.items():
            total = self.totals.setdefault(name, [0.0, 0.0])
            if not math.isnan(value):
                total[0] += value
                total[1] += 1

    def means(self) -> Row:
        """Means of the current epoch; NaN if no step had a value."""
        return {name: total / count if count else float("nan") for name, (total, count) in self.totals.items()}


def save_checkpoint(path: Path, model: nn.Module, optimiser: Any, state: State, average: Average | None) -> None:
    """Write the checkpoint for resuming. model: with its own weights, not their mean."""
    content = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "state": asdict(state)}
    if average:
        content["average"] = average.state_dict()
    _write(path, content)


def save_best(path: Path, model: nn.Module, epoch: int, score: float) -> None:
    """Write the weights of the epoch with the best validation score."""
    _write(path, {"model": model.state_dict(), "epoch": epoch, "score": score})


def load_checkpoint(
    path: Path, model: nn.Module, optimiser: Any, device: torch.device, average: Average | None
) -> State:
    """Load model, optimiser and mean from a checkpoint, if there is one; return the state of the stage."""
    if not path.is_file():
        return State()
    content = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(content["model"])
    optimiser.load_state_dict(content["optimiser"])
    if average:
        average.load_state_dict(content["average"])
    return State(**content["state"])


def load_weights(path: Path, model: nn.Module) -> bool:
    """Load a model from a checkpoint (last or best); False if there is none."""
    if not path.is_file():
        return False
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    return True


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write atomically: a kill leaves the old checkpoint and at most one stray file, which the next write removes."""
    try:
        with atomic_path(path) as temporary:
            torch.save(content, temporary)
    except (OutputError, RuntimeError) as error:  # torch's own writer raises RuntimeError on a full disk
        reason = error.__cause__ if isinstance(error, OutputError) else error
        raise OutputError(
            f"Cannot write the checkpoint {path} ({reason}); free some space, then continue with `resume`."
        ) from error
