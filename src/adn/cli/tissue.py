"""`adn tissue` and `adn data import-tissue`: maps of GM, WM and CSF, made here or elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from adn.cli import terminal
from adn.cli.options import Quiet
from adn.errors import InputError
from adn.results import DISCLAIMER
from adn.work.exits import overall_code
from adn.work.pool import Failure, map_processes

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier maps of the same case.")]


def tissue(
    scans: Annotated[
        list[Path],
        typer.Argument(metavar="SCAN", help="Head CT: .nii .nii.gz .nrrd .mha, a DICOM file, folder or .zip."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Results folder; each scan gets OUT/<case>.")],
    jobs: Annotated[int, typer.Option(min=1, help="Scans at a time, each in its own process.")] = 1,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network runs.")] = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Label grey matter, white matter and CSF on head CTs with skull.

    Each OUT/<case> holds tissue.nii.gz (1 GM, 2 WM, 3 CSF) and brain.nii.gz on the scan's own grid.
    """
    from adn.cli.info import cores
    from adn.cli.terminal import progress_bar
    from adn.io import case_names
    from adn.io.atomic import sweep
    from adn.prediction.tissue import Labeller, TissueTask

    def clean_up(task: TissueTask) -> None:
        sweep(task.folder.parent, task.folder.name)

    terminal.check_writable(out)
    tasks = [TissueTask(scan, out / case) for scan, case in zip(scans, case_names(scans), strict=True)]
    jobs, codes = min(jobs, len(tasks)), []
    done = map_processes(Labeller(device, overwrite), tasks, jobs, max(1, cores() // jobs), clean_up=clean_up)
    with progress_bar(quiet) as bar:
        row = bar.add_task("scans", total=len(tasks))
        for task, found in done:
            bar.advance(row)
            case = task.folder.name
            codes.append(found.code if isinstance(found, Failure) else terminal.DONE)
            if isinstance(found, Failure):
                terminal.say_error(bar.console, f"{case}: {found.error}")
            elif not quiet:
                for warning in found.warnings:
                    bar.console.print(f"{case}: warning: {warning}", markup=False)
                ml = ", ".join(f"{name} {value:.0f} mL" for name, value in found.ml.items())
                typer.echo(f"{case}: {ml}")
    if not quiet:
        typer.echo(DISCLAIMER)
    raise typer.Exit(overall_code(codes))


def import_tissue(
    cases: Annotated[list[Path], typer.Argument(metavar="CASE", help="Case folders with ct.nii.gz and its maps.")],
    source: Annotated[
        str | None,
        typer.Option("--from", help="Name of the label image in each folder; default: SPM12's c1*, c2* and c3*."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="What its labels mean: 'freesurfer', or like '1=GM,2=WM,3=CSF'.")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write CASE/tissue.nii.gz from tissue maps that SPM12, FreeSurfer or another tool made of the CT.

    Training takes it from there; without it the built-in network labels the tissue.
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
            terminal.say_error(terminal.stderr(), str(error))
            continue
        if not quiet:
            typer.echo(str(path))
    if not quiet:
        typer.echo(DISCLAIMER)
    if failed:
        raise typer.Exit(terminal.BAD_INPUT if failed == len(cases) else terminal.SOME_FAILED)
