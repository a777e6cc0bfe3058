"""Plots of an evaluation: box plots, Bland-Altman of volumes, reliability curves. On white, for a page or a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adn.metrics.reliability import BINS
from adn.metrics.summary import CaseScores, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart; used in turn.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A7A00", "#000000")
BOXED = {
    "dice": "Dice",
    "surface_dice_5mm": "Surface Dice, 5 mm",
    "hd95_mm": "HD95, mm",
    "volume_difference_ml": "Volume difference, mL",
}
_WIDTH_IN = 10.0


def box_plots(evaluation: Evaluation) -> Figure:
    """Dice, surface Dice, HD95 and volume difference of every method, each case a dot; own grid."""
    rows = 0.35 * len(evaluation.methods) + 0.75
    figure, panels = _panels(2, 2, rows)
    for axes, (metric, label) in zip(panels, BOXED.items(), strict=True):
        values = [_values(_cases(evaluation, method), metric) for method in evaluation.methods]
        _boxes(axes, values)
        axes.set_xlabel(label)
        axes.set_yticks(range(1, len(values) + 1), [_short(method) for method in evaluation.methods])
        axes.set_ylim(len(values) + 0.6, 0.4)  # the first method on top
        if "dice" in metric:
            axes.set_xlim(-0.03, 1.03)
    return figure


def bland_altman(evaluation: Evaluation) -> Figure:
    """Per method: difference of volumes against their mean, with bias and limits of agreement (± 1.96 SD)."""
    columns = min(3, len(evaluation.methods))
    figure, panels = _panels(-(-len(evaluation.methods) // columns), columns, 3.2)
    for number, (axes, method) in enumerate(zip(panels, evaluation.methods, strict=False)):
        cases = _cases(evaluation, method)
        difference = _values(cases, "volume_bias_ml")
        middle = (_values(cases, "prediction_ml") + _values(cases, "reference_ml")) / 2
        axes.axhline(0, color="#888888", linewidth=0.8)
        axes.scatter(middle, difference, s=16, color=_colour(number), alpha=0.65, linewidths=0)
        _agreement_lines(axes, difference)
        axes.set_title(_short(method), fontsize=10)
        axes.set_xlabel("mean of prediction and reference, mL")
        axes.set_ylabel("prediction − reference, mL")
    for axes in panels[len(evaluation.methods) :]:
        axes.set_axis_off()
    return figure


def reliability_curves(evaluation: Evaluation) -> Figure:
    """Observed share of infarct against predicted probability, 95 % band over cases; voxels per bin below."""
    figure, (upper, lower) = _panels(2, 1, 2.6, heights=(3, 1), width_in=6.0)
    upper.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, linestyle="--")
    edges = np.linspace(0, 1, BINS + 1)
    for method, curve in evaluation.reliability.items():
        known, colour, name = curve.voxels > 0, _colour(evaluation.methods.index(method)), _short(method)
        upper.fill_between(curve.predicted[known], curve.low[known], curve.high[known], color=colour, alpha=0.15, lw=0)
        upper.plot(curve.predicted[known], curve.observed[known], "o-", markersize=3.5, color=colour, label=name)
        lower.stairs(curve.voxels, edges, color=colour)
    upper.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), ylabel="observed fraction of infarct")
    upper.legend(frameon=False, fontsize=9, loc="upper left")
    lower.set(xlim=(-0.01, 1.01), yscale="log", xlabel="predicted probability", ylabel="voxels")
    return figure


def _panels(
    rows: int, columns: int, row_in: float, heights: tuple[float, ...] | None = None, width_in: float = _WIDTH_IN
) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, rows * row_in), facecolor="white", layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"height_ratios": heights} if heights else None)
    panels = list(grid.flat)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
    return figure, panels


def _boxes(axes: Axes, values: list[np.ndarray]) -> None:
    axes.boxplot(values, orientation="horizontal", widths=0.55, showfliers=False, medianprops={"color": "#000000"})
    generator = np.random.default_rng(0)  # only spreads the dots
    for number, found in enumerate(values):
        height = number + 1 + generator.uniform(-0.17, 0.17, found.size)
        axes.scatter(found, height, s=9, color=_colour(number), alpha=0.6, linewidths=0, zorder=3)


def _agreement_lines(axes: Axes, difference: np.ndarray) -> None:
    bias = float(difference.mean())
    lines = {"bias": (bias, "-")}
    if difference.size > 1:
        spread = 1.96 * float(difference.std(ddof=1))
        lines |= {"+1.96 SD": (bias + spread, ":"), "−1.96 SD": (bias - spread, ":")}
    for name, (level, style) in lines.items():
        axes.axhline(level, color="#000000", linewidth=1, linestyle=style)
        text = f"{name} {level:.1f}".replace("-", "−")
        place = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "bottom", "fontsize": 8}
        box = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5}  # a dot may lie beneath
        axes.text(1.0, level, text, bbox=box, **place)


def _cases(evaluation: Evaluation, method: str) -> list[CaseScores]:
    return [case for case in evaluation.cases if case.method == method and case.grid == "own"]


def _values(cases: list[CaseScores], metric: str) -> np.ndarray:
    """The known values of a metric, one per case."""
    found = [getattr(case.scores, metric) for case in cases]
    return np.array([value for value in found if value is not None], dtype=np.float64)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _short(method: str) -> str:
    """A name short enough to leave room for the plot, with dollar signs escaped."""
    return (method if len(method) <= 24 else f"{method[:23]}…").replace("$", r"\$")
