"""Pictures of a training run: curves of its log, and the networks' output on a few samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adn.figures.display import STROKE_WINDOW_HU, slice_areas_cm2
from adn.figures.panels import (
    ASYMMETRY_RANGE_HU,
    BRAIN_ON_MAP_COLOUR,
    DPI,
    Board,
    Scale,
    Title,
    board,
    colour_bar,
    outline,
    show,
)
from adn.results import TrainingPicture
from adn.space.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES: tuple[tuple[str, dict[str, str]], ...] = (
    ("Loss", {"loss": "loss", "bce": "BCE", "dice_loss": "generalised Dice"}),
    (
        "Terms of $L_D$",
        {
            "l_tissue": "$L_{tissue}$",
            "l_size": "$L_{size}$",
            "l_asymmetry": "$L_{asymmetry}$",
            "l_intrinsic": "$L_{intrinsic}$",
            "mean_p": "mean $P$",
            "target_p": "what $L_{size}$ asks of it",
        },
    ),
    ("Dice", {"dice": "training", "val_dice": "validation, mean", "val_dice_median": "validation, median"}),
    (
        "Is $P$ meaningful?  (collapse: first two at 0, or at 1)",
        {
            "p_over_a": "mean $P$ / mean $A$",
            "p_a_correlation": "correlation of $P$ and $A$",
            "p_inside": "share of $P$ inside the infarct",
            "q_inside": "mean $Q$ inside the infarct",
        },
    ),
)
DASHED = {"mean_p", "target_p"}  # two means among four loss terms


def training_curves(history: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Curves of one stage's log rows over epochs; a panel per group of `CURVES` that the rows have."""
    from matplotlib.figure import Figure

    columns = {name for row in history for name in row}
    groups = [(head, {k: v for k, v in names.items() if k in columns}) for head, names in CURVES]
    known = {name for _, names in CURVES for name in names}
    others = {
        name: name.removeprefix("val_").replace("_", " ") for name in sorted(columns - known) if name.startswith("val_")
    }
    groups = [(head, names) for head, names in [*groups, ("Validation", others)] if names]
    rows = -(-len(groups) // 2)
    figure = Figure(figsize=(5.2 * min(2, len(groups)), 3.1 * rows + 0.3), layout="constrained")
    figure.suptitle(title)
    for place, (head, names) in enumerate(groups):
        axes = figure.add_subplot(rows, min(2, len(groups)), place + 1)
        _draw_curves(axes, history, names)
        axes.set_title(head, fontsize=10)
        if place >= len(groups) - 2:
            axes.set_xlabel("epoch")
    return figure


def _draw_curves(axes: Axes, history: Sequence[Mapping[str, float]], names: Mapping[str, str]) -> None:
    epochs = [row["epoch"] for row in history]
    for name, label in names.items():
        style = ".--" if name in DASHED else ".-"
        axes.plot(epochs, [row.get(name, np.nan) for row in history], style, markersize=4, linewidth=1.2, label=label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, framealpha=0.6)
    axes.tick_params(labelsize=8)
    axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[attr-defined]


def training_sheet(pictures: Sequence[TrainingPicture]) -> Board:
    """Rows: samples, at their largest infarct area (without infarct: the middle). Columns: X, A, P, Q, X̂, Ŷ.

    The reference is outlined on X and Ŷ. Maps use the scale of reports, except P and Q, which use the whole window if
    P is a probability rather than a share of A.
    """
    first = pictures[0]
    crop = slice(None), slice(None)
    top_hu = float(np.max([p.asymmetry_pathological.data.max() - p.asymmetry_total.data.max() for p in pictures]))
    p_range = (0.0, 80.0) if top_hu > 0.5 else ASYMMETRY_RANGE_HU
    sheet = board(first.aligned, crop, len(pictures), 6, panel_in=1.9, header_in=0.28, footer_in=0.52)
    for row, picture in enumerate(pictures):
        index = _slice_to_show(picture.reference)
        brain = picture.aligned.with_data(picture.aligned.data > picture.aligned.data.min(), "label")
        columns: tuple[tuple[Volume, Title, Scale, tuple[float, float], str], ...] = (
            (picture.aligned, Title("X", "reference outlined", 10), "gray", STROKE_WINDOW_HU, "HU"),
            (picture.asymmetry_total, Title("A", "total", 10), "inferno", ASYMMETRY_RANGE_HU, "HU darker than mirror"),
            (picture.asymmetry_pathological, Title("P", "pathological", 10), "inferno", p_range, "HU"),
            (picture.asymmetry_intrinsic, Title("Q", "intrinsic", 10), "inferno", ASYMMETRY_RANGE_HU, "HU"),
            (picture.salient, Title("X\u0302", "salient", 10), "gray", STROKE_WINDOW_HU, "HU"),
            (picture.infarct_probability, Title("Y\u0302", "infarct", 10), "magma", (0.0, 1.0), "probability"),
        )
        for column, (volume, title, colours, limits, unit) in enumerate(columns):
            panel, label = sheet.panels[row, column], "" if column else str(index)
            show(panel, volume, index, crop, limits_hu=limits, colours=colours, label=label)
            if colours != "gray":  # a place to the spots of a map
                outline(panel, brain, index, crop, BRAIN_ON_MAP_COLOUR, width=0.4)
            if column in (0, len(columns) - 1):
                outline(panel, picture.reference, index, crop, width=0.9)
            if row == 0:
                panel.title = title
            if row == len(pictures) - 1:
                colour_bar(panel, unit)
    return sheet


def _slice_to_show(reference: Volume) -> int:
    areas = slice_areas_cm2(reference)
    return int(areas.argmax()) if areas.any() else len(areas) // 2


def write_training_pictures(
    run: Path, stage: str, history: Sequence[Mapping[str, float]], pictures: Sequence[TrainingPicture] = ()
) -> None:
    """Into a run folder: curves-<stage>.png of a stage's log rows, and samples/<stage>-<epoch>.png where there are any.

    run: its folder's name becomes the title. The epoch is that of the last row.
    """
    from adn.io import atomic_path

    curves = training_curves(history, f"{run.name}, {stage}")
    with atomic_path(run / f"curves-{stage}.png") as temporary:
        curves.savefig(temporary, format="png", dpi=DPI, facecolor=curves.get_facecolor())
    if pictures:
        (run / "samples").mkdir(exist_ok=True)
        training_sheet(pictures).save(run / "samples" / f"{stage}-{int(history[-1]['epoch']):03d}.png")
