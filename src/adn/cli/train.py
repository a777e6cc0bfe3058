"""`adn train`: the command, its progress bar and the pictures in the run folder."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from adn.cli import terminal
from adn.cli.options import Anatomy, Device, Fold, Lesions, Quiet, Workers
from adn.errors import InputError
from adn.work.progress import StageProgress

if TYPE_CHECKING:
    from adn.training import EpochEnd

SHOWN = {"loss": "loss", "dice": "Dice", "val_dice": "validation Dice", "p_over_a": "P/A"}


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="[RECIPE]", help="Name of a recipe (see 'adn info'), or a .toml or .json file."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run: weights, log, pictures.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of cases, or another layout that 'adn data' reads.")] = None,
    split: Annotated[
        Path | None, typer.Option(help="CSV from 'adn split': which cases train and which validate.")
    ] = None,
    fold: Fold = None,
    heads: Annotated[
        Path | None, typer.Option(help="Folder of whole heads without infarct, for recipes that mix sources.")
    ] = None,
    heads_split: Annotated[Path | None, typer.Option(help="CSV from 'adn split' for --heads.")] = None,
    virtual: Annotated[bool, typer.Option("--virtual", help="Train on virtual patients made on the fly.")] = False,
    anatomy: Anatomy = None,
    lesions: Lesions = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="Weights to fine-tune (see 'adn info'); their alignment network stays as it is.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Continue a run that was stopped, with the settings it recorded."),
    ] = None,
    device: Device = "auto",
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Train the networks of a recipe: alignment first, then asymmetry and segmentation together.

    For several GPUs or hosts: torchrun --nproc-per-node N --no-python -- adn train ... (with the two dashes).
    """
    first = os.environ.get("RANK", "0") == "0"  # only the first process of torchrun prints anything
    silent = quiet or not first
    named = (data, split, fold, heads, heads_split, anatomy, lesions, start)
    others = bool(virtual or workers or device != "auto" or any(value is not None for value in named))
    run = _run_folder(recipe, out, resume, others)
    if not resume and (data is None) != virtual:
        raise InputError("Training needs exactly one source of cases: --data DIR, or --virtual.")
    terminal.check_writable(run)
    if not silent:
        logging.getLogger("adn").setLevel(logging.INFO)
    with _bar(silent) as bar, _logging_above(bar):
        from adn.recipes import load_recipe
        from adn.training import Begin, Machine, Source, Watch
        from adn.training import resume as go_on
        from adn.training import train as begin_training

        watch = Watch(_stepper(bar), _epoch_printer(bar.console, silent))
        try:
            if resume:
                path = go_on(run, watch)
            else:
                source = Source(data, anatomy, lesions, split, fold, heads, heads_split)
                machine = Machine(device, workers)
                path = begin_training(load_recipe(str(recipe)), run, source, Begin(start), machine, watch)
        except KeyboardInterrupt:
            if not silent:
                bar.console.print(f"To continue: adn train --resume {run}", markup=False)
            raise
    if not silent:
        typer.echo(f"Trained weights: {path}\nTo use them: adn predict SCAN -o OUT --weights {path}")


def _run_folder(recipe: str | None, out: Path | None, resume: Path | None, others: bool) -> Path:
    """The folder of a new run, or of one that is continued. others: whether any other option was given."""
    if resume:
        if recipe or out or others:
            raise InputError(
                f"--resume {resume} takes all settings from the run's own record: leave out the other options."
            )
        return resume
    if not recipe or not out:
        raise InputError("Training needs a RECIPE and a run folder (-o RUN), or --resume RUN.")
    return out


def _bar(silent: bool) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = terminal.stderr()
    return Progress(*columns, console=console, transient=True, disable=silent or not console.is_terminal)


@contextmanager
def _logging_above(bar: Progress) -> Iterator[None]:
    """Print warnings above the progress bar, which takes over sys.stderr while it is drawn."""
    handlers = [one for one in logging.getLogger("adn").handlers if isinstance(one, logging.StreamHandler)]
    try:
        for handler in handlers:
            handler.setStream(sys.stderr)
        yield
    finally:
        for handler in handlers:
            handler.setStream(sys.__stderr__ or sys.stderr)


def _stepper(bar: Progress) -> StageProgress:
    """Draws each step: losses and time left."""
    rows: dict[str, TaskID] = {}

    def draw(stage: str, step: int, steps: int, scalars: dict[str, float]) -> None:
        if stage not in rows:  # a resumed stage starts where it was, or the time left would be far too short
            rows[stage] = bar.add_task(stage, total=steps, completed=step, words="")
        bar.update(rows[stage], completed=step, words=_words(scalars))

    return draw


def _epoch_printer(console: Console, silent: bool) -> Callable[[EpochEnd], None]:
    """After each epoch: a line, the curves, and a sheet of sample pictures."""

    def tell(end: EpochEnd) -> None:
        row = end.history[-1]
        epoch = int(row["epoch"])
        if not silent:
            console.print(f"{end.stage}, epoch {epoch}: {_words(row)}, {_pace(row)}", markup=False)
        from adn.figures import write_training_pictures

        write_training_pictures(end.run, end.stage, end.history, end.pictures)

    return tell


def _pace(row: dict[str, float]) -> str:
    """Seconds a step, and what of them the step waited for samples, where that is a tenth or more."""
    seconds, waited = row["step_seconds"], row.get("wait_seconds", 0.0)  # runs of before 0.2 have no such column
    share = f", {waited / seconds:.0%} of it waiting for samples (see --workers)" if waited >= 0.1 * seconds else ""
    return f"{seconds:.3g} s a step{share}"


def _words(scalars: dict[str, float]) -> str:
    """Losses and Dice, as far as there are any (a batch without infarct has no Dice)."""
    known = {name: scalars[name] for name in SHOWN if scalars.get(name, float("nan")) == scalars.get(name)}
    return ", ".join(f"{SHOWN[name]} {value:.4g}" for name, value in known.items())
