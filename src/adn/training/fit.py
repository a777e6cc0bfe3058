"""The training loop of every network: Fabric for device and processes, poly schedule, resumable checkpoints."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import Dataset

from adn.config import FitConfig
from adn.errors import AdnError
from adn.nn.precision import choose_precision, laid_out, spare_two_slices
from adn.training.average import Average
from adn.training.checkpoint import Row, State, load_checkpoint, save_best, save_checkpoint
from adn.training.collapse import collapse_warning
from adn.training.logbook import LOG, Board, is_flat, write_log
from adn.training.machine import loader, memory_explained, start_fabric
from adn.training.objectives import Objective
from adn.work.memory import keep_freed_memory
from adn.work.progress import StageProgress

log = logging.getLogger(__name__)
CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class Machine:
    """Where training runs. device: 'auto', 'cpu', 'cuda'. workers: extra processes that prepare samples."""

    device: str = "auto"
    workers: int = 0


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    out: run folder. If `<name>.ckpt` exists there, the stage resumes from it; `log.csv` gets a row per epoch,
    `tensorboard/` every step. collate: makes a batch of samples; None: PyTorch's. precision: as in `choose_precision`.
    seed: of dropout and the like, combined with the step. score: the validation value that selects the best weights,
    highest first (`lowest`: lowest first).
    """

    name: str
    out: Path
    config: FitConfig
    collate: Callable[[list[Any]], Any] | None = None
    precision: str = "auto"
    seed: int = 0
    score: str = "dice"
    lowest: bool = False

    def file(self, ending: str) -> Path:
        """A file of this stage in the run folder."""
        return self.out / f"{self.name}{ending}"


@dataclass(frozen=True)
class Hooks:
    """Callbacks during a stage, in the first process only.

    progress: called after each step with (stage, step, steps, scalars). validate: called with the number of epochs
    done; its results are logged as `val_…`. tell: called with the stage's log once an epoch is saved.
    """

    progress: StageProgress | None = None
    validate: Callable[[int], Mapping[str, float] | None] | None = None
    tell: Callable[[list[Row]], None] | None = None


HERE, NOBODY = Machine(), Hooks()


def fit(
    model: nn.Module,
    dataset: Dataset[Any],
    objective: Objective,
    stage: Stage,
    machine: Machine = HERE,
    hooks: Hooks = NOBODY,
) -> nn.Module:
    """Train `model` in place on `dataset` (which must hold max_epochs × epoch_samples samples, in order).

    Returns the model as after the last step, or with the mean of its weights (`average_steps`); the best epoch's
    weights are in `<stage>-best.ckpt`. Raises InputError if memory runs out, AdnError if loss or gradient is not
    finite.
    """
    torch.set_flush_denormal(True)  # denormal gradients make CPUs several times slower
    try:
        loop = _Loop(model, dataset, objective, stage, machine, hooks)
        with keep_freed_memory(loop.fabric.device.type == "cpu"):
            while not loop.over():
                loop.step()
        return loop.finish()
    finally:
        torch.set_flush_denormal(False)  # the setting is process-wide


