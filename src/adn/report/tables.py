"""An evaluation as tables of text, and those as Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from adn.metrics.statistics import Interval
from adn.metrics.strata import ALL, STRATA
from adn.metrics.summary import GRIDS, METRICS, Comparison, Evaluation, Summary
from adn.results import DISCLAIMER

DASH = "–"
LABELS = {
    "dice": "Dice ↑",
    "hd95_mm": "HD95, mm ↓",
    "hd95_or_diagonal_mm": "HD95, missing = diagonal, mm ↓",
    "surface_dice_5mm": "Surface Dice, 5 mm ↑",
    "volume_difference_ml": "Volume difference, mL ↓",
    "volume_bias_ml": "Volume bias, mL",
    "precision": "Precision ↑",
    "recall": "Recall ↑",
    "lesion_f1": "Lesion F1 ↑",
    "lesion_precision": "Lesion precision ↑",
    "lesion_recall": "Lesion recall ↑",
}
HEADLINE = ("dice", "hd95_mm", "hd95_or_diagonal_mm", "surface_dice_5mm", "volume_difference_ml", "lesion_f1")
BY_STRATUM = ("dice", "hd95_mm", "surface_dice_5mm", "volume_difference_ml", "lesion_f1")
GRID_NAMES = {
    "own": "the scan's own grid",
    "paper": "the paper's voxels (1.2 × 1.2 × 5 mm)",
    "own+ignore": "the scan's own grid; what the reference ignores counted as infarct",
    "paper+ignore": "the paper's voxels; what the reference ignores counted as infarct",
}
DEFINITIONS = (
    "HD95: between boundary voxels (6 neighbours), centre to centre; the larger of the two directed 95 % quantiles. "
    "Both masks empty: Dice 1, HD95 0, surface Dice 1. One empty: Dice 0, surface Dice 0, HD95 missing; a second "
    "column uses the grid's diagonal instead. Lesions: parts connected by faces, edges or corners; found if they share "
    "a voxel with the other mask. Strata: by the reference's volume on the scan's own grid."
)
_LATEX = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "<": r"$<$",
    ">": r"$>$",
    "−": r"$-$",
    "×": r"$\times$",
    "–": "--",
    "Δ": r"$\Delta$",
}


class Table(NamedTuple):
    """A table as text. name: for anchors and labels. left: how many leading columns hold words, not numbers."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""
    left: int = 1


def tables(evaluation: Evaluation) -> list[Table]:
    """Every table of the report that has rows: headline on both grids, strata, differences, all metrics, unmatched."""
    made = [
        *(_headline(evaluation, grid) for grid in GRIDS),
        _strata(evaluation),
        _differences(evaluation),
        _everything(evaluation),
        _unmatched(evaluation),
    ]
    return [table for table in made if table.rows]


def to_markdown(evaluation: Evaluation) -> str:
    """All tables as Markdown."""
    parts = ["# Evaluation", f"**{DISCLAIMER}**", " ".join(remarks(evaluation))]
    for table in tables(evaluation):
        parts.append(f"## {table.title}")
        if table.note:
            parts.append(table.note)
        parts.append("\n".join(_markdown_rows(table)))
    return "\n\n".join([*parts, DEFINITIONS]) + "\n"


def to_latex(evaluation: Evaluation) -> str:
    """All tables except the list of all metrics as LaTeX, for `\\input`; needs the package booktabs."""
    parts = [f"% {DISCLAIMER}", r"% Needs \usepackage{booktabs}.", *(f"% {line}" for line in remarks(evaluation))]
    for table in tables(evaluation):
        if table.name not in ("everything", "unmatched"):
            parts.append("\n".join(_latex_lines(table)))
    return "\n\n".join(parts) + "\n"


