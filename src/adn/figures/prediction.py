"""Pictures of one prediction: the infarct on the scan, and the asymmetries that explain it (figure 4 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from adn.figures.display import axial_slice, axial_stack, crop_to, even_slices, stroke_window_hu
from adn.figures.panels import (
    ASYMMETRY_RANGE_HU,
    BRAIN_COLOUR,
    BRAIN_ON_MAP_COLOUR,
    INFARCT_COLOUR,
    INK,
    board,
    colour_bar,
    outline,
    show,
    show_hypodensity,
)
from adn.lang import Words, words
from adn.results import Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panel = Literal["scan", "contour", "hypodensity"]


def overlay(prediction: Prediction, slice_index: int, panels: Sequence[Panel] = (), say: Words | None = None) -> Figure:
    """One axial slice on the stroke window, in several panels side by side.

    panels: 'scan' as it is, 'contour' of the infarct, 'hypodensity' relative to the mirror side from 5 %.
    Empty: the scan, and where infarct is marked, its contour beside it. say: a language, English without.
    """
    say = say or words()
    scan, crop = prediction.scan.volume, crop_to(prediction.brain_mask, margin_mm=8.0)
    window_hu = stroke_window_hu(scan, prediction.brain_mask)
    if not panels:
        panels = ("scan", "contour") if (axial_slice(prediction.infarct, slice_index) > 0).any() else ("scan",)
    figure, places = board(scan, crop, 1, len(panels), panel_in=3.6)
    for axes, panel in zip(places[0], panels, strict=True):
        label = say(f"pictures.label.{panel}") if panel != panels[0] else say("pictures.label.slice", index=slice_index)
        show(axes, scan, slice_index, crop, limits_hu=window_hu, label=label, font_pt=11)
        if panel == "hypodensity":
            show_hypodensity(axes, prediction.relative_hypodensity, slice_index, crop)
        if panel != "scan":
            outline(axes, prediction.infarct, slice_index, crop, INK if panel == "hypodensity" else INFARCT_COLOUR)
    return figure


def asymmetry_panel(prediction: Prediction, slices: Sequence[int], say: Words | None = None) -> Figure:
    """Rows: slices. Columns: scan, A, P, Q, X̂ (salient), X̃ (compensated), with colour bars in HU."""
    say = say or words()
    window_hu = stroke_window_hu(prediction.scan.volume, prediction.brain_mask)
    than = say(f"pictures.than.{prediction.polarity}")
    first = say("pictures.scan_outlined" if prediction.infarct.data.any() else "pictures.scan")
    names = {"A": say("pictures.total"), "P": say("pictures.pathological"), "Q": say("pictures.intrinsic")}
    a, p, q = (f"${letter}$  {name}" for letter, name in names.items())
    columns = (
        (prediction.scan.volume, f"$X$  {first}", "gray", window_hu, "HU"),
        (prediction.asymmetry_total, a, "inferno", ASYMMETRY_RANGE_HU, than),
        (prediction.asymmetry_pathological, p, "inferno", ASYMMETRY_RANGE_HU, "HU"),
        (prediction.asymmetry_intrinsic, q, "inferno", ASYMMETRY_RANGE_HU, "HU"),
        (prediction.salient, rf"$\hat{{X}}$  {say('pictures.salient')}", "gray", window_hu, "HU"),
        (prediction.compensated, rf"$\tilde{{X}}$  {say('pictures.compensated')}", "gray", window_hu, "HU"),
    )
    scan, crop, footer_in = prediction.scan.volume, crop_to(prediction.brain_mask, margin_mm=8.0), 0.52
    figure, panels = board(scan, crop, len(slices), len(columns), panel_in=1.9, header_in=0.28, footer_in=footer_in)
    for column, (volume, title, colours, limits_hu, unit) in enumerate(columns):
        for row, index in enumerate(slices):
            label = "" if column else str(index)
            image = show(panels[row, column], volume, index, crop, limits_hu=limits_hu, colours=colours, label=label)
            if column == 0:
                outline(panels[row, 0], prediction.infarct, index, crop, width=0.9)
            if colours != "gray":  # a place to the spots of a map
                outline(panels[row, column], prediction.brain_mask, index, crop, BRAIN_ON_MAP_COLOUR, width=0.5)
        panels[0, column].set_title(title, color=INK, fontsize=10, pad=4)
        colour_bar(figure, panels[-1, column], image, unit, footer_in)
    return figure


def slice_sheet(prediction: Prediction, columns: int = 8, most: int = 40) -> Figure:
    """All slices of the brain, or `most` evenly spaced, from the skull base up: infarct and brain mask outlined."""
    scan, crop = prediction.scan.volume, crop_to(prediction.brain_mask, margin_mm=8.0)
    slices = even_slices(prediction.brain_mask, min(most, axial_stack(scan).shape[0]))
    columns, window_hu = min(columns, len(slices)), stroke_window_hu(scan, prediction.brain_mask)
    figure, panels = board(scan, crop, -(-len(slices) // columns), columns, panel_in=1.4)
    for axes, index in zip(panels.flat, slices, strict=False):
        show(axes, scan, index, crop, limits_hu=window_hu, label=str(index), font_pt=7)
        outline(axes, prediction.brain_mask, index, crop, BRAIN_COLOUR, width=0.5)
        outline(axes, prediction.infarct, index, crop, width=0.8)
    return figure


def key_picture(prediction: Prediction, slice_index: int, header: str, footer: str) -> NDArray[np.uint8]:
    """One slice as a picture for viewers that show no overlays, (rows, columns, 3): scan, contour, hypodensity.

    header, footer: a line of text above and below, part of the pixels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = overlay(prediction, slice_index, ("scan", "contour", "hypodensity"))
    width, height = figure.get_size_inches()
    strip = 0.3  # inches, above and below
    figure.set_size_inches(width, height + 2 * strip)
    for axes in figure.axes:
        left, bottom, wide, high = axes.get_position().bounds
        tall = height + 2 * strip
        axes.set_position((left, (bottom * height + strip) / tall, wide, high * height / tall))
    middle = 0.5 * strip / (height + 2 * strip)
    for text, place, size in ((header, 1 - middle, 11), (footer, middle, 9)):
        figure.text(0.01, place, text, color=INK, fontsize=size, va="center")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
