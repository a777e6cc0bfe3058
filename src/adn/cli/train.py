"""The body of `adn train`: its words, its progress bar and the pictures in the run folder."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from adn.errors import InputError

if TYPE_CHECKING:
    from adn.training import EpochEnd

SHOWN = {"loss": "loss", "dice": "Dice", "val_dice": "validation Dice", "p_over_a": "P/A"}
SHEET_DPI = 100


def run(
    recipe: str | None, out: Path | None, resume: Path | None, options: dict[str, Any], virtual: bool, quiet: bool
) -> Path | None:
    """Start or resume a run; returns its weights, or None in a process of torchrun that is not the first.

    options: `data`, `split`, `fold`, `anatomy`, `lesions`, `start`, `device` and `workers`, as `training.train` takes
    them. Raises InputError where what was asked does not go together.
    """
    first = os.environ.get("RANK", "0") == "0"
    if resume:
        defaults = {"device": "auto", "workers": 0}
        given = [name for name, value in options.items() if value != defaults.get(name)]
        if recipe or out or virtual or given:
            raise InputError(f"--resume {resume} takes everything from the run's own record: give nothing else.")
        terminal.check_writable(resume)
        from adn.training import resume as go_on

        start: Callable[..., Path] = lambda **watch: go_on(resume, **watch)  # noqa: E731
    else:
        plan, folder = _checked(recipe, out, options, virtual)
        from adn.training import train

        start = lambda **watch: train(plan, folder, **options, **watch)  # noqa: E731
    silent = quiet or not first
    if not silent:
        logging.getLogger("adn").setLevel(logging.INFO)
    with _bar(silent) as bar:
        _speak_through(bar)
        try:
            path = start(progress=_stepper(bar), on_epoch=_storyteller(bar.console, silent))
        except KeyboardInterrupt:
            if not silent:
                bar.console.print(f"To go on: adn train --resume {resume or out}", markup=False)
            raise
        finally:
            _speak_through(None)
    return path if first else None


def _checked(recipe: str | None, out: Path | None, options: dict[str, Any], virtual: bool) -> tuple[Any, Path]:
    """The recipe and the run folder, once everything goes together."""
    if not recipe or not out:
        raise InputError("Training needs a RECIPE and a run folder (-o RUN), or --resume RUN.")
    if (options["data"] is None) != virtual:
        raise InputError("Training needs exactly one source of cases: --data DIR, or --virtual.")
    if (options["anatomy"] or options["lesions"]) and not virtual:
        raise InputError("--anatomy and --lesions describe virtual patients: use them with --virtual, not --data.")
    if (options["split"] or options["fold"] is not None) and virtual:
        raise InputError("--split and --fold choose among cases on disk: use them with --data, not --virtual.")
    terminal.check_writable(out)
    from adn.recipes import load_recipe

    return load_recipe(recipe), out


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


def _speak_through(bar: Progress | None) -> None:
    """Let warnings pass above the progress bar (which has sys.stderr while it is drawn), and back."""
    for handler in logging.getLogger("adn").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr if bar else sys.__stderr__ or sys.stderr)


def _stepper(bar: Progress) -> Callable[[str, int, int, dict[str, float]], None]:
    """Draws each step: losses and time left."""
    rows: dict[str, TaskID] = {}

    def draw(stage: str, step: int, steps: int, scalars: dict[str, float]) -> None:
        if stage not in rows:  # a resumed stage starts where it stands, or the time left would be far too short
            rows[stage] = bar.add_task(stage, total=steps, completed=step, words="")
        bar.update(rows[stage], completed=step, words=_words(scalars))

    return draw


def _storyteller(console: Console, silent: bool) -> Callable[[EpochEnd], None]:
    """After each epoch: a line, the curves, and a sheet of sample pictures."""

    def tell(end: EpochEnd) -> None:
        row = end.history[-1]
        epoch = int(row["epoch"])
        if not silent:
            console.print(
                f"{end.stage}, epoch {epoch}: {_words(row)}, {row['step_seconds']:.3g} s a step", markup=False
            )
        from adn.figures import training_curves, training_sheet

        _save(training_curves(end.history, f"{end.run.name}, {end.stage}"), end.run / f"curves-{end.stage}.png")
        if end.pictures:
            (end.run / "samples").mkdir(exist_ok=True)
            _save(training_sheet(end.pictures), end.run / "samples" / f"{end.stage}-{epoch:03d}.png")

    return tell


def _words(scalars: dict[str, float]) -> str:
    """Losses and Dice, as far as there are any (a batch without infarct has no Dice)."""
    known = {name: scalars[name] for name in SHOWN if scalars.get(name, float("nan")) == scalars.get(name)}
    return ", ".join(f"{SHOWN[name]} {value:.4g}" for name, value in known.items())


def _save(figure: Any, path: Path) -> None:
    from adn.io import atomic_path

    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=SHEET_DPI, facecolor=figure.get_facecolor())
