"""`adn data …` and `adn split`: a user's own scans and masks, made ready for training."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from adn.cli import terminal
from adn.cli.aisd import import_aisd
from adn.cli.options import Quiet
from adn.cli.teknofest import import_teknofest
from adn.cli.tissue import import_tissue
from adn.errors import InputError
from adn.results import DISCLAIMER
from adn.work.exits import overall_code
from adn.work.pool import Failure, map_processes

if TYPE_CHECKING:
    from adn.datasets.layouts import Case
    from adn.datasets.problems import Finding
    from adn.datasets.splits import Split

MANY = 4  # cases with the same remark that are still listed one by one
Jobs = Annotated[int | None, typer.Option(min=1, help="Cases at a time; default: one for each core.")]
Data = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of cases, CSV of paths, BIDS data set, or nnU-Net raw data set.")
]
Result = TypeVar("Result")
data = typer.Typer(
    help="Your own scans and masks: check them, prepare them, write them in other layouts.",
    epilog=DISCLAIMER,
    no_args_is_help=True,
)
data.command("import-aisd", epilog=DISCLAIMER)(import_aisd)
data.command("import-teknofest", epilog=DISCLAIMER)(import_teknofest)
data.command("import-tissue", epilog=DISCLAIMER)(import_tissue)


@data.command(epilog=DISCLAIMER)
def check(
    path: Data,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for check.csv and check.html.")] = None,
    split: Annotated[Path | None, typer.Option(help="CSV of 'adn split', to look for leaks.")] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """List every problem of a data set before any training, with its cause and remedy.

    Exit code 0: nothing blocks training; 4: something does (marked "blocks"). OUT/check.html shows every case.
    """
    from adn.datasets.compare import compare_cases
    from adn.datasets.layouts import find_cases
    from adn.datasets.page import inspect_and_draw
    from adn.datasets.splits import read_rows

    if out is not None:
        terminal.check_writable(out)
    cases, parts = find_cases(path), read_rows(split) if split else None
    done, codes = _each(cases, inspect_and_draw, jobs, "cases checked", quiet)
    inspections = sorted((inspection for inspection, _ in done), key=lambda one: one.case.name)
    findings = [*compare_cases(inspections, parts), *(finding for one in inspections for finding in one.findings)]
    findings.sort(key=lambda one: not one.blocks)
    if out is not None:
        from adn.datasets.page import write_page, write_table

        out.mkdir(parents=True, exist_ok=True)
        write_table(findings, out / "check.csv")
        pictures = {inspection.case.name: picture for inspection, picture in done}
        write_page(str(path), inspections, findings, pictures, out / "check.html")
    if not quiet:
        _show(findings, len(inspections), out)
    if any(codes):
        raise typer.Exit(overall_code(codes))
    if any(finding.blocks for finding in findings):
        raise typer.Exit(terminal.BLOCKED)


def _show(findings: list[Finding], count: int, out: Path | None) -> None:
    from adn.datasets.page import verdict

    console = Console(highlight=False)
    if findings:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
        for name in ("case", "problem", "cause", "remedy"):
            table.add_column(name, overflow="fold", min_width=8)
        for one in _gathered(findings):
            mark = f"[bold red]{one.kind}, blocks[/]" if one.blocks else f"[yellow]{one.kind}[/]"
            table.add_row(_plain(one.case), mark, _plain(one.cause), _plain(one.remedy))
        console.print(table)
    console.print(verdict(count, findings))
    if out is None:
        console.print("For a page with a picture of every case, and a CSV, add -o OUT.")
    else:
        console.print(f"{out / 'check.html'}", soft_wrap=True)
    console.print(DISCLAIMER)


def _gathered(findings: list[Finding]) -> list[Finding]:
    """Remarks that do not block and that many cases share become one line; the CSV has them all."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for one in findings:
        groups.setdefault((one.kind, one.remedy) if not one.blocks else (one.case, one.cause), []).append(one)
    return [
        one
        for group in groups.values()
        for one in (
            group if len(group) <= MANY else [replace(group[0], case=f"{group[0].case} and {len(group) - 1} more")]
        )
    ]


def _plain(text: str) -> str:
    """Nothing in a file's name is markup."""
    from rich.markup import escape

    return escape(text)


