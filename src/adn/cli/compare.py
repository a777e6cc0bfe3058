"""`adn compare`: scans of one patient over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adn.cli import terminal
from adn.cli.options import Device, Lang, Overwrite, Quiet, Weights
from adn.results import DISCLAIMER


def compare(
    scans: Annotated[
        list[Path],
        typer.Argument(
            metavar="BASELINE FOLLOW-UP...", help="Scans, or result folders of 'adn predict', in chronological order."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for the comparison.")],
    weights: Weights = None,
    device: Device = "auto",
    lang: Lang = "en",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Register follow-up scans to the first and measure how the infarct grew.

    Writes a page with all scans side by side, comparison.json and .csv, and each follow-up on the first scan's grid.

    Scans of two patients, parts of heads and scans that are not assessable are refused.
    """
    from adn.comparison.compare import compare as compare_scans
    from adn.comparison.page import verdict
    from adn.lang import words
    from adn.prediction.batch import Networks

    with terminal.progress_bar(quiet) as bar:
        row = bar.add_task("scans", total=len(scans))

        def tell(name: str) -> None:
            bar.update(row, description=name)
            bar.advance(row)

        points = compare_scans(scans, out, Networks(weights, device), language=lang, overwrite=overwrite, tell=tell)
    if not quiet:
        typer.echo(f"{verdict(points, words())}\n{out / 'comparison.html'}\n{DISCLAIMER}")
