"""`adn data import-cpaisd`: turns a user's CPAISD download into cases, with notes on each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adn.cli import terminal
from adn.cli.data.imported import tell
from adn.cli.options import Quiet


def import_cpaisd(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder with CPAISD's train, val and test, unpacked.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="Folder for the cases; each gets DST/<case>.")],
    penumbra: Annotated[
        bool, typer.Option("--penumbra", help="Use core and penumbra together as the infarct, not the core alone.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Turn your own CPAISD download into cases; nothing is downloaded, and SRC is not changed.

    Each DST/<case> gets ct.nii.gz, infarct.nii.gz (the core) and seen.nii.gz; core.nii.gz and penumbra.nii.gz apart.

    Also written: cases.csv, split.csv (the archive's parts), import.csv (what was found), import.html (to look at).

    Existing cases are kept, so a stopped import can be continued.
    """
    terminal.check_writable(destination)
    from adn.datasets.cpaisd import importer as cpaisd

    with terminal.counter("studies", quiet) as progress:
        lines = cpaisd.import_cpaisd(source, destination, penumbra=penumbra, progress=progress)
    tell(lines, "studies", destination / cpaisd.REPORT, destination / cpaisd.PAGE, quiet)
