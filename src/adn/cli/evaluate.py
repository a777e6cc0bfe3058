"""`adn evaluate`: score predictions against references, from folders or CSVs to tables and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from adn.cli import terminal
from adn.cli.options import Quiet
from adn.errors import InputError
from adn.results import DISCLAIMER

if TYPE_CHECKING:
    from adn.metrics.summary import Evaluation, Unmatched

SUMMARY = {
    "dice": "Dice",
    "hd95_mm": "HD95",
    "surface_dice_5mm": "surface Dice",
    "volume_difference_ml": "volume off by",
}
LISTED = 10


def evaluate(
    predictions: Annotated[
        list[str],
        typer.Argument(metavar="[NAME=]PRED...", help="Predictions: folder of cases or of masks, or a CSV of paths."),
    ],
    reference: Annotated[
        Path, typer.Argument(metavar="REF", help="Reference masks, in one of the same forms; matched by case name.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for the tables and report.html.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap; equal seeds give equal intervals.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier evaluation in OUT.")] = False,
    quiet: Quiet = False,
) -> None:
    """Score predicted infarcts against reference masks; write CSV, Markdown, LaTeX and an HTML page.

    With several PRED, each is compared with the first, case by case: adn evaluate adn=DIR other=DIR REF -o OUT.

    A CSV has the columns name and infarct, and optionally probability, brain, ignore, seen and subject; its paths
    are relative to its own folder.

    Cases without a prediction or a reference are listed; a missing prediction gives exit code 3.
    """
    terminal.check_writable(out)
    named = _named(predictions)
    from adn.evaluation import evaluate as run

    with terminal.counter("cases", quiet) as progress:
        evaluation = run(named, reference, out, seed=seed, overwrite=overwrite, progress=progress)
    if not quiet:
        _print_unmatched(evaluation.unmatched, terminal.stderr(), out)
        for method in evaluation.methods:
            typer.echo(_words(evaluation, method))
        typer.echo(f"{out / 'report.html'}\n{DISCLAIMER}")
    if any(case.problem == "no prediction" for case in evaluation.unmatched):
        raise typer.Exit(terminal.SOME_FAILED)


def _named(predictions: list[str]) -> dict[str, Path]:
    """Methods by name, from NAME=PATH or from a PATH that names itself."""
    from adn.evaluation import method_name

    named: dict[str, Path] = {}
    for text in predictions:
        name, sign, path = text.partition("=")
        if not sign or Path(text).exists():  # a folder's own name may contain an equals sign
            name, path = method_name(Path(text)), text
        if not name or not path:
            raise InputError("needed NAME=PRED, with a name before and a path after the equals sign.", text)
        if name in named:
            raise InputError(f"Two predictions are called '{name}': {named[name]} and {path}. Name them: NAME=PRED.")
        named[name] = Path(path)
    return named


def _print_unmatched(unmatched: tuple[Unmatched, ...], console: Console, out: Path) -> None:
    for method, case, problem in unmatched[:LISTED]:
        console.print(f"warning: {case}: {problem} ({method})", markup=False)
    if len(unmatched) > LISTED:
        console.print(f"warning: {len(unmatched) - LISTED} more; see {out / 'cases.csv'}", markup=False)


def _words(evaluation: Evaluation, method: str) -> str:
    """The main means of one method, with intervals, in one line."""
    from adn.report.tables import interval_text, value_text

    parts = []
    for metric, label in SUMMARY.items():
        summary = evaluation.summary(method, metric)
        if summary is None or summary.mean is None:
            continue
        unit = " mm" if metric.endswith("_mm") else " mL" if metric.endswith("_ml") else ""
        spread = f" {interval_text(summary.interval, metric)}" if summary.interval else ""
        missing = f" ({summary.missing} missing)" if summary.missing else ""
        parts.append(f"{label} {value_text(summary.mean, metric)}{unit}{spread}{missing}")
    count = len({case.case for case in evaluation.cases if case.method == method})
    return f"{method}, {count} case{'s' if count != 1 else ''}: {', '.join(parts)}"
