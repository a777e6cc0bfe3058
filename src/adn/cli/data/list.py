"""`adn data list`: the paths of a data set, or of one part of a split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from adn.cli import terminal
from adn.cli.options import Data, Fold
from adn.errors import InputError

Part = Literal["train", "validation", "test"]


def list_cases(
    path: Data,
    split: Annotated[Path | None, typer.Option(help="CSV of 'adn split'.")] = None,
    part: Annotated[Part | None, typer.Option(help="List only the cases in this part of the split.")] = None,
    fold: Fold = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A CSV of paths to write.")] = None,
) -> None:
    """Print the path of every CT, or of those in one part of a split; with -o, write a CSV of scans and masks instead.

    For predicting what was held out: adn predict $(adn data list DIR --split CSV --part test) -o OUT. The CSV can be
    given wherever a data set can, and to 'adn evaluate' as references.
    """
    from adn.datasets.layouts import find_cases, write_cases
    from adn.datasets.splits import cases_of_part

    if (split is None) != (part is None):
        raise InputError("--split and --part go together: give both.")
    cases = find_cases(path)
    if split and part:
        cases = cases_of_part(cases, split, part, fold)
    if out is None:
        for case in cases:
            typer.echo(case.ct)
        return
    terminal.check_writable(out.parent)
    write_cases(cases, out)
    typer.echo(f"{len(cases)} cases in {out}")
