"""The result folder of an evaluation: CSV, Markdown, LaTeX and one self-contained HTML page; complete or absent."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from adn.figures.evaluation import bland_altman, box_plots, reliability_curves
from adn.io.atomic import atomic_folder, check_folder_free
from adn.metrics.reliability import BINS
from adn.metrics.scores import Scores
from adn.metrics.summary import Evaluation
from adn.report.tables import DEFINITIONS, case_table, remarks, tables, to_latex, to_markdown
from adn.results import DISCLAIMER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKER = "summary.csv"
CASE_COLUMNS = (
    *("method", "case", "grid", "stratum", "cluster"),
    *(field.name for field in fields(Scores)),
    *("problem", "disclaimer"),
)


class Plot(NamedTuple):
    """One plot of the page: an SVG as data URI, its size in pixels, a heading, what it shows."""

    uri: str
    width: int
    height: int
    title: str
    alt: str
    note: str


def check_evaluation_folder(folder: Path, overwrite: bool = False) -> None:
    """Raise OutputError if `folder` exists already, unless it is an earlier evaluation to be overwritten."""
    check_folder_free(folder, marker=_MARKER, overwrite=overwrite)


def save_evaluation(evaluation: Evaluation, folder: Path, overwrite: bool = False) -> Path:
    """Write cases.csv, summary.csv, differences.csv, reliability.csv, summary.md, summary.tex and report.html.

    differences.csv only with two methods or more, reliability.csv only with probabilities. All files appear at once in
    the new `folder`, or none does. Raises OutputError.
    """
    with atomic_folder(folder, marker=_MARKER, overwrite=overwrite) as partial:
        _write_csv(case_rows(evaluation), partial / "cases.csv", CASE_COLUMNS)
        _write_csv([_flat(asdict(summary)) for summary in evaluation.summaries], partial / _MARKER)
        if evaluation.comparisons:
            _write_csv([_flat(asdict(found)) for found in evaluation.comparisons], partial / "differences.csv")
        if evaluation.reliability:
            _write_csv(reliability_rows(evaluation), partial / "reliability.csv")
        (partial / "summary.md").write_text(to_markdown(evaluation), encoding="utf-8")
        (partial / "summary.tex").write_text(to_latex(evaluation), encoding="utf-8")
        (partial / "report.html").write_text(render_evaluation(evaluation), encoding="utf-8")
    return folder


def case_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row per method, case and grid; then one per case that could not be scored, with its problem."""
    scored = [
        {
            "method": case.method,
            "case": case.case,
            "grid": case.grid,
            "stratum": case.stratum,
            "cluster": case.cluster,
            **asdict(case.scores),
        }
        for case in evaluation.cases
    ]
    return [*scored, *(unmatched._asdict() for unmatched in evaluation.unmatched)]


def reliability_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row per method and bin of probability."""
    edges = np.linspace(0, 1, BINS + 1)
    return [
        {
            "method": method,
            "from": edges[place],
            "to": edges[place + 1],
            "voxels": int(curve.voxels[place]),
            "predicted": _known(curve.predicted[place]),
            "observed": _known(curve.observed[place]),
            "observed_low": _known(curve.low[place]),
            "observed_high": _known(curve.high[place]),
        }
        for method, curve in evaluation.reliability.items()
        for place in range(BINS)
    ]


def render_evaluation(evaluation: Evaluation) -> str:
    """The page as HTML text: tables, plots, definitions; no links, no scripts."""
    from jinja2 import Environment, StrictUndefined

    template = (resources.files("adn.report") / "evaluation.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made = {table.name: table for table in tables(evaluation)}
    shown = (
        "scores-own",
        "strata",
        "differences",
        "scores-own+ignore",
        "scores-paper",
        "scores-paper+ignore",
        "everything",
    )
    return page.from_string(template).render(
        disclaimer=DISCLAIMER,
        title=_title(evaluation),
        remarks=remarks(evaluation),
        unmatched=made.get("unmatched"),
        first=[made[name] for name in shown[:1] if name in made],
        rest=[made[name] for name in shown[1:] if name in made],
        plots=_plots(evaluation),
        cases=case_table(evaluation),
        definitions=DEFINITIONS,
    )


def _title(evaluation: Evaluation) -> str:
    count = len({case.case for case in evaluation.cases})
    cases = "1 case" if count == 1 else f"{count} cases"
    return f"Evaluation of {', '.join(evaluation.methods)} on {cases}"


def _plots(evaluation: Evaluation) -> list[Plot]:
    plots = [
        _plot(
            box_plots(evaluation),
            "Spread over cases",
            "Box plots of Dice, surface Dice, HD95 and volume difference for each method.",
            "A dot is a case; boxes show the quartiles, and whiskers reach up to 1.5 times the distance between "
            "them. Cases without HD95 are left out of its plot.",
        ),
        _plot(
            bland_altman(evaluation),
            "Volumes (Bland-Altman)",
            "Difference between predicted and reference volume against their mean, for each method.",
            "Above 0 the prediction is too large. Dotted: limits of agreement, bias ± 1.96 standard deviations.",
        ),
    ]
    if evaluation.reliability:
        where = "of the brain" if evaluation.in_brain else "of the whole scan"
        errors = "; ".join(
            f"{method}: expected calibration error {curve.expected_error:.4f}, Brier score {curve.brier:.4f}, "
            f"{curve.cases} cases"
            for method, curve in evaluation.reliability.items()
        )
        note = f"Over the voxels {where}. On the dashed line, the probability equals the observed fraction. {errors}."
        alt = "Observed fraction of infarct voxels against predicted probability, with the number of voxels below."
        plots.append(_plot(reliability_curves(evaluation), "Reliability of the probability", alt, note))
    return plots


def _plot(figure: Figure, title: str, alt: str, note: str) -> Plot:
    import matplotlib

    buffer = io.BytesIO()
    # Equal input gives an equal file: no date, no random identifiers.
    with matplotlib.rc_context({"svg.hashsalt": "adn"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    data = base64.b64encode(buffer.getvalue()).decode()
    return Plot(f"data:image/svg+xml;base64,{data}", width, height, title, alt, note)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Intervals as two columns, _low and _high."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith(("interval", "quartiles")):
            low, high = value if value is not None else (None, None)
            flat |= {f"{name}_low": low, f"{name}_high": high}
        else:
            flat[name] = value
    return flat


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _write_csv(rows: Iterable[Mapping[str, Any]], path: Path, columns: tuple[str, ...] | None = None) -> None:
    rows = list(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or (*rows[0], "disclaimer"))
        writer.writeheader()
        for row in rows:
            writer.writerow({"disclaimer": DISCLAIMER, **{key: _digits(value) for key, value in row.items()}})


def _digits(value: Any) -> Any:
    """Round to six decimals, far finer than any of these numbers can be meaningful; p-values keep theirs."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if abs(value) < 1e-3 else round(value, 6) + 0.0