def remarks(evaluation: Evaluation) -> list[str]:
    """What a reader must know about the numbers, in sentences."""
    scored = {method: {c.case for c in evaluation.cases if c.method == method} for method in evaluation.methods}
    lines = [f"Cases scored: {', '.join(f'{method} {len(cases)}' for method, cases in scored.items())}."]
    if evaluation.unmatched:
        lines.append(f"{len(evaluation.unmatched)} not scored, for lack of a prediction or a reference: see the list.")
    if any(cases != scored[evaluation.methods[0]] for cases in scored.values()):
        lines.append("The methods were scored on different cases: compare their differences, not their means.")
    lines.append(f"In brackets: 95 % bootstrap interval of the mean, 10,000 resamples (seed {evaluation.seed}).")
    if clustered(evaluation):
        most = max(s.clusters for s in evaluation.summaries)
        if most == 1:
            lines.append("All cases come from one head or patient: the intervals say nothing about other patients.")
        else:
            lines.append(f"Cases come from {most} heads or patients; intervals by cluster draw whole ones.")
        if 1 < most < 10:
            lines.append("With so few clusters these intervals are rough and probably too narrow.")
    return lines


def clustered(evaluation: Evaluation) -> bool:
    """True if some cases share a head or patient."""
    return any(summary.clusters < summary.n for summary in evaluation.summaries)


def value_text(value: float | None, metric: str, signed: bool = False) -> str:
    """A number with a suitable number of digits for its metric and a real minus sign, or a dash."""
    if value is None:
        return DASH
    digits = 1 if metric.endswith(("_mm", "_ml")) else 3
    return f"{round(value, digits) + 0.0:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def interval_text(interval: Interval | None, metric: str, signed: bool = False) -> str:
    """An interval as [low, high], or a dash."""
    return f"[{', '.join(value_text(value, metric, signed) for value in interval)}]" if interval else DASH


def p_text(p: float | None) -> str:
    """A p-value with a sensible number of digits."""
    if p is None:
        return DASH
    return "<0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.01 else f"{p:.3f}"


def _mean(summary: Summary | None) -> str:
    if summary is None:
        return DASH
    text = value_text(summary.mean, summary.metric)
    if summary.interval:
        text += f" {interval_text(summary.interval, summary.metric)}"
    return f"{text} ({summary.missing} missing)" if summary.missing else text


def _headline(evaluation: Evaluation, grid: str) -> Table:
    rows = []
    for method in evaluation.methods:
        found = [evaluation.summary(method, metric, ALL, grid) for metric in HEADLINE]
        count = next((s.n + s.missing for s in found if s), 0)
        if count:
            rows.append((method, str(count), *(_mean(summary) for summary in found)))
    header = ("Method", "n", *(LABELS[metric] for metric in HEADLINE))
    return Table(
        f"scores-{grid}", f"Scores on {GRID_NAMES[grid]}", header, rows, "Mean [95 % interval] over all cases."
    )


def _strata(evaluation: Evaluation) -> Table:
    rows = []
    for stratum in STRATA[1:]:
        for method in evaluation.methods:
            found = [evaluation.summary(method, metric, stratum) for metric in BY_STRATUM]
            if found[0]:
                count = str(found[0].n + found[0].missing)
                rows.append((stratum, method, count, *(_mean(summary) for summary in found)))
    header = ("Infarct", "Method", "n", *(LABELS[metric] for metric in BY_STRATUM))
    note = "Mean [95 % interval], by the reference's volume. Without infarct, Dice is the share of cases left unmarked."
    return Table("strata", f"By infarct volume, on {GRID_NAMES['own']}", header, rows, note, left=2)


def _differences(evaluation: Evaluation) -> Table:
    by_cluster = clustered(evaluation)
    chosen = [c for c in evaluation.comparisons if c.grid == "own" and c.stratum == ALL and c.metric in METRICS]
    cluster_column = ("95 % interval by cluster",) if by_cluster else ()
    header = ("Method", "Metric", "n", "Mean difference", "95 % interval", *cluster_column, "p", "p, Holm")
    note = (
        f"Paired, minus {evaluation.methods[0]}, on cases that both have. p: Wilcoxon's signed ranks, two-sided; "
        "Holm: corrected for the number of methods."
    )
    rows = [_difference_row(comparison, by_cluster) for comparison in chosen]
    return Table("differences", f"Differences from {evaluation.methods[0]}", header, rows, note, left=2)


