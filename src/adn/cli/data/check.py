"""`adn data check`: what is wrong with a data set, as a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from adn.cli import terminal
from adn.cli.options import Data, Jobs, Quiet
from adn.results import DISCLAIMER
from adn.work.exits import overall_code

if TYPE_CHECKING:
    from adn.datasets.check import Check
    from adn.datasets.problems import Finding

MANY = 4  # cases with the same remark that are still listed one by one


def check(
    path: Data,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for check.csv and check.html.")] = None,
    split: Annotated[Path | None, typer.Option(help="CSV from 'adn split', to look for leakage.")] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """List every problem of a data set before training, with its cause and remedy.

    Exit code 0: nothing prevents training; 4: something does (marked "blocks"). OUT/check.html shows every case.
    """
    from adn.datasets.check import check_data

    with terminal.counter("cases checked", quiet, rate=True) as progress:
        found = check_data(path, out, split, jobs, progress)
    for case, failure in found.failed:
        terminal.print_failure(case.name, failure)
    if not quiet:
        _show(found, out)
    if found.failed:
        raise typer.Exit(overall_code([*(one.code for _, one in found.failed), *(0 for _ in found.inspections)]))
    if found.blocks:
        raise typer.Exit(terminal.BLOCKED)


def _show(found: Check, out: Path | None) -> None:
    from adn.datasets.check import PAGE
    from adn.datasets.page import verdict

    console = Console(highlight=False)
    if found.findings:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
        for name in ("case", "problem", "cause", "remedy"):
            table.add_column(name, overflow="fold", min_width=8)
        for one in _gathered(found.findings):
            mark = f"[bold red]{one.kind}, blocks[/]" if one.blocks else f"[yellow]{one.kind}[/]"
            table.add_row(escape(one.case), mark, escape(one.cause), escape(one.remedy))  # names are no markup
        console.print(table)
    console.print(verdict(len(found.inspections), found.findings))
    if out is None:
        console.print("For a page with a picture of every case, and a CSV, add -o OUT.")
    else:
        console.print(f"{out / PAGE}", soft_wrap=True)
    console.print(DISCLAIMER)


def _gathered(findings: tuple[Finding, ...]) -> list[Finding]:
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
