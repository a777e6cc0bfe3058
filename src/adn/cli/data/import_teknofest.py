"""`adn data import-teknofest`: turns a user's TEKNOFEST-2021 download into cases, with notes on each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adn.cli import terminal
from adn.cli.data.imported import tell
from adn.cli.options import Quiet


def import_teknofest(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder with the unpacked DICOM and OVERLAY folders.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="Folder for the cases; each gets DST/<case>.")],
    as_drawn: Annotated[bool, typer.Option("--as-drawn", help="Do not close and fill speckled masks.")] = False,
    quiet: Quiet = False,
) -> None:
    """Turn your own TEKNOFEST-2021 download (ischemia) into cases; nothing is downloaded, and SRC is not changed.

    Each DST/<case> gets ct.nii.gz, infarct.nii.gz and seen.nii.gz: a part of a head, its slices at their true heights.

    Also written: cases.csv (with patients), split.csv, import.csv (what was found), import.html (a page to look at).

    Existing cases are kept, so a stopped import can be continued.
    """
    terminal.check_writable(destination)
    from adn.datasets.teknofest import importer as teknofest

    with terminal.counter("series", quiet) as progress:
        lines = teknofest.import_teknofest(source, destination, close=not as_drawn, progress=progress)
    tell(lines, "series", destination / teknofest.REPORT, destination / teknofest.PAGE, quiet)
