"""Devices, processes and memory: what the training loop needs from the machine it runs on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch.utils.data import DataLoader, Dataset, Subset

from adn.config import FitConfig
from adn.errors import ConfigError, InputError
from adn.nn.precision import choose_device, choose_precision

_FABRIC: dict[str, Any] = {"bf16": "bf16-mixed", "fp32": "32-true"}
PATIENCE = timedelta(hours=3)  # the other processes wait while the first one validates
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate memory")


def start_fabric(device: str, precision: str) -> Fabric:
    """One device, or the processes that torchrun started (DDP: NCCL on GPUs, gloo on CPUs).

    device: 'auto', 'cpu', 'cuda'. precision: as in `choose_precision`.
    """
    choose_device(device)  # raises adn's own error if there is no GPU
    kind = Fabric(accelerator=device, devices=1).device
    settings: dict[str, Any] = {"accelerator": device, "precision": _FABRIC[choose_precision(precision, kind)]}
    if not under_torchrun():
        return Fabric(devices=1, **settings)
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    # Every trained parameter contributes to every loss (T is frozen before D + F): no search for unused ones is needed.
    strategy = DDPStrategy(timeout=PATIENCE, find_unused_parameters=False, gradient_as_bucket_view=True)
    fabric = Fabric(devices=here, num_nodes=int(os.environ["WORLD_SIZE"]) // here, strategy=strategy, **settings)
    fabric.launch()
    return fabric


def under_torchrun() -> bool:
    """True in a process that torchrun started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_first_process() -> bool:
    """True in the one process that writes files."""
    return not under_torchrun() or os.environ["RANK"] == "0"


def share_of_processes() -> tuple[int, int]:
    """This process's number, and how many there are."""
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if under_torchrun() else (0, 1)


def share_of_batch(config: FitConfig, processes: int) -> int:
    """Samples that one process takes at once: batch_size / (processes × accumulation). Raises ConfigError."""
    parts = processes * config.accumulation
    if config.batch_size % parts:
        raise ConfigError(
            f"batch_size {config.batch_size} cannot be shared by {processes} process(es) with accumulation "
            f"{config.accumulation}: it must be a multiple of {parts}. Change batch_size or accumulation."
        )
    return config.batch_size // parts


def loader(
    dataset: Dataset[Any], config: FitConfig, fabric: Fabric, steps: range, workers: int, collate: Any
) -> DataLoader[Any]:
    """Batches of this process for the given steps.

    Step s trains on samples s · batch_size to (s + 1) · batch_size − 1 however many processes there are: each takes
    every n-th of them.
    """
    order = range(
        steps.start * config.batch_size + fabric.global_rank, steps.stop * config.batch_size, fabric.world_size
    )
    return DataLoader(
        Subset(dataset, order),
        batch_size=share_of_batch(config, fabric.world_size),
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if workers else None,
        pin_memory=fabric.device.type == "cuda",
    )


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


@contextmanager
def memory_explained(stage: str, config: FitConfig, device: torch.device, processes: int) -> Iterator[None]:
    """Turn running out of memory into an InputError that says which setting to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        told = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not told and not any(words in str(error) for words in _NO_MEMORY):
            raise
        size, parts = config.batch_size, config.accumulation
        finer = [n for n in range(parts + 1, size // processes + 1) if size % (processes * n) == 0]
        first = f"raise accumulation to {finer[0]} (the same batch in smaller parts), or lower" if finer else "lower"
        raise InputError(
            f"Not enough memory on {device} for a step of '{stage}' with batch_size {size} and accumulation {parts}: "
            f"{first} {'batch_size, ' if size > processes else ''}grid.box or network.channels in the recipe, "
            "and start again in a new folder."
        ) from error
