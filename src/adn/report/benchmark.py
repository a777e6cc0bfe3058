"""The benchmark's table: every method with intervals, p-values and its budget, beside the paper's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adn.metrics.strata import ALL
from adn.metrics.summary import Evaluation
from adn.report.tables import DASH, interval_text, p_text, value_text
from adn.results import DISCLAIMER

GRID = "paper"  # voxels of 1.2 × 1.2 × 5 mm, as the paper scores


@dataclass(frozen=True)
class BenchmarkRow:
    """One method as trained. name: in the evaluation. validation: Dice after each epoch, first to last.

    trained: its validation Dice had levelled off, so that it gets a rank. samples: scans that it was shown.
    parameters: of the segmenting networks, without T. paper_dice, paper_hd95_mm: on AISD (Ni et al. 2022, Table 1), if
    reported.
    """

    name: str
    title: str
    aligned: bool
    trained: bool
    validation: tuple[float, ...]
    samples: int
    hours: float
    parameters: int
    paper_dice: float | None = None
    paper_hd95_mm: float | None = None


def benchmark_markdown(rows: Sequence[BenchmarkRow], evaluation: Evaluation, recipe: str, data: str) -> str:
    """The table, with the notes needed to read it. evaluation: p-values compare with its first method."""
    versus = evaluation.methods[0]
    ranks = _ranks(rows, evaluation)
    header = (
        "Rank", "Method", "Aligned", "Dice ↑", "HD95, mm ↓", f"Dice − {versus}", "p, Holm", "Validation Dice",
        "Samples", "Hours", "Parameters, M", "AISD, paper: Dice", "HD95, mm",
    )  # fmt: skip
    lines = ["| " + " | ".join(header) + " |", "|---|---|---|" + "---:|" * (len(header) - 3)]
    lines += ["| " + " | ".join(_cells(row, evaluation, ranks)) + " |" for row in rows]
    count = len({case.case for case in evaluation.cases})
    notes = [
        f"Recipe `{recipe}`; test cases: {count} of {data}, scored on voxels of 1.2 × 1.2 × 5 mm. Mean and 95 % "
        f"bootstrap interval; p: Wilcoxon's signed ranks of Dice against {versus}, two-sided, Holm's correction over "
        "the rows. "
        "HD95: missing where one mask is empty, and then left out of its mean.",
        "*under-trained*: the validation Dice still moved at the last 3 evaluations, so the row has no rank. "
        "Hours: of training this row on the machine that ran it, without T, which aligned rows share.",
        "The paper's numbers are on AISD's 52 test scans and compare with nothing else in the table unless the data "
        "are AISD.",
    ]
    return "\n\n".join(["# Benchmark", f"**{DISCLAIMER}**", "\n".join(lines), *notes]) + "\n"


def _ranks(rows: Sequence[BenchmarkRow], evaluation: Evaluation) -> dict[str, int]:
    """Ranks by mean Dice, among the rows that are fully trained."""
    scored = {row.name: evaluation.summary(row.name, "dice", ALL, GRID) for row in rows if row.trained}
    means = {name: summary.mean for name, summary in scored.items() if summary and summary.mean is not None}
    return {name: place for place, name in enumerate(sorted(means, key=lambda n: -means[n]), start=1)}


def _cells(row: BenchmarkRow, evaluation: Evaluation, ranks: dict[str, int]) -> tuple[str, ...]:
    compared = next(
        (c for c in evaluation.comparisons if (c.method, c.grid, c.stratum, c.metric) == (row.name, GRID, ALL, "dice")),
        None,
    )
    difference = p = DASH
    if compared:
        interval = interval_text(compared.interval, "dice", signed=True)
        difference = f"{value_text(compared.mean_difference, 'dice', signed=True)} {interval}"
        p = p_text(compared.p_holm)
    return (
        str(ranks.get(row.name, DASH)) if row.trained else "under-trained",
        row.title,
        "yes" if row.aligned else "no",
        _mean(row.name, "dice", evaluation),
        _mean(row.name, "hd95_mm", evaluation),
        difference,
        p,
        ", ".join(f"{value:.3f}" for value in row.validation[-3:]) or DASH,
        str(row.samples),
        f"{row.hours:.2g}",
        f"{row.parameters / 1e6:.2f}",
        DASH if row.paper_dice is None else f"{row.paper_dice:.4f}",
        DASH if row.paper_hd95_mm is None else f"{row.paper_hd95_mm:.2f}",
    )


def _mean(method: str, metric: str, evaluation: Evaluation) -> str:
    summary = evaluation.summary(method, metric, ALL, GRID)
    if summary is None:
        return DASH
    text = f"{value_text(summary.mean, metric)} {interval_text(summary.interval, metric)}"
    return f"{text} ({summary.missing} missing)" if summary.missing else text
