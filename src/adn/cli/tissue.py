"""`adn tissue` and `adn data import-tissue`: maps of GM, WM and CSF, made here or elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from adn.cli import terminal
from adn.errors import InputError
from adn.prediction.batch import Outcome, Request, Task, overall_code, process_all
from adn.results import DISCLAIMER

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
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

    terminal.check_writable(out)
    tasks = [Task(scan, case) for scan, case in zip(scans, case_names(scans), strict=True)]
    jobs, outcomes = min(jobs, len(tasks)), []
    request = Request(out, device=device, overwrite=overwrite)
    with progress_bar(quiet) as bar:
        row = bar.add_task("scans", total=len(tasks))
        for outcome in process_all(tasks, request, jobs, max(1, cores() // jobs), label_one):
            outcomes.append(outcome)
            bar.advance(row)
            if outcome.code:
                terminal.say_error(bar.console, f"{outcome.task.case}: {outcome.error}")
            elif not quiet:
                for warning in outcome.warnings:
                    bar.console.print(f"{outcome.task.case}: warning: {warning}", markup=False)
                ml = ", ".join(f"{name} {value:.0f} mL" for name, value in outcome.row.items() if name != "case")
                typer.echo(f"{outcome.task.case}: {ml}")
    if not quiet:
        typer.echo(DISCLAIMER)
    raise typer.Exit(overall_code(outcomes))


def label_one(task: Task, request: Request, models: dict[str, Any]) -> Outcome:
    """Read, label and save one scan. Raises as its parts do, InputError where the result is not plausible."""
    folder = request.out / task.case
    if folder.exists() and not request.overwrite:
        raise InputError(f"{folder} exists already. Choose another output folder with -o, or add --overwrite.")
    from adn.io import open_scan, write_volume
    from adn.io.atomic import atomic_folder, check_folder_free

    earlier: dict[str, Any] = {"marker": "tissue.nii.gz", "only": ("tissue.nii.gz", "brain.nii.gz")}
    check_folder_free(folder, **earlier, overwrite=request.overwrite)
    scan = open_scan(task.scan)
    from adn.brain import load_tissue, segment_tissue

    if "tissue" not in models:
        models["tissue"] = load_tissue(device=request.device)
    found = segment_tissue(scan.volume, models["tissue"])
    if found.doubt:
        raise InputError(
            f"{task.scan}: needs an axial head CT with skull; what the tissue network took for the brain {found.doubt}."
        )
    with atomic_folder(folder, **earlier, overwrite=request.overwrite) as partial:
        write_volume(found.tissue, partial / "tissue.nii.gz")
        write_volume(found.brain, partial / "brain.nii.gz")
    voxel_ml = found.tissue.grid.voxel_ml
    row: dict[str, Any] = {"case": task.case}
    row |= {name: float((found.tissue.data == k).sum()) * voxel_ml for k, name in ((1, "GM"), (2, "WM"), (3, "CSF"))}
    return Outcome(task, terminal.DONE, row=row, warnings=scan.warnings)


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