@data.command(epilog=DISCLAIMER)
def prepare(
    path: Data,
    recipe: Annotated[str, typer.Option(help="Recipe whose model grid the cases are carried to.")] = "fast",
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Read, strip and resample every case once, so that training starts at once.

    What is prepared lies in $XDG_CACHE_HOME/adn/prepared (by default below ~/.cache) and is found again by its content,
    so that a stopped run goes on, a changed file is prepared anew, and the folder may be deleted at any time.
    """
    from adn.datasets.layouts import find_cases
    from adn.feed.cache import ensure_prepared, prepared_folder
    from adn.io.atomic import sweep
    from adn.recipes import load_recipe

    grid, folder = load_recipe(recipe).grid, prepared_folder()
    found = find_cases(path)
    cases = [case for case in found if case.infarct is not None]
    if not cases:
        raise InputError(f"there are {len(found)} scans, but none has an infarct mask to train on.", path)
    terminal.check_writable(folder)
    sweep(folder)
    start = time.monotonic()
    work = partial(ensure_prepared, grid=grid, folder=folder)
    done, codes = _each(cases, work, jobs, "cases prepared", quiet, clean_up=lambda _: sweep(folder))
    made = sum(is_new for _, is_new in done)
    there = len(done) - made
    if not quiet:
        known = f" ({there} were there already)" if there else ""
        left = f" {len(found) - len(cases)} without infarct mask left out." if len(found) > len(cases) else ""
        done = f"{made + there} of {len(cases)} cases prepared{known}, {_rate(made, start)}, in {folder}."
        typer.echo(f"{done}{left}\n{DISCLAIMER}")
    raise typer.Exit(overall_code(codes))


def _rate(count: int, start: float) -> str:
    return f"{count / max(time.monotonic() - start, 1e-3) * 60:.0f} per minute"


@data.command("list", epilog=DISCLAIMER)
def list_cases(
    path: Data,
    split: Annotated[Path | None, typer.Option(help="CSV of 'adn split'.")] = None,
    part: Annotated[
        Literal["train", "validation", "test"] | None, typer.Option(help="Only these cases of the split.")
    ] = None,
    fold: Annotated[int | None, typer.Option(min=0, help="The fold of the split that validates.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A CSV of paths to write.")] = None,
) -> None:
    """Print the path of every CT, or of one part of a split; with -o, write a CSV of scans and masks instead.

    For predicting what was held out: adn predict $(adn data list DIR --split CSV --part test) -o OUT. The CSV can be
    given wherever a data set can, and to 'adn evaluate' as references.
    """
    from adn.datasets.layouts import find_cases, write_cases
    from adn.datasets.splits import read_split

    if (split is None) != (part is None):
        raise InputError("--split and --part go together: say which part of which split.")
    cases = find_cases(path)
    if split and part:
        split_parts = read_split(split)
        # the test part is the same for every fold
        names = getattr(split_parts.parts(fold or 0 if part == "test" and split_parts.folds else fold), part)
        cases = [case for case in cases if case.name in set(names)]
        if len(cases) < len(names) or not cases:
            raise InputError(f"its part '{part}' has {len(names)} cases, of which {path} holds {len(cases)}.", split)
    if out is None:
        for case in cases:
            typer.echo(case.ct)
        return
    terminal.check_writable(out.parent)
    write_cases(cases, out)
    typer.echo(f"{len(cases)} cases in {out}")


@data.command(epilog=DISCLAIMER)
def export(
    path: Data,
    to: Annotated[Literal["nnunet", "bids"], typer.Option("--to", help="The layout to write.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder; for nnU-Net call it Dataset<number>_<name>.")],
    split: Annotated[
        Path | None, typer.Option(help="CSV of 'adn split': test cases and folds for nnU-Net to use.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the cases as an nnU-Net raw data set, or as BIDS with masks in derivatives."""
    from adn.cli.terminal import progress_bar
    from adn.datasets.export import export_cases
    from adn.datasets.layouts import find_cases
    from adn.datasets.splits import read_split

    if split and to == "bids":
        raise InputError("--split is for nnU-Net: BIDS has no place for it; leave it out.")
    terminal.check_writable(out)
    cases, parts = find_cases(path), read_split(split) if split else None
    with progress_bar(quiet) as bar:
        row = bar.add_task("cases written", total=len(cases))
        count = export_cases(
            cases, to, out, parts, progress=lambda done, total: bar.update(row, completed=done, total=total)
        )
    if not quiet:
        typer.echo(f"{count} of {len(cases)} cases in {out}\n{DISCLAIMER}")


def split(
    path: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="The CSV to write.")],
    folds: Annotated[int, typer.Option(min=0, help="k-fold cross-validation; 0: one validation part.")] = 0,
    validation: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the patients (without folds).")] = 0.15,
    test: Annotated[
        float | None, typer.Option(min=0, max=0.9, help="Share of the patients kept for the end; 0.15, with folds 0.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same split.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier split.")] = False,
    quiet: Quiet = False,
) -> None:
    """Split a data set by patient, every infarct size in every part, into a CSV for training and benchmark.

    All scans of a patient stay together. Cases without infarct mask are left out; nnU-Net's imagesTs stay for testing.
    """
    from adn.cli.terminal import progress_bar
    from adn.datasets.labels import infarct_ml
    from adn.datasets.layouts import find_cases
    from adn.datasets.splits import Split, SplitRow, make_split, write_split

    terminal.check_writable(out.parent)
    if folds == 1 or (out.exists() and not overwrite):
        raise InputError(
            "--folds must be 2 or more, or 0 for one validation part."
            if folds == 1
            else f"{out} exists already; a new split would mix what was tested with what is trained. Add --overwrite."
        )
    cases = find_cases(path)
    measured = []
    with progress_bar(quiet) as bar:
        for case in bar.track(cases, description="masks measured"):
            if case.infarct is not None:
                measured.append((case.name, case.subject, infarct_ml(case.infarct)))
    kept = {case.name for case in cases if case.test}
    reserved = [SplitRow(name, subject, "test", None, ml) for name, subject, ml in measured if name in kept]
    if not measured:
        raise InputError("there are scans, but no infarct masks to split by.", path)
    share = (0.0 if folds or reserved else 0.15) if test is None else test
    made = make_split([row for row in measured if row[0] not in kept], seed, folds, validation, share)
    made = Split((*made.rows, *reserved))
    write_split(made, out)
    if not quiet:
        _describe(made, len(cases) - len(measured))
        typer.echo(f"{out}\n{DISCLAIMER}")


