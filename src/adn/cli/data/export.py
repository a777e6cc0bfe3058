"""`adn data export`: cases in the layouts of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from adn.cli import terminal
from adn.cli.options import Data, Quiet
from adn.results import DISCLAIMER

Layout = Literal["nnunet", "bids"]


def export(
    path: Data,
    to: Annotated[Layout, typer.Option("--to", help="The layout to write.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder; for nnU-Net call it Dataset<number>_<name>.")],
    split: Annotated[
        Path | None, typer.Option(help="CSV from 'adn split' with the test cases and folds for nnU-Net.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the cases as an nnU-Net raw data set, or as BIDS with masks in derivatives."""
    from adn.datasets.export import export_cases
    from adn.datasets.layouts import find_cases
    from adn.datasets.splits import read_split

    terminal.check_writable(out)
    cases, parts = find_cases(path), read_split(split) if split else None
    with terminal.counter("cases written", quiet) as progress:
        count = export_cases(cases, to, out, parts, progress)
    if not quiet:
        typer.echo(f"{count} of {len(cases)} cases in {out}\n{DISCLAIMER}")
