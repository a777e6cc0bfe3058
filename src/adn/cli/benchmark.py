"""`adn benchmark`: every method of the paper's Table 1, trained and scored by one command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from adn.cli import terminal
from adn.cli.options import Anatomy, Device, Fold, Lesions, Quiet, Workers
from adn.errors import InputError
from adn.recipes import row_names
from adn.virtual.presets import PRESETS
from adn.work.progress import StageProgress


def benchmark(
    recipe: Annotated[str, typer.Argument(help="Recipe, name or file; all rows share its grid, budget and alignment.")],
    data: Annotated[str, typer.Option(help=f"Folder of cases, or a set of virtual patients: {', '.join(PRESETS)}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for runs, predictions and benchmark.md.")],
    methods: Annotated[
        str | None,
        typer.Option(
            help="Methods to compare (the rows of the table), separated by commas; default: all of "
            f"{', '.join(row_names())}. adn@1 is adn with seed 1."
        ),
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="CSV from 'adn split': which cases train, validate and test.")
    ] = None,
    fold: Fold = None,
    heads: Annotated[
        Path | None, typer.Option(help="Folder of whole heads without infarct, for recipes that mix sources.")
    ] = None,
    heads_split: Annotated[Path | None, typer.Option(help="CSV from 'adn split' for --heads.")] = None,
    anatomy: Anatomy = None,
    lesions: Lesions = None,
    device: Device = "auto",
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Train and score DeepMedic, U-Nets, SEAN, ADN and others on the same data with an equal budget of samples.

    If --split has folds, each row is trained for each fold and scored on the patients that it has not seen. Writes
    OUT/benchmark.md. Run the same command again to continue where it stopped; finished rows are skipped.
    """
    fixed = data in PRESETS
    if fixed and (split or fold is not None or heads or heads_split):
        raise InputError(f"--split, --fold and --heads are for cases on disk; {data} is a test set: leave them out.")
    if not fixed and (anatomy or lesions) and not heads:
        raise InputError(
            f"--anatomy and --lesions describe virtual patients: use them with --data {PRESETS[-1]}, say, "
            "or with --heads."
        )
    terminal.check_writable(out)
    from adn.benchmark import FixedSet, Listener
    from adn.benchmark import benchmark as run
    from adn.training import Machine, Source

    with terminal.progress_bar(quiet) as bar:
        patients = (
            FixedSet(data, anatomy, lesions)
            if fixed
            else Source(Path(data), anatomy, lesions, split, fold, heads, heads_split)
        )
        listener = Listener(_stepper(bar), lambda words: None if quiet else bar.console.print(words, markup=False))
        rows = methods.split(",") if methods else None
        path = run(recipe, patients, out, rows, Machine(device, workers), listener)
    if not quiet:
        typer.echo(f"{path.read_text(encoding='utf-8')}\n{path}")


def _stepper(bar: Progress) -> Callable[[str], StageProgress]:
    """Shows the training of each row in a progress bar."""

    def of_row(name: str) -> StageProgress:
        task = bar.add_task(name, total=None)
        return lambda stage, step, steps, _: bar.update(task, completed=step, total=steps)

    return of_row
