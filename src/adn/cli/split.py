"""`adn split`: who trains, who validates, who tests."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from adn.cli import terminal
from adn.cli.options import Data, Quiet
from adn.results import DISCLAIMER

if TYPE_CHECKING:
    from adn.datasets.splits import Split


def split(
    path: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="The CSV to write.")],
    folds: Annotated[int, typer.Option(min=0, help="Folds for cross-validation; 0: a single validation part.")] = 0,
    validation: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the patients for validation, if there are no folds.")
    ] = 0.15,
    test: Annotated[
        float | None,
        typer.Option(min=0, max=0.9, help="Share of the patients for the final test; default: 0.15, or 0 with folds."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same split.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier split.")] = False,
    quiet: Quiet = False,
) -> None:
    """Split a data set by patient, balanced by infarct size; write a CSV for 'adn train' and 'adn benchmark'.

    All scans of a patient stay together. Cases without an infarct mask are left out; nnU-Net's imagesTs are kept for
    testing.
    """
    from adn.datasets.layouts import find_cases
    from adn.datasets.splits import Shares, split_data

    with terminal.counter("masks measured", quiet) as progress:
        made = split_data(path, out, Shares(folds, validation, test, seed), overwrite, progress)
    if not quiet:
        _describe(made, len(find_cases(path)) - len(made.rows))
        typer.echo(f"{out}\n{DISCLAIMER}")


def _describe(made: Split, left_out: int) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("part", "cases", "patients", "without infarct", "median mL"):
        table.add_column(name, justify="left" if name == "part" else "right")
    for part in sorted({_part(row.part, row.fold) for row in made.rows}):
        rows = [row for row in made.rows if _part(row.part, row.fold) == part]
        volumes = [row.infarct_ml for row in rows if row.infarct_ml]
        median = f"{statistics.median(volumes):.1f}" if volumes else "–"
        patients = len({row.subject for row in rows})
        table.add_row(part, str(len(rows)), str(patients), str(len(rows) - len(volumes)), median)
    console = Console(highlight=False)
    console.print(table)
    if left_out:
        console.print(f"{left_out} cases without infarct mask left out.")


def _part(part: str, fold: int | None) -> str:
    return part if fold is None else f"fold {fold}"
