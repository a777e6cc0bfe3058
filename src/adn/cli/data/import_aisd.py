"""`adn data import-aisd`: turns a user's AISD downloads into cases, with notes on each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from adn.cli import terminal
from adn.cli.options import Jobs, Quiet
from adn.results import DISCLAIMER

if TYPE_CHECKING:
    from adn.datasets.aisd.case import Imported


def import_aisd(
    source: Annotated[
        Path,
        typer.Argument(metavar="SRC", help="Folder with AISD's image, mask and dicom downloads, packed or unpacked."),
    ],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="Folder for the cases; each gets DST/<case>.")],
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Turn your own AISD downloads into cases to train and test on; nothing is downloaded, and SRC is not changed.

    Each DST/<case> gets ct.nii.gz, infarct.nii.gz (mask values 1, 2, 3, 5) and, for value 4 (invisible), ignore.nii.gz.

    Masks are paired with DICOM slices by content; a case that fits in several ways is left out, not guessed.

    Also written: split.csv (the published 345 and 52), import.csv (what was found), import.html (a page to look at).

    Existing cases are kept, so a stopped import can be continued.
    """
    terminal.check_writable(destination)
    from adn.datasets.aisd import importer as aisd

    console = terminal.stderr()
    with terminal.counter("AISD cases", quiet) as progress:
        lines = aisd.import_aisd(source, destination, jobs, progress)
    left_out = [line for line in lines if line.outcome == "left out"]
    _say(lines, console, quiet)
    if not quiet:
        absent = len(aisd.TEST_CASES - {line.case for line in lines if line.outcome == "imported"})
        if absent:
            console.print(f"warning: {absent} of the {len(aisd.TEST_CASES)} test cases are not there.", markup=False)
        rough = sum(line.hu == "png" for line in lines)
        typer.echo(
            f"{len(lines) - len(left_out)} of {len(lines)} cases imported ({rough} with HU estimated from PNGs), "
            f"{len(left_out)} left out; {destination / aisd.PAGE}\n{DISCLAIMER}"
        )
    if left_out:
        raise typer.Exit(terminal.SOME_FAILED if len(left_out) < len(lines) else terminal.BAD_INPUT)


def _say(lines: list[Imported], console: Console, quiet: bool) -> None:
    """Print a line for every case with a problem: always if it was left out, otherwise unless told to be quiet."""
    for line in lines:
        text = f"{line.case}: {' '.join(line.problems)}"
        if line.outcome == "left out":
            terminal.print_error(console, f"{text} The case was left out.")
        elif line.problems and not quiet:
            console.print(f"{line.case}: warning: {' '.join(line.problems)}", markup=False)
