"""A black board of equal picture panels, described first and painted last (`paint.py`). Numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.figures.display import STROKE_WINDOW_HU, Crop, axial_slab, axial_slice, stack_spacing_mm
from adn.space.volume import Volume

if TYPE_CHECKING:
    from PIL.Image import Image

ASYMMETRY_RANGE_HU = (0.0, 16.0)  # early infarcts are 2 to 15 HU darker; one scale, so that patients compare
HYPODENSITY_EDGES = (0.05, 0.10, 0.15, 0.20)  # fractions of the mirror twin's HU; below the first nothing is coloured
HYPODENSITY_COLOURS = ("#4575d4", "#2fb7a3", "#f0d13a", "#ff8c2b")
INFARCT_COLOUR = "#ff5340"
PENUMBRA_COLOUR = "#ffd24a"
BRAIN_COLOUR = "#4aa8ff"
BRAIN_ON_MAP_COLOUR = "#8a8a8a"
INK = "#f2f2f2"
PAPER = "#000000"
DPI = 100
Scale = Literal["gray", "inferno", "magma"]
_GAP_IN = 0.03


class Shown(NamedTuple):
    """Values that fill a panel, (rows, columns), and the range and scale of their colours. high: height / width."""

    values: NDArray[np.float32]
    limits: tuple[float, float]
    colours: Scale
    high: float


class Line(NamedTuple):
    """A closed line: its points (n, 2), x and y in voxels of the picture, 0 being the middle of the first one."""

    points: NDArray[np.float64]
    colour: str
    width_pt: float


class Label(NamedTuple):
    """A text at a place of its panel, x and y as shares of it from the top left. anchor: as Pillow has it."""

    text: str
    x: float
    y: float
    font_pt: float
    anchor: str = "mm"
    colour: str = INK
    rim: bool = True
    bold: bool = False


class Title(NamedTuple):
    """Above a panel: a symbol in italics, such as X̂ (may be ''), and words."""

    symbol: str
    words: str
    font_pt: float


class Bar(NamedTuple):
    """A panel's colour bar beneath it, with limits and a unit."""

    limits: tuple[float, float]
    colours: Scale
    unit: str


class Note(NamedTuple):
    """A text at a place of the board, inches from the top left; y is its middle."""

    text: str
    x_in: float
    y_in: float
    font_pt: float


@dataclass(eq=False)
class Panel:
    """One picture of a board and what lies on it, from back to front.

    box_in: left, top, width and height on the board, inches. bands: relative hypodensity, a share, on the same voxels.
    """

    box_in: tuple[float, float, float, float]
    shown: Shown | None = None
    bands: NDArray[np.float32] | None = None
    lines: list[Line] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    title: Title | None = None
    bar: Bar | None = None


@dataclass(eq=False)
class Board:
    """Panels (rows, columns) on black. size_in: width and height; footer_in: of it, beneath the panels."""

    size_in: tuple[float, float]
    panels: NDArray[Any]
    footer_in: float = 0.0
    notes: list[Note] = field(default_factory=list)

    def paint(self, dpi: float = DPI) -> Image:
        """The board as a picture in colour."""
        from adn.figures.paint import paint

        return paint(self, dpi)

    def save(self, path: Path, dpi: float = DPI) -> None:
        """Write it as PNG, completely or not at all. Raises OutputError."""
        from adn.io import atomic_path  # here, so that reports load without the image readers

        with atomic_path(path) as temporary:
            self.paint(dpi).save(temporary, format="png")


def board(
    volume: Volume,
    crop: Crop,
    rows: int,
    columns: int,
    *,
    panel_in: float,
    header_in: float = 0.0,
    footer_in: float = 0.0,
) -> Board:
    """Rows × columns empty panels with the true proportions of a cropped slice of `volume`. panel_in: their width."""
    _, row_mm, column_mm = stack_spacing_mm(volume)
    height, width = (part.stop - part.start for part in crop_inside(volume, crop))
    high = panel_in * (height * row_mm) / (width * column_mm)
    size_in = columns * (panel_in + _GAP_IN) - _GAP_IN, rows * (high + _GAP_IN) - _GAP_IN + header_in + footer_in
    panels = np.empty((rows, columns), dtype=object)
    for row in range(rows):
        for column in range(columns):
            corner = column * (panel_in + _GAP_IN), header_in + row * (high + _GAP_IN)
            panels[row, column] = Panel((*corner, panel_in, high))
    return Board(size_in, panels, footer_in)


def crop_inside(volume: Volume, crop: Crop) -> Crop:
    """The crop, cut at the volume's border."""
    rows, columns = axial_slice(volume, 0).shape
    top, bottom, _ = crop[0].indices(rows)
    left, right, _ = crop[1].indices(columns)
    return slice(top, bottom), slice(left, right)


def show(
    panel: Panel,
    volume: Volume,
    index: int,
    crop: Crop,
    *,
    limits_hu: tuple[float, float] = STROKE_WINDOW_HU,
    colours: Scale = "gray",
    label: str = "",
    font_pt: float = 9.0,
) -> None:
    """Show one axial slice (thin ones as a 5 mm slab) in its true proportions, with R, L and a label."""
    _, row_mm, column_mm = stack_spacing_mm(volume)
    values = axial_slab(volume, index)[crop]
    rows, columns = values.shape
    panel.shown = Shown(values, limits_hu, colours, rows * row_mm / (columns * column_mm))
    panel.labels += [
        Label("R", 0.03, 0.02, font_pt, "la"),
        Label("L", 0.97, 0.02, font_pt, "ra"),
        Label(label, 0.03, 0.98, font_pt, "ld"),
    ]


def show_hypodensity(panel: Panel, relative: Volume, index: int, crop: Crop) -> None:
    """Overlay relative hypodensity on the slice shown, in four bands from 5 %."""
    panel.bands = axial_slice(relative, index)[crop]


def outline(
    panel: Panel, mask: Volume, index: int, crop: Crop, colour: str = INFARCT_COLOUR, width: float = 1.3
) -> None:
    """Draw the contour of a mask on a slice; nothing if the slice holds none of it. width: points."""
    outline_plane(panel, axial_slice(mask, index)[crop] > 0, colour, width)


def outline_plane(panel: Panel, plane: NDArray[np.bool_], colour: str, width: float) -> None:
    """The same for a mask on the panel's own voxels, (rows, columns)."""
    if plane.any():
        from contourpy import contour_generator

        # One voxel of background around, so that the contour closes at the picture's border.
        found = contour_generator(z=np.pad(plane, 1).astype(np.float32)).lines(0.5)
        panel.lines += [Line(np.asarray(points) - 1.0, colour, width) for points in found]


def colour_bar(panel: Panel, unit: str) -> None:
    """Draw the panel's colour bar beneath it, in the board's footer."""
    assert panel.shown, "a colour bar needs a panel that shows something"
    panel.bar = Bar(panel.shown.limits, panel.shown.colours, unit)
