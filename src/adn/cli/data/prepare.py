"""`adn data prepare`: every case read, stripped and resampled once."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from adn.cli import terminal
from adn.cli.options import Data, Jobs, Quiet
from adn.results import DISCLAIMER
from adn.work.exits import overall_code


def prepare(
    path: Data,
    recipe: Annotated[str, typer.Option(help="Recipe whose model grid the cases are resampled to.")] = "fast",
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Read every case, strip the skull and resample it once, so that training starts without delay.

    Prepared cases are kept in $XDG_CACHE_HOME/adn/prepared (by default below ~/.cache) and recognised by their content,
    so a stopped run can be continued, a changed file is prepared anew, and the folder may be deleted at any time.
    """
    from adn.feed.cache import prepare_data
    from adn.recipes import load_recipe

    start = time.monotonic()
    with terminal.counter("cases prepared", quiet, rate=True) as progress:
        found = prepare_data(path, load_recipe(recipe).grid, jobs, progress)
    for case, failure in found.failed:
        terminal.print_failure(case.name, failure)
    there = found.made + found.kept
    if not quiet:
        known = f" ({found.kept} were there already)" if found.kept else ""
        left = f" {found.unmasked} without infarct mask left out." if found.unmasked else ""
        done = f"{there} of {there + len(found.failed)} cases prepared{known}"
        typer.echo(f"{done}, {terminal.per_minute(found.made, start)}, in {found.folder}.{left}\n{DISCLAIMER}")
    raise typer.Exit(overall_code([*(one.code for _, one in found.failed), *(0 for _ in range(there))]))
