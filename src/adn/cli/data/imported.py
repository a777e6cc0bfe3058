"""How the imports of public data sets end: what was left out, what to look at, and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from adn.cli import terminal
from adn.results import DISCLAIMER

_SHOWN = 10


def tell(lines: Sequence[Any], what: str, report: Path, page: Path, quiet: bool) -> None:
    """Report the outcome of an import, and exit with its code if something was left out.

    lines: of a report, each with case, patient, outcome and problems. what: the word for them, such as 'series'. What
    was left out is always printed, the rest unless told to be quiet.
    """
    left_out = [line for line in lines if line.outcome == "left out"]
    console = terminal.stderr()
    for line in left_out:
        terminal.print_error(console, f"{line.case}: {' '.join(line.problems)} It was left out.")
    if not quiet:
        troubled = [line for line in lines if line.problems and line.outcome != "left out"]
        for line in troubled[:_SHOWN]:
            console.print(f"{line.case}: warning: {' '.join(line.problems)}", markup=False)
        if len(troubled) > _SHOWN:
            console.print(f"{len(troubled) - _SHOWN} more: see {report}", markup=False)
        patients = len({line.patient for line in lines if line.patient})
        typer.echo(
            f"{len(lines) - len(left_out)} of {len(lines)} {what} imported, of {patients} patients, "
            f"{len(left_out)} left out; {page}\n{DISCLAIMER}"
        )
    if left_out:
        raise typer.Exit(terminal.SOME_FAILED if len(left_out) < len(lines) else terminal.BAD_INPUT)
