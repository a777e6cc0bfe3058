"""`adn data import-tissue`: maps of GM, WM and CSF that other tools made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adn.cli import terminal
from adn.cli.options import Quiet
from adn.errors import InputError
from adn.results import DISCLAIMER


def import_tissue(
    cases: Annotated[list[Path], typer.Argument(metavar="CASE", help="Case folders with ct.nii.gz and its maps.")],
    source: Annotated[
        str | None,
        typer.Option("--from", help="Name of the label image in each folder; default: SPM12's c1*, c2* and c3*."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="What its labels mean: 'freesurfer', or a list such as '1=GM,2=WM,3=CSF'.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier maps of the same case.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write CASE/tissue.nii.gz from tissue maps that SPM12, FreeSurfer or another tool made from the CT.

    Training uses it; in cases without it, the built-in network labels the tissue.
    """
    from adn.datasets.tissue_import import import_tissue as bring
    from adn.datasets.tissue_import import parse_labels

    if (source is None) != (labels is None):
        raise InputError("A label image needs both: its name with --from, and what its labels mean with --labels.")
    mapping = parse_labels(labels) if labels else None
    failed = 0
    for case in cases:
        try:
            path = bring(case, source, mapping, overwrite)
        except InputError as error:
            if len(cases) == 1:
                raise
            failed += 1
            terminal.print_error(terminal.stderr(), str(error))
            continue
        if not quiet:
            typer.echo(str(path))
    if not quiet:
        typer.echo(DISCLAIMER)
    if failed:
        raise typer.Exit(terminal.BAD_INPUT if failed == len(cases) else terminal.SOME_FAILED)
