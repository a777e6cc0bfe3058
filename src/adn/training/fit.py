"""One training loop for every network: Fabric for device and processes, poly schedule, checkpoints that resume."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import Dataset

from adn.config import FitConfig
from adn.errors import AdnError
from adn.training.average import Average
from adn.training.checkpoint import Row, State, load_checkpoint, save_best, save_checkpoint
from adn.training.collapse import collapse_warning
from adn.training.logbook import LOG, Board, is_flat, write_log
from adn.training.machine import loader, memory_explained, start_fabric
from adn.training.objectives import Objective

log = logging.getLogger(__name__)
Progress = Callable[[str, int, int, dict[str, float]], None]
OnEpoch = Callable[[int], Mapping[str, float] | None]
CHECKPOINT_SECONDS = 120.0


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
    on_epoch: OnEpoch | None = None,
    device: str = "auto",
    *,
    seed: int = 0,
    score: str = "dice",
    lowest: bool = False,
    on_log: Callable[[list[Row]], None] | None = None,
) -> nn.Module:
    """Train `model` in place on `dataset` (which must hold max_epochs × epoch_samples samples, in order).

    out: run folder. `<stage>.ckpt` there is resumed from if it exists; `log.csv` gets a row per epoch, `tensorboard/`
    every step. progress: called with (stage, step, steps, scalars) after each step. on_epoch: validation, called with
    the number of epochs done; what it returns is logged as `val_…`, and the weights with the highest (`lowest`: the
    lowest) `score` of it go to `<stage>-best.ckpt`. on_log: called with the stage's log once an epoch is safe on disk.
    seed: of dropout and the like, together with the step. Under torchrun all of these are called in the first process
    only. Returns the model as it is after the last step, or with the mean of its weights (`average_steps`). Raises
    InputError where memory runs out, AdnError where the loss is not finite.
    """
    fabric = start_fabric(device, precision)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    wrapped, optimiser = fabric.setup(model, optimiser)
    for name in ("from_aligned", "from_coarse", "logits"):
        if hasattr(model, name):
            wrapped.mark_forward_method(name)
    torch.set_flush_denormal(True)  # denormal gradients cost CPUs a factor of several
    torch.backends.cudnn.benchmark = True  # shapes never change
    per_epoch = max(config.epoch_samples // config.batch_size, 1)
    steps = per_epoch * config.max_epochs
    out.mkdir(parents=True, exist_ok=True)
    average = Average(model, config.average_steps) if config.average_steps else None
    state = load_checkpoint(out / f"{stage}.ckpt", model, optimiser, fabric.device, average)
    if state.step:
        log.info("resuming %s at step %d of %d", stage, state.step, steps)
    first = fabric.is_global_zero
    board = Board(out / "tensorboard" / stage, state.step) if first else None
    if first:
        write_log(out / LOG, stage, state.history)  # a kill may have come between checkpoint and log
    batches = iter(loader(dataset, config, fabric, state.step, steps, workers, collate))
    saved, before = time.monotonic(), time.monotonic() - state.seconds
    wrapped.train()
    while _done(config, state, steps) < 1:
        if state.step % per_epoch == 0 and is_flat(state.history, config.plateau_band):
            log.info("%s: training Dice was flat for 2 epochs, stopping", stage)
            break
        began = time.monotonic()
        rate = _learning_rate(config, state.step, _done(config, state, steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(_step_seed(seed, state.step, fabric.global_rank))  # so that no generator needs saving
        with memory_explained(stage, config, fabric.device, fabric.world_size):
            values = _step(fabric, wrapped, optimiser, objective, batches, config, state.step // per_epoch)
        if average:
            average.add()
        state.add({**values, "step_seconds": time.monotonic() - began})
        if board:
            board.add(state.step, {**values, "lr": rate})
        if progress and first:
            progress(stage, state.step, steps, values)
        state.seconds = time.monotonic() - before
        last = _done(config, state, steps) >= 1
        end = last or state.step % per_epoch == 0
        if end:
            model.eval()
            row: Row = {"epoch": math.ceil(state.step / per_epoch), "step": state.step, "lr": rate, **state.means()}
            with average.shown() if average else nullcontext():
                _close_epoch(state, row, on_epoch if first else None, model, out / f"{stage}-best.ckpt", score, lowest)
        if first and (end or time.monotonic() - saved > CHECKPOINT_SECONDS):
            save_checkpoint(out / f"{stage}.ckpt", model, optimiser, state, average)
            saved = time.monotonic()
        if end:
            if board:
                write_log(out / LOG, stage, state.history)
                board.add(state.step, {k: v for k, v in state.history[-1].items() if k.startswith("val_")})
            if on_log and first:
                on_log(list(state.history))
            model.train()
    if board:
        board.close()
    if average:
        average.give()
    model.eval()
    return model


def _done(config: FitConfig, state: State, steps: int) -> float:
    """Share of the stage that is over: of its steps or of its time, whichever is more."""
    return max(state.step / steps, state.seconds / config.seconds if config.seconds else 0.0)


def _learning_rate(config: FitConfig, step: int, done: float) -> float:
    """Poly decay to 0 as the stage goes (paper, section 3), risen from 0 over the first `warmup_steps`."""
    rate = config.learning_rate * max(1 - done, 0.0) ** config.poly_power
    return rate * min(1.0, (step + 1) / max(config.warmup_steps, 1))


def _step_seed(seed: int, step: int, rank: int) -> int:
    return (seed * 1_000_003 + step) * 4096 + rank


def _step(
    fabric: Fabric, model: Any, optimiser: Any, objective: Objective, batches: Any, config: FitConfig, epoch: int
) -> Row:
    """One step of the optimiser on one batch, in `accumulation` parts; returns the scalars, averaged over all parts."""
    optimiser.zero_grad()
    total = torch.zeros(0)
    names: list[str] = []
    for part in range(config.accumulation):
        batch = fabric.to_device(next(batches))
        waits = fabric.world_size > 1 and part + 1 < config.accumulation
        with fabric.no_backward_sync(model, enabled=waits):
            scalars = objective(model, batch, epoch)
            fabric.backward(scalars["loss"] / config.accumulation)
        names = list(scalars)
        values = torch.stack([value.detach().float().to(fabric.device) for value in scalars.values()])
        known = ~values.isnan()
        found = torch.stack([values.nan_to_num(nan=0.0, posinf=math.inf), known.float()])
        total = found if part == 0 else total + found
    total = fabric.all_reduce(total, reduce_op="sum") if fabric.world_size > 1 else total
    sums, counts = total.tolist()  # type: ignore[union-attr]
    row = {n: s / c if c else math.nan for n, s, c in zip(names, sums, counts, strict=True)}
    parts = config.accumulation * fabric.world_size
    if not math.isfinite(row["loss"]) or counts[names.index("loss")] < parts:
        raise AdnError(
            "The loss is no longer a finite number. Lower learning_rate or clip_norm in the recipe and start again; "
            "the last checkpoint is from before."
        )
    if config.clip_norm:
        fabric.clip_gradients(model, optimiser, max_norm=config.clip_norm)
    optimiser.step()
    return row


def _close_epoch(
    state: State, row: Row, on_epoch: OnEpoch | None, model: nn.Module, best: Path, score: str, lowest: bool
) -> None:
    """Validate, warn of collapse, keep the best weights, and put the row into the stage's history."""
    epoch = int(row["epoch"])
    found = (on_epoch(epoch) if on_epoch else None) or {}
    row |= {f"val_{name}": value for name, value in found.items()}
    warning = collapse_warning(row)
    if warning:
        log.warning("epoch %d: %s", epoch, warning)
    reached = -found[score] if lowest and score in found else found.get(score)
    if reached is not None and (state.best is None or reached >= state.best):
        state.best = float(reached)
        save_best(best, model, epoch, float(found[score]))
    state.history.append(row)
    state.totals = {}
