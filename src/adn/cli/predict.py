"""`adn predict`: what it says of each scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from adn.answers import Asked
from adn.cli import terminal
from adn.cli.options import Device, KeepOld, Lang, Overwrite, Quiet, Results, Scans, VolumeLimit, Weights
from adn.results import DISCLAIMER
from adn.work.exits import overall_code

if TYPE_CHECKING:
    from adn.prediction.batch import Outcome


def predict(
    scans: Scans,
    out: Results,
    jobs: Annotated[
        int, typer.Option(min=1, help="Scans at a time, each in its own process with its share of cores.")
    ] = 1,
    series: Annotated[
        str | None,
        typer.Option(help="DICOM series to take (UID or number); default: the axial head CT with most slices."),
    ] = None,
    weights: Weights = None,
    device: Device = "auto",
    dicom_seg: Annotated[
        bool,
        typer.Option("--dicom-seg", help="For DICOM scans: also write a DICOM SEG and SR that join the scan's study."),
    ] = False,
    lang: Lang = "en",
    volume_limit_ml: VolumeLimit = Asked.volume_limit_ml,
    keep_old: KeepOld = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Mark infarcts in head CT scans; write masks, asymmetry maps and a report for each.

    All images in OUT/<case> lie on the scan's own grid.

    Several scans also give OUT/results.csv; one that fails is reported and the rest go on.
    """
    from adn.prediction.batch import RESULTS_TABLE, Networks, Request, Wishes, predict_scans

    several = len(scans) > 1
    with terminal.progress_bar(quiet) as bar:
        row = bar.add_task("scans" if several else scans[0].name, total=len(scans))

        def tell(outcome: Outcome) -> None:
            bar.advance(row)
            _say(outcome, bar.console, several, quiet)

        request = Request(out, series, overwrite, dicom_seg, wishes=Wishes(lang, Asked(volume_limit_ml, keep_old)))
        outcomes = predict_scans(scans, request, Networks(weights, device), jobs, tell)
    if several and not quiet:
        done = sum(outcome.code == terminal.DONE for outcome in outcomes)
        typer.echo(f"{done} of {len(scans)} scans done; {out / RESULTS_TABLE}\n{DISCLAIMER}")
    elif outcomes[0].report and not quiet:
        typer.echo(f"{_finding(outcomes[0])}\n{outcomes[0].report}\n{DISCLAIMER}")
    raise typer.Exit(overall_code(outcome.code for outcome in outcomes))


def _say(outcome: Outcome, console: Console, several: bool, quiet: bool) -> None:
    name = f"{outcome.task.case}: " if several else ""
    if outcome.code:
        terminal.say_error(console, f"{name}{outcome.error}")
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
