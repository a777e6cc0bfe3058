"""`adn benchmark`: every method of the paper's Table 1, trained and scored by one command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from adn.cli import terminal
from adn.cli.options import Device, Quiet, Workers
from adn.cli.synth import Preset
from adn.errors import InputError

SETS = get_args(Preset)


def benchmark(
    recipe: Annotated[str, typer.Argument(help="Grid, budget and alignment of every row: a recipe's name or file.")],
    data: Annotated[str, typer.Option(help=f"Folder of cases, or a set of virtual patients: {', '.join(SETS)}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for runs, predictions and benchmark.md.")],
    methods: Annotated[
        str | None, typer.Option(help="Rows, separated by commas; default: all. An unknown one lists them.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="CSV of 'adn split': who trains, validates and tests.")] = None,
    fold: Annotated[int | None, typer.Option(min=0, help="The fold of the split that validates.")] = None,
    anatomy: Annotated[Path | None, typer.Option(help="For virtual patients: folder of head label maps.")] = None,
    lesions: Annotated[Path | None, typer.Option(help="For virtual patients: folder of infarct masks.")] = None,
    device: Device = "auto",
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Train and score DeepMedic, U-Nets, SEAN, ADN and others on the same data with an equal budget of samples.

    Writes OUT/benchmark.md. The same command again goes on where it stopped and skips rows that are done.
    """
    fixed = data in SETS
    if fixed and (split or fold is not None):
        raise InputError(f"--split and --fold choose among cases on disk; {data} is a test set: leave them out.")
    if not fixed and (anatomy or lesions):
        raise InputError("--anatomy and --lesions describe virtual patients: use them with --data vp52, say.")
    terminal.check_writable(out)
    from adn.benchmark import benchmark as run

    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = terminal.stderr()
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        path = run(
            recipe,
            data,
            out,
            methods.split(",") if methods else None,
            split=split,
            fold=fold,
            anatomy=anatomy,
            lesions=lesions,
            device=device,
            workers=workers,
            progress=_stepper(bar),
            say=lambda words: None if quiet else console.print(words, markup=False),
        )
    if not quiet:
        typer.echo(f"{path.read_text(encoding='utf-8')}\n{path}")


def _stepper(bar: Progress) -> Callable[[str], Callable[[str, int, int, dict[str, float]], None]]:
    """Draws the training of each row."""

    def of_row(name: str) -> Callable[[str, int, int, dict[str, float]], None]:
        task = bar.add_task(name, total=None)
        return lambda stage, step, steps, _: bar.update(task, completed=step, total=steps)

    return of_row