class _Loop:
    """The state of a stage while it runs."""

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset[Any],
        objective: Objective,
        stage: Stage,
        machine: Machine,
        hooks: Hooks,
    ) -> None:
        config = stage.config
        self.model, self.objective, self.stage, self.config = model, objective, stage, config
        self.fabric = start_fabric(machine.device, stage.precision)
        device = self.fabric.device
        if device.type == "cpu" and choose_precision(stage.precision, device) == "bf16" and spare_two_slices(model):
            log.info("%s: bf16 on this CPU leaves gradients of two slices unset, so they use fp32", stage.name)
        if device.type == "cpu":
            laid_out(model)
        optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        self.wrapped, self.optimiser = self.fabric.setup(model, optimiser)
        for name in ("from_aligned", "from_coarse", "logits"):
            if hasattr(model, name):
                self.wrapped.mark_forward_method(name)
        torch.backends.cudnn.benchmark = True  # shapes never change
        self.per_epoch = max(config.epoch_samples // config.batch_size, 1)
        self.steps = self.per_epoch * config.max_epochs
        stage.out.mkdir(parents=True, exist_ok=True)
        self.average = Average(model, config.average_steps) if config.average_steps else None
        self.state = load_checkpoint(stage.file(".ckpt"), model, self.optimiser, device, self.average)
        if self.state.step:
            log.info("resuming %s at step %d of %d", stage.name, self.state.step, self.steps)
        self.hooks = hooks if self.fabric.is_global_zero else NOBODY
        self.board = None
        if self.fabric.is_global_zero:
            self.board = Board(stage.out / "tensorboard" / stage.name, self.state.step)
            write_log(stage.out / LOG, stage.name, self.state.history)  # the run may have been killed before writing it
        rest = loader(dataset, config, self.fabric, range(self.state.step, self.steps), machine.workers, stage.collate)
        self.batches = iter(rest)
        self.waited = 0.0  # seconds that this step waited for samples
        self.saved, self.before = time.monotonic(), time.monotonic() - self.state.seconds
        self.wrapped.train()

    def over(self) -> bool:
        """Whether the stage is complete, or training has been flat for two epochs (`plateau_band`)."""
        if self._done() >= 1:
            return True
        flat = self.state.step % self.per_epoch == 0 and is_flat(self.state.history, self.config.plateau_band)
        if flat:
            log.info("%s: training Dice was flat for 2 epochs, stopping", self.stage.name)
        return flat

    def step(self) -> None:
        """Run one step, and close the epoch if it is the epoch's last."""
        state, stage = self.state, self.stage
        began, self.waited = time.monotonic(), 0.0
        rate = _learning_rate(self.config, state.step, self._done())
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        seed = _step_seed(stage.seed, state.step, self.fabric.global_rank)
        torch.manual_seed(seed)  # seeded per step, so that no generator state needs saving
        with memory_explained(stage.name, self.config, self.fabric.device, self.fabric.world_size):
            epoch = state.step // self.per_epoch
            values = self._optimise(epoch)
        if self.average:
            self.average.add()
        state.add({**values, "step_seconds": time.monotonic() - began, "wait_seconds": self.waited})
        if self.board:
            self.board.add(state.step, {**values, "lr": rate})
        if self.hooks.progress:
            self.hooks.progress(stage.name, state.step, self.steps, values)
        state.seconds = time.monotonic() - self.before
        end = self._done() >= 1 or state.step % self.per_epoch == 0
        if end:
            self._validate(rate)
        if self.board and (end or time.monotonic() - self.saved > CHECKPOINT_SECONDS):
            save_checkpoint(stage.file(".ckpt"), self.model, self.optimiser, state, self.average)
            self.saved = time.monotonic()
        if end:
            self._tell()

    def _optimise(self, epoch: int) -> Row:
        """One optimiser step on one batch, in `accumulation` parts; returns the scalars, averaged over the parts."""
        fabric, model, optimiser, config = self.fabric, self.wrapped, self.optimiser, self.config
        optimiser.zero_grad()
        total = torch.zeros(0)
        names: list[str] = []
        for part in range(config.accumulation):
            began = time.monotonic()
            batch = fabric.to_device(next(self.batches))
            self.waited += time.monotonic() - began
            waits = fabric.world_size > 1 and part + 1 < config.accumulation
            with fabric.no_backward_sync(model, enabled=waits):
                with fabric.autocast():  # alone, Fabric does so only for `forward`, unless several processes run
                    scalars = self.objective(model, batch, epoch)
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
                "The loss is no longer finite. Lower learning_rate or clip_norm in the recipe and start "
                "again; the last checkpoint is from before."
            )
        if not torch.isfinite(_clipped(fabric, model, optimiser, config)):
            raise AdnError(
                "A gradient is no longer finite, though the loss is. Lower learning_rate, or set "
                "train.precision to fp32, in the recipe and start again; the last checkpoint is from before."
            )
        optimiser.step()
        return row

    def finish(self) -> nn.Module:
        """The trained model."""
        if self.board:
            self.board.close()
        if self.average:
            self.average.give()
        return self.model.eval()

    def _done(self) -> float:
        return _done(self.config, self.state, self.steps)

    def _validate(self, rate: float) -> None:
        self.model.eval()
        epoch = math.ceil(self.state.step / self.per_epoch)
        row: Row = {"epoch": epoch, "step": self.state.step, "lr": rate, **self.state.means()}
        with self.average.shown() if self.average else nullcontext():
            _close_epoch(self.state, row, self.hooks.validate, self.model, self.stage)

    def _tell(self) -> None:
        if self.board:
            write_log(self.stage.out / LOG, self.stage.name, self.state.history)
            last = self.state.history[-1]
            self.board.add(self.state.step, {k: v for k, v in last.items() if k.startswith("val_")})
        if self.hooks.tell:
            self.hooks.tell(list(self.state.history))
        self.model.train()


def _done(config: FitConfig, state: State, steps: int) -> float:
    """Completed share of the stage: of its steps or of its time, whichever is larger."""
    return max(state.step / steps, state.seconds / config.seconds if config.seconds else 0.0)


def _learning_rate(config: FitConfig, step: int, done: float) -> float:
    """Polynomial decay to 0 over the stage (paper, section 3), after a linear rise over the first `warmup_steps`."""
    rate = config.learning_rate * max(1 - done, 0.0) ** config.poly_power
    return rate * min(1.0, (step + 1) / max(config.warmup_steps, 1))


def _step_seed(seed: int, step: int, rank: int) -> int:
    return (seed * 1_000_003 + step) * 4096 + rank


def _clipped(fabric: Fabric, model: Any, optimiser: Any, config: FitConfig) -> torch.Tensor:
    """Clip the gradient as the recipe says; return its norm before clipping."""
    if not config.clip_norm:
        return torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    norm = fabric.clip_gradients(model, optimiser, max_norm=config.clip_norm, error_if_nonfinite=False)
    assert norm is not None
    return norm


def _close_epoch(
    state: State, row: Row, validate: Callable[[int], Mapping[str, float] | None] | None, model: nn.Module, stage: Stage
) -> None:
    """Validate, warn of collapse, save the best weights, and add the row to the stage's history."""
    epoch, score = int(row["epoch"]), stage.score
    found = (validate(epoch) if validate else None) or {}
    row |= {f"val_{name}": value for name, value in found.items()}
    warning = collapse_warning(row)
    if warning:
        log.warning("epoch %d: %s", epoch, warning)
    reached = -found[score] if stage.lowest and score in found else found.get(score)
    if reached is not None and (state.best is None or reached >= state.best):
        state.best = float(reached)
        save_best(stage.file("-best.ckpt"), model, epoch, float(found[score]))
    state.history.append(row)
    state.totals = {}
