"""`adn data import-teknofest`: a user's TEKNOFEST-2021 download to cases, and what to know of each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adn.cli import terminal
from adn.cli.options import Quiet
from adn.results import DISCLAIMER

_SHOWN = 10


def import_teknofest(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder with the unpacked DICOM and OVERLAY folders.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="Folder for the cases; each gets DST/<case>.")],
    as_drawn: Annotated[bool, typer.Option("--as-drawn", help="Leave speckled masks as they are.")] = False,
    quiet: Quiet = False,
) -> None:
    """Turn your own TEKNOFEST-2021 download (ischemia) into cases; nothing is downloaded, nothing of SRC is changed.

    Each DST/<case> gets ct.nii.gz, infarct.nii.gz and seen.nii.gz: a part of a head, its slices at their true heights.

    Also written: cases.csv (with patients), split.csv, import.csv (what was found), import.html (a page to look at).

    Cases that are there already are kept, so that a stopped import can go on.
    """
    terminal.check_writable(destination)
    from adn.datasets.teknofest import importer as teknofest

    with terminal.counter("series", quiet) as progress:
        lines = teknofest.import_teknofest(source, destination, close=not as_drawn, progress=progress)
    left_out = [line for line in lines if line.outcome == "left out"]
    console = terminal.stderr()
    for line in left_out:
        terminal.say_error(console, f"{line.case}: {' '.join(line.problems)} It was left out.")
    if not quiet:
        troubled = [line for line in lines if line.problems and line.outcome != "left out"]
        for line in troubled[:_SHOWN]:
            console.print(f"{line.case}: warning: {' '.join(line.problems)}", markup=False)
        if len(troubled) > _SHOWN:
            console.print(f"{len(troubled) - _SHOWN} more: see {destination / teknofest.REPORT}", markup=False)
        patients = len({line.patient for line in lines if line.patient})
        typer.echo(
            f"{len(lines) - len(left_out)} of {len(lines)} series imported, of {patients} patients, "
            f"{len(left_out)} left out; {destination / teknofest.PAGE}\n{DISCLAIMER}"
        )
    if left_out:
        raise typer.Exit(terminal.SOME_FAILED if len(left_out) < len(lines) else terminal.BAD_INPUT)
