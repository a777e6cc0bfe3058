"""Pictures of one prediction: the infarct on the scan, and the asymmetries that explain it (figure 4 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from adn.figures.display import axial_slice, axial_stack, crop_to, even_slices, stroke_window_hu
from adn.figures.panels import (
    ASYMMETRY_RANGE_HU,
    BRAIN_COLOUR,
    BRAIN_ON_MAP_COLOUR,
    INFARCT_COLOUR,
    INK,
    Board,
    Note,
    Scale,
    Title,
    board,
    colour_bar,
    outline,
    show,
    show_hypodensity,
)
from adn.lang import Words, words
from adn.results import Prediction
from adn.space.volume import Volume

Panel = Literal["scan", "contour", "hypodensity"]


def overlay(prediction: Prediction, slice_index: int, panels: Sequence[Panel] = (), say: Words | None = None) -> Board:
    """One axial slice on the stroke window, in several panels side by side.

    panels: 'scan' as it is, 'contour' of the infarct, 'hypodensity' relative to the mirror side from 5 %.
    Empty: the scan and, if an infarct is marked, its contour beside it. say: a language; English by default.
    """
    say = say or words()
    scan, crop = prediction.scan.volume, crop_to(prediction.brain_mask, margin_mm=8.0)
    window_hu = stroke_window_hu(scan, prediction.brain_mask)
    if not panels:
        panels = ("scan", "contour") if (axial_slice(prediction.infarct, slice_index) > 0).any() else ("scan",)
    sheet = board(scan, crop, 1, len(panels), panel_in=3.6)
    for place, panel in zip(sheet.panels[0], panels, strict=True):
        label = say(f"pictures.label.{panel}") if panel != panels[0] else say("pictures.label.slice", index=slice_index)
        show(place, scan, slice_index, crop, limits_hu=window_hu, label=label, font_pt=11)
        if panel == "hypodensity":
            show_hypodensity(place, prediction.relative_hypodensity, slice_index, crop)
        if panel != "scan":
            outline(place, prediction.infarct, slice_index, crop, INK if panel == "hypodensity" else INFARCT_COLOUR)
    return sheet


def asymmetry_panel(prediction: Prediction, slices: Sequence[int], say: Words | None = None) -> Board:
    """Rows: slices. Columns: scan, A, P, Q, X̂ (salient), X̃ (compensated), with colour bars in HU."""
    say = say or words()
    window_hu = stroke_window_hu(prediction.scan.volume, prediction.brain_mask)
    than = say(f"pictures.than.{prediction.polarity}")
    first = say("pictures.scan_outlined" if prediction.infarct.data.any() else "pictures.scan")
    names = {"A": say("pictures.total"), "P": say("pictures.pathological"), "Q": say("pictures.intrinsic")}
    columns: tuple[tuple[Volume, tuple[str, str], Scale, tuple[float, float], str], ...] = (
        (prediction.scan.volume, ("X", first), "gray", window_hu, "HU"),
        (prediction.asymmetry_total, ("A", names["A"]), "inferno", ASYMMETRY_RANGE_HU, than),
        (prediction.asymmetry_pathological, ("P", names["P"]), "inferno", ASYMMETRY_RANGE_HU, "HU"),
        (prediction.asymmetry_intrinsic, ("Q", names["Q"]), "inferno", ASYMMETRY_RANGE_HU, "HU"),
        (prediction.salient, ("X\u0302", say("pictures.salient")), "gray", window_hu, "HU"),
        (prediction.compensated, ("X\u0303", say("pictures.compensated")), "gray", window_hu, "HU"),
    )
    scan, crop, footer_in = prediction.scan.volume, crop_to(prediction.brain_mask, margin_mm=8.0), 0.52
    sheet = board(scan, crop, len(slices), len(columns), panel_in=1.9, header_in=0.28, footer_in=footer_in)
    for column, (volume, title, colours, limits_hu, unit) in enumerate(columns):
        for row, index in enumerate(slices):
            label = "" if column else str(index)
            panel = sheet.panels[row, column]
            show(panel, volume, index, crop, limits_hu=limits_hu, colours=colours, label=label)
            if column == 0:
                outline(panel, prediction.infarct, index, crop, width=0.9)
            if colours != "gray":  # a place to the spots of a map
                outline(panel, prediction.brain_mask, index, crop, BRAIN_ON_MAP_COLOUR, width=0.5)
        sheet.panels[0, column].title = Title(*title, 10)
        colour_bar(sheet.panels[-1, column], unit)
    return sheet


def slice_sheet(prediction: Prediction, columns: int = 8, most: int = 40) -> Board:
    """All slices of the brain, or `most` evenly spaced, from the skull base up: infarct and brain mask outlined."""
    scan, crop = prediction.scan.volume, crop_to(prediction.brain_mask, margin_mm=8.0)
    slices = even_slices(prediction.brain_mask, min(most, axial_stack(scan).shape[0]))
    columns, window_hu = min(columns, len(slices)), stroke_window_hu(scan, prediction.brain_mask)
    sheet = board(scan, crop, -(-len(slices) // columns), columns, panel_in=1.4)
    for panel, index in zip(sheet.panels.flat, slices, strict=False):
        show(panel, scan, index, crop, limits_hu=window_hu, label=str(index), font_pt=7)
        outline(panel, prediction.brain_mask, index, crop, BRAIN_COLOUR, width=0.5)
        outline(panel, prediction.infarct, index, crop, width=0.8)
    return sheet


def key_picture(prediction: Prediction, slice_index: int, header: str, footer: str) -> NDArray[np.uint8]:
    """One slice as a picture for viewers that show no overlays, (rows, columns, 3): scan, contour, hypodensity.

    header, footer: a line of text above and below, part of the pixels.
    """
    sheet = overlay(prediction, slice_index, ("scan", "contour", "hypodensity"))
    strip_in = 0.3  # above and below
    width_in, height_in = sheet.size_in[0], sheet.size_in[1] + 2 * strip_in
    for panel in sheet.panels.flat:
        left, top, *sides = panel.box_in
        panel.box_in = (left, top + strip_in, *sides)
    sheet = replace(sheet, size_in=(width_in, height_in))
    middle, left_in = strip_in / 2, 0.01 * width_in
    sheet.notes += [Note(header, left_in, middle, 11), Note(footer, left_in, height_in - middle, 9)]
    return np.asarray(sheet.paint())