def _difference_row(comparison: Comparison, by_cluster: bool) -> tuple[str, ...]:
    metric = comparison.metric
    return (
        comparison.method,
        LABELS[metric],
        str(comparison.n),
        value_text(comparison.mean_difference, metric, signed=True),
        interval_text(comparison.interval, metric, signed=True),
        *((interval_text(comparison.cluster_interval, metric, signed=True),) if by_cluster else ()),
        p_text(comparison.p),
        p_text(comparison.p_holm),
    )


def _everything(evaluation: Evaluation) -> Table:
    columns: dict[str, Callable[[Summary], str]] = {
        "n": lambda s: str(s.n),
        "Missing": lambda s: str(s.missing),
        "Mean": lambda s: value_text(s.mean, s.metric),
        "95 % interval": lambda s: interval_text(s.interval, s.metric),
        "By cluster": lambda s: interval_text(s.cluster_interval, s.metric),
        "SD": lambda s: value_text(s.sd, s.metric),
        "Median": lambda s: value_text(s.median, s.metric),
        "Quartiles": lambda s: interval_text(s.quartiles, s.metric),
    }
    if not clustered(evaluation):
        del columns["By cluster"]
    rows = []
    for method in evaluation.methods:
        for metric in METRICS:
            summary = evaluation.summary(method, metric)
            if summary:
                rows.append((method, LABELS[metric], *(show(summary) for show in columns.values())))
    title = f"Every metric, all cases, on {GRID_NAMES['own']}"
    return Table("everything", title, ("Method", "Metric", *columns), rows, left=2)


def case_table(evaluation: Evaluation) -> Table:
    """Every scored case on its own grid, lowest Dice first."""
    cases = sorted((c for c in evaluation.cases if c.grid == "own"), key=lambda c: (c.scores.dice, c.case))
    shown = ("dice", "hd95_mm", "surface_dice_5mm", "prediction_ml", "reference_ml")
    header = (
        "Case",
        "Method",
        "Infarct",
        *(LABELS.get(metric, "") for metric in shown[:3]),
        "Predicted, mL",
        "Reference, mL",
    )
    rows = [
        (c.case, c.method, c.stratum, *(value_text(getattr(c.scores, metric), metric) for metric in shown))
        for c in cases
    ]
    return Table("cases", "Case by case", header, rows, f"{len(rows)} rows, lowest Dice first", left=3)


def _unmatched(evaluation: Evaluation) -> Table:
    return Table("unmatched", "Not scored", ("Method", "Case", "Why"), [tuple(u) for u in evaluation.unmatched], left=3)


def _markdown_rows(table: Table) -> Iterator[str]:
    yield _markdown_row(table.header)
    yield _markdown_row("---" if column < table.left else "---:" for column in range(len(table.header)))
    yield from (_markdown_row(row) for row in table.rows)


def _markdown_row(cells: object) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"  # type: ignore[attr-defined]


def _latex_lines(table: Table) -> Iterator[str]:
    numbers = len(table.header) - table.left
    yield r"\begin{table}"
    yield rf"\caption{{{_latex(table.title)}. {_latex(table.note)}}}\label{{tab:adn-{table.name}}}"
    yield r"\centering\footnotesize\setlength{\tabcolsep}{3pt}"
    yield rf"\begin{{tabular}}{{{'l' * table.left}{'r' * numbers}}}"
    yield r"\toprule"
    yield _latex_row(table.header)
    yield r"\midrule"
    yield from (_latex_row(row) for row in table.rows)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _latex_row(cells: tuple[str, ...]) -> str:
    return " & ".join(_latex(cell) for cell in cells) + r" \\"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
