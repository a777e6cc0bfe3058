"""`adn predict`: the command, and what it prints about each scan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from adn.answers import AnswerOptions
from adn.cli import terminal
from adn.cli.options import Device, KeepOld, Lang, Overwrite, Quiet, Results, VolumeLimit, Weights
from adn.results import DISCLAIMER
from adn.work.exits import overall_code

if TYPE_CHECKING:
    from adn.prediction.batch import Networks, Outcome, Request


def predict(
    scans: Annotated[
        list[str],
        typer.Argument(
            metavar="SCAN",
            help="Head CT: .nii .nii.gz .nrrd .mha, a DICOM file, folder or .zip. For an archive: a CSV with a "
            "column 'path', a BIDS data set, s3://BUCKET/FOLDER or, with --jobs or --scheduler, any folder.",
        ),
    ],
    out: Results,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many scans to process at once, each in its own process with its share of the cores."
        ),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(
            help="DICOM series to use: its UID, number, part of its description, or '#2' in the list that adn prints; "
            "default: the axial head CT with the most slices."
        ),
    ] = None,
    weights: Weights = None,
    device: Device = "auto",
    dicom_seg: Annotated[
        bool,
        typer.Option("--dicom-seg", help="For DICOM scans: also write a DICOM SEG and SR that join the scan's study."),
    ] = False,
    lang: Lang = "en",
    volume_limit_ml: VolumeLimit = AnswerOptions.volume_limit_ml,
    keep_old: KeepOld = False,
    overwrite: Overwrite = False,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Use the workers of this dask scheduler (address, or its .json file)."),
    ] = None,
    layout: Annotated[
        Literal["cases", "bids"], typer.Option(help="For archives: one folder per case, or BIDS derivatives.")
    ] = "cases",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="For archives: also retry scans that failed before.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Mark infarcts in head CT scans; write masks, asymmetry maps and a report for each.

    All images in OUT/<case> lie on the scan's own grid.

    Several scans also get a table, OUT/results.csv. If one fails, that is reported, and the others continue.

    An archive gets OUT/results.parquet; run the same command again to continue where it stopped.
    """
    from adn.prediction.batch import Networks, Request, UserOptions

    request = Request(
        out, series, overwrite, dicom_seg, user_options=UserOptions(lang, AnswerOptions(volume_limit_ml, keep_old))
    )
    networks = Networks(weights, device)
    if scheduler or _many(scans, jobs):
        from adn.cli.archive import predict_archive

        code = predict_archive(scans, request, networks, (jobs, scheduler, layout, retry_failed), quiet)
    else:
        code = _predict([Path(scan) for scan in scans], request, networks, jobs or 1, quiet)
    raise typer.Exit(code)


def _many(scans: list[str], jobs: int | None) -> bool:
    """Whether an archive is meant: something that can be nothing else, or a folder together with several processes."""
    from adn.archives.places import is_archive

    if len(scans) > 1:
        return False
    return is_archive(scans[0]) or (jobs is not None and Path(scans[0]).is_dir())


def _predict(scans: list[Path], request: Request, networks: Networks, jobs: int, quiet: bool) -> int:
    """Predict the named scans, in this process or in several; returns the exit code."""
    from adn.prediction.batch import RESULTS_TABLE, predict_scans

    several = len(scans) > 1
    with terminal.progress_bar(quiet) as bar:
        row = bar.add_task("scans" if several else scans[0].name, total=len(scans))

        def tell(outcome: Outcome) -> None:
            bar.advance(row)
            _say(outcome, bar.console, several, quiet)

        outcomes = predict_scans(scans, request, networks, jobs, tell)
    if several and not quiet:
        done = sum(outcome.code == terminal.DONE for outcome in outcomes)
        typer.echo(f"{done} of {len(scans)} scans done; {request.out / RESULTS_TABLE}\n{DISCLAIMER}")
    elif outcomes[0].report and not quiet:
        typer.echo(f"{_finding(outcomes[0])}\n{outcomes[0].report}\n{DISCLAIMER}")
    return overall_code(outcome.code for outcome in outcomes)


def _say(outcome: Outcome, console: Console, several: bool, quiet: bool) -> None:
    name = f"{outcome.task.case}: " if several else ""
    if outcome.code:
        terminal.print_error(console, f"{name}{outcome.error}")
    elif not quiet:
        for warning in outcome.warnings:
            console.print(f"{name}warning: {warning}", markup=False)
        if several:
            console.print(f"{name}{_finding(outcome)}", markup=False)


def _finding(outcome: Outcome) -> str:
    side = outcome.row["side"]
    if outcome.because:
        marked = "" if side == "none" else f"; do not rely on the {outcome.row['volume_ml']:.1f} mL marked"
        return f"Not assessable, because {outcome.because}{marked}."
    if side == "none":
        return f"No infarct found{' in the part of the head that was scanned' if outcome.part else ''} (0 mL)."
    where = "both sides" if side == "both" else f"{side} side"
    volume_ml = outcome.row["volume_ml"]
    size = f"{volume_ml:.1f}" if volume_ml >= 0.1 else "less than 0.1"
    return f"Infarct of {size} mL, {where}."
