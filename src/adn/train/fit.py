"""One training loop for every network: Fabric for device and precision, poly schedule, checkpoints that resume."""

from __future__ import annotations

import csv
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from adn.config import FitConfig
from adn.nn.precision import choose_precision
from adn.train.objectives import Objective

log = logging.getLogger(__name__)
Progress = Callable[[str, int, int, dict[str, float]], None]
CHECKPOINT_SECONDS = 120.0
_FABRIC: dict[str, Any] = {"bf16": "bf16-mixed", "fp32": "32-true"}


def fit(
    model: nn.Module,
    dataset: Dataset[Any],
    objective: Objective,
    config: FitConfig,
    out: Path,
    stage: str,
    precision: str = "auto",
    workers: int = 0,
    collate: Callable[[list[Any]], Any] | None = None,
    progress: Progress | None = None,
    on_epoch: Callable[[int], None] | None = None,
    device: str = "auto",
) -> nn.Module:
    """Train `model` in place on `dataset` (which must hold max_epochs × epoch_samples samples, in order).

    out: run folder; `<stage>.ckpt` there is resumed from if it exists, `<stage>.csv` gets a row per epoch. progress:
    called with (stage, step, steps, scalars). on_epoch: called after each epoch, for validation. Returns the model.
    """
    fabric = Fabric(accelerator=device, devices=1, precision="32-true")
    fabric = Fabric(accelerator=device, devices=1, precision=_FABRIC[choose_precision(precision, fabric.device)])
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    wrapped, optimiser = fabric.setup(model, optimiser)
    for name in ("from_aligned", "from_coarse"):
        if hasattr(model, name):
            wrapped.mark_forward_method(name)
    wrapped.train()
    torch.set_flush_denormal(True)  # denormal gradients cost CPUs a factor of several
    per_epoch = max(config.epoch_samples // config.batch_size, 1)
    steps = per_epoch * config.max_epochs
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{stage}.ckpt"
    step, sums, count = _resume(path, model, optimiser, fabric.device)
    order = range(step * config.batch_size, steps * config.batch_size)
    loader = DataLoader(
        Subset(dataset, order),
        batch_size=config.batch_size,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if workers else None,
    )
    saved = time.monotonic()
    for batch in loader:
        if is_flat(out / f"{stage}.csv", config.plateau_band) and step % per_epoch == 0:
            log.info("%s: training Dice was flat for 2 epochs, stopping", stage)
            break
        rate = config.learning_rate * (1 - step / steps) ** config.poly_power
        rate *= min(1.0, (step + 1) / max(config.warmup_steps, 1))
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = fabric.to_device(batch)
        scalars = objective(wrapped, batch, step // per_epoch)
        optimiser.zero_grad()
        fabric.backward(scalars["loss"])
        fabric.clip_gradients(wrapped, optimiser, max_norm=config.clip_norm)
        optimiser.step()
        step += 1
        count += 1
        values = {name: float(value.detach()) for name, value in scalars.items()}
        sums = {name: sums.get(name, 0.0) + value for name, value in values.items()}
        if progress:
            progress(stage, step, steps, values)
        end = step % per_epoch == 0
        if end:
            append_row(out / f"{stage}.csv", {"step": step, "lr": rate, **{k: v / count for k, v in sums.items()}})
            sums, count = {}, 0
        if end or time.monotonic() - saved > CHECKPOINT_SECONDS:
            _save(path, model, optimiser, step, sums, count)
            saved = time.monotonic()
        if end and on_epoch:
            model.eval()
            on_epoch(step // per_epoch)
            model.train()
    model.eval()
    return model


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def _save(path: Path, model: nn.Module, optimiser: Any, step: int, sums: dict[str, float], count: int) -> None:
    """Write a checkpoint under a temporary name, then move it, so that a kill leaves the former one whole."""
    temporary = path.with_suffix(".tmp")
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "sums": sums,
        "count": count,
        "rng": torch.get_rng_state(),
    }
    torch.save(state, temporary)
    os.replace(temporary, path)


def _resume(path: Path, model: nn.Module, optimiser: Any, device: torch.device) -> tuple[int, dict[str, float], int]:
    """Load the checkpoint if there is one; returns the step to go on from and the sums of the epoch under way."""
    if not path.is_file():
        return 0, {}, 0
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["rng"].cpu())
    log.info("resuming %s at step %d", path.name, state["step"])
    return int(state["step"]), dict(state["sums"]), int(state["count"])


def is_flat(path: Path, band: float | None) -> bool:
    """True where the training Dice of the last three epochs in a log stays within `band` (None: never)."""
    if band is None or not path.is_file():
        return False
    with path.open(newline="", encoding="utf-8") as file:
        last = [float(row["dice"]) for row in csv.DictReader(file)][-3:]
    return len(last) == 3 and max(last) - min(last) <= band


def append_row(path: Path, row: dict[str, float]) -> None:
    """Add a line to a CSV file, with a header if it is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
