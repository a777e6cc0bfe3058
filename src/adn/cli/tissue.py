"""`adn tissue`: maps of GM, WM and CSF, made by the built-in network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adn.cli import terminal
from adn.cli.options import Device, Overwrite, Quiet, Results, Scans
from adn.results import DISCLAIMER
from adn.work.exits import overall_code
from adn.work.pool import Failure

if TYPE_CHECKING:
    from adn.prediction.tissue import TissueTask, TissueVolumes


def tissue(
    scans: Scans,
    out: Results,
    jobs: Annotated[int, typer.Option(min=1, help="How many scans to process at once, each in its own process.")] = 1,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Label grey matter, white matter and CSF on head CTs with skull.

    Each OUT/<case> holds tissue.nii.gz (1 GM, 2 WM, 3 CSF) and brain.nii.gz on the scan's own grid.
    """
    from adn.prediction.tissue import Labeller, label_scans

    with terminal.progress_bar(quiet) as bar:
        row = bar.add_task("scans", total=len(scans))

        def tell(task: TissueTask, found: TissueVolumes | Failure) -> None:
            bar.advance(row)
            case = task.folder.name
            if isinstance(found, Failure):
                terminal.print_error(bar.console, f"{case}: {found.error}")
            elif not quiet:
                for warning in found.warnings:
                    bar.console.print(f"{case}: warning: {warning}", markup=False)
                typer.echo(f"{case}: {', '.join(f'{name} {value:.0f} mL' for name, value in found.ml.items())}")

        volumes = label_scans(scans, out, Labeller(device, overwrite), jobs, tell)
    if not quiet:
        typer.echo(DISCLAIMER)
    raise typer.Exit(overall_code(one.code if isinstance(one, Failure) else terminal.DONE for one in volumes))
