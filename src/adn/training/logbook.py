"""A run's numbers: `log.csv`, TensorBoard, and the stopping rule that is based on them."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adn.io.atomic import atomic_path
from adn.training.checkpoint import Row

log = logging.getLogger(__name__)
LOG = "log.csv"
BEGUN_DICE = 0.1  # below this, learning has not started: a network that reached 0.5 began with 0.004, 0.006, 0.011


def write_log(path: Path, stage: str, history: Sequence[Row]) -> None:
    """Put the rows of one stage into `log.csv`, next to those of other stages; a row per epoch, a column per scalar.

    The whole (small) file is rewritten, so that it is consistent even after a kill.
    """
    rows: list[dict[str, Any]] = [row for row in read_log(path) if row["stage"] != stage]
    rows += [{"stage": stage, **{name: _digits(value) for name, value in row.items()}} for row in history]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def read_log(path: Path) -> list[dict[str, str]]:
    """The rows of a `log.csv` without empty cells; none if there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(file)]


def is_flat(history: Sequence[Row], band: float | None) -> bool:
    """Whether the training Dice (for T: the loss) stayed within `band` for 2 epochs, over three rows (None: never).

    A Dice that has not risen above `BEGUN_DICE` does not count as flat: the network has not started to learn.
    """
    if band is None or len(history) < 3:
        return False
    name = "dice" if "dice" in history[-1] else "loss"
    last = [row[name] for row in history[-3:]]
    return (name == "loss" or min(last) > BEGUN_DICE) and max(last) - min(last) <= band


class Board:
    """TensorBoard events of one stage; does nothing if TensorBoard is not installed."""

    def __init__(self, folder: Path, step: int) -> None:
        """step: the step from which the stage continues; later events of a killed run are dropped."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            log.warning("TensorBoard is not installed, so there are no events for it: pip install 'adn-stroke[train]'")
            self._writer = None
        else:
            self._writer = SummaryWriter(str(folder), purge_step=step)

    def add(self, step: int, values: Row) -> None:
        """Write the scalars of a step or an epoch."""
        if self._writer:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close."""
        if self._writer:
            self._writer.close()


def _digits(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"
