"""The commands, and `main`, which turns whatever happens into an exit code."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from adn.cli import terminal
from adn.cli.benchmark import benchmark
from adn.cli.data import data, split
from adn.cli.evaluate import evaluate
from adn.cli.options import Anatomy, Device, Lesions, Quiet
from adn.cli.serve import serve, view
from adn.cli.synth import Format, Preset
from adn.cli.synth import run as run_synth
from adn.cli.tissue import tissue
from adn.cli.train import train
from adn.errors import InputError
from adn.prediction.batch import Networks, Outcome, Request, Task, predict_all
from adn.results import DISCLAIMER
from adn.work.exits import overall_code

EXIT_CODES = (
    "Exit codes: 0 done; 1 our fault; 2 usage or bad input; 3 some of several scans failed; "
    "4 a data set has problems that block training; 130 interrupted."
)

app = typer.Typer(
    name="adn",
    help="Acute ischemic infarcts in non-contrast head CT, with the asymmetry maps that explain them.",
    epilog=f"{EXIT_CODES}\n\n{DISCLAIMER}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from adn import __version__

        typer.echo(f"adn {__version__}")
        raise typer.Exit


@app.callback()
def _every_command(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="On an error, show the traceback (also: ADN_DEBUG=1).")
    ] = False,
) -> None:
    if debug:
        os.environ["ADN_DEBUG"] = "1"
    terminal.set_up_logging()


@app.command(epilog=DISCLAIMER)
def predict(
    scans: Annotated[
        list[Path],
        typer.Argument(metavar="SCAN", help="Head CT: .nii .nii.gz .nrrd .mha, a DICOM file, folder or .zip."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Results folder; each scan gets OUT/<case>.")],
    jobs: Annotated[
        int, typer.Option(min=1, help="Scans at a time, each in its own process with its share of cores.")
    ] = 1,
    series: Annotated[
        str | None,
        typer.Option(help="DICOM series to take (UID or number); default: the axial head CT with most slices."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Shipped weights by name (see 'adn info'), a .safetensors file, or a .toml that joins several."
        ),
    ] = None,
    device: Device = "auto",
    dicom_seg: Annotated[
        bool,
        typer.Option("--dicom-seg", help="For DICOM scans: also write a DICOM SEG and SR that join the scan's study."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results of the same case.")] = False,
    quiet: Quiet = False,
) -> None:
    """Mark infarcts in head CT scans; write masks, asymmetry maps and a report for each.

    All images in OUT/<case> lie on the scan's own grid.

    Several scans also give OUT/results.csv; one that fails is reported and the rest go on.
    """
    from adn.cli.info import cores
    from adn.io import case_names
    from adn.io.atomic import sweep
    from adn.io.weights import find_weights

    table = out / "results.csv"
    terminal.check_writable(out)
    sweep(out)
    found = find_weights(weights)  # one sentence now rather than one per scan
    if dicom_seg:
        from adn.report import check_dicom_seg

        check_dicom_seg(scans)
    if len(scans) > 1 and table.exists() and not overwrite:
        raise InputError(f"{table} exists already. Choose another output folder with -o, or add --overwrite.")
    tasks = [Task(scan, case) for scan, case in zip(scans, case_names(scans), strict=True)]
    request, networks = Request(out, series, overwrite, dicom_seg), Networks(found, device)
    jobs = min(jobs, len(tasks))
    outcomes = _draw(tasks, predict_all(tasks, request, networks, jobs, max(1, cores() // jobs)), quiet)
    if len(tasks) > 1:
        _write_table(outcomes, tasks, table, quiet)
    raise typer.Exit(overall_code(outcome.code for outcome in outcomes))


@app.command(epilog=DISCLAIMER)
def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the patients; each gets OUT/<case>.")],
    n: Annotated[int | None, typer.Option("-n", min=1, help="How many virtual patients; default: 1.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed makes the same patients; default: 0.")] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(help="A fixed set in place of -n and --seed; vp52 and vp52-val need --anatomy and --lesions."),
    ] = None,
    anatomy: Anatomy = None,
    lesions: Lesions = None,
    format: Annotated[Format, typer.Option(help="The CT as ct.nii.gz, or as a series in dicom/.")] = "nifti",
    quiet: Quiet = False,
) -> None:
    """Make virtual patients: a head CT with its infarct, tissues and brain known exactly.

    Each OUT/<case> holds the CT, infarct.nii.gz, tissue.nii.gz (1 GM, 2 WM, 3 CSF), brain.nii.gz and plan.json.

    Patients already there are kept, so that a stopped run can go on. OUT/contact_sheet.png shows the first of them.
    """
    with terminal.progress_bar(quiet) as bar:
        count = run_synth(out, n, seed, preset, anatomy, lesions, format, bar)
    if not quiet:
        typer.echo(f"{count} virtual patient{'s' if count > 1 else ''} in {out}")


app.command(epilog=DISCLAIMER)(train)
app.command(epilog=DISCLAIMER)(evaluate)
app.command(epilog=DISCLAIMER)(benchmark)
app.command(epilog=DISCLAIMER)(split)
app.command(epilog=DISCLAIMER)(tissue)
app.command(epilog=DISCLAIMER)(serve)
app.command(epilog=DISCLAIMER)(view)
app.add_typer(data, name="data")


@app.command(epilog=DISCLAIMER)
def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs and bug reports.")] = False,
) -> None:
    """Show versions, weights, recipes and devices."""
    from adn.cli.info import gather

    facts = gather()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), _words(value))
    console = Console(highlight=False)
    console.print(table)
    console.print(DISCLAIMER)


def main() -> int:
    """Run the command line and return its exit code."""
    terminal.unwind_on_signals()
    terminal.spell_out_unknown_letters()
    console = terminal.stderr()
    try:
        app(prog_name="adn")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except KeyboardInterrupt:
        code = terminal.INTERRUPTED
    except Exception as error:
        if terminal.debugging():
            traceback.print_exc()
        code, sentence = terminal.explain(error)
        terminal.say_error(console, sentence)
    else:
        code = terminal.DONE
    if code == terminal.INTERRUPTED:
        terminal.say_error(console, "Interrupted. What was finished is whole; nothing half-written was kept.")
    return code


def _draw(tasks: list[Task], coming: Any, quiet: bool) -> list[Outcome]:
    """Collect outcomes as they come, saying each on the way."""
    outcomes = []
    with terminal.progress_bar(quiet) as bar:
        row = bar.add_task(tasks[0].case if len(tasks) == 1 else "scans", total=len(tasks))
        for outcome in coming:
            outcomes.append(outcome)
            bar.advance(row)
            _say(outcome, bar.console, several=len(tasks) > 1, quiet=quiet)
    if len(tasks) == 1 and outcomes[0].report and not quiet:
        typer.echo(f"{_finding(outcomes[0])}\n{outcomes[0].report}\n{DISCLAIMER}")
    return outcomes


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
    if side == "none":
        return "No infarct found (0 mL)."
    where = "both sides" if side == "both" else f"{side} side"
    volume_ml = outcome.row["volume_ml"]
    size = f"{volume_ml:.1f}" if volume_ml >= 0.1 else "less than 0.1"
    return f"Infarct of {size} mL, {where}."


def _write_table(outcomes: list[Outcome], tasks: list[Task], table: Path, quiet: bool) -> None:
    from adn.report import write_results_csv

    table.parent.mkdir(parents=True, exist_ok=True)
    rows = {outcome.task: outcome.row for outcome in outcomes}
    write_results_csv([rows[task] for task in tasks], table)
    if not quiet:
        done = sum(outcome.code == terminal.DONE for outcome in outcomes)
        typer.echo(f"{done} of {len(tasks)} scans done; {table}\n{DISCLAIMER}")


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items() if item != [])
    if isinstance(value, list):
        return "\n".join(_words(item) for item in value) or "none"
    return str(value)