def _describe(made: Split, left_out: int) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("part", "cases", "patients", "without infarct", "median mL"):
        table.add_column(name, justify="left" if name == "part" else "right")
    for part in sorted({_part(row.part, row.fold) for row in made.rows}):
        rows = [row for row in made.rows if _part(row.part, row.fold) == part]
        volumes = [row.infarct_ml for row in rows if row.infarct_ml]
        median = f"{statistics.median(volumes):.1f}" if volumes else "–"
        patients = len({row.subject for row in rows})
        table.add_row(part, str(len(rows)), str(patients), str(len(rows) - len(volumes)), median)
    console = Console(highlight=False)
    console.print(table)
    if left_out:
        console.print(f"{left_out} cases without infarct mask left out.")


def _part(part: str, fold: int | None) -> str:
    return part if fold is None else f"fold {fold}"


def _each(
    cases: list[Case],
    work: Callable[[Case], Result],
    jobs: int | None,
    what: str,
    quiet: bool,
    clean_up: Callable[[Case], object] | None = None,
) -> tuple[list[Result], list[int]]:
    """Work on all cases over the cores; say what failed and how fast it goes. Returns results, and all exit codes."""
    from adn.cli.info import cores
    from adn.cli.terminal import progress_bar

    jobs = min(jobs or cores(), len(cases))
    start, done, codes = time.monotonic(), [], []
    with progress_bar(quiet) as bar:
        row = bar.add_task(what, total=len(cases))
        for case, found in map_processes(work, cases, jobs, max(1, cores() // jobs), clean_up=clean_up):
            codes.append(found.code if isinstance(found, Failure) else terminal.DONE)
            bar.update(row, advance=1, description=f"{what}, {_rate(len(codes), start)}")
            if isinstance(found, Failure):
                text = found.error if case.name in found.error else f"{case.name}: {found.error}"
                terminal.say_error(bar.console, text)
            else:
                done.append(found)
    return done, codes
