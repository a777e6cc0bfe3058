"""A black board of equal picture panels. No pyplot state; matplotlib is imported only when a figure is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adn.figures.display import STROKE_WINDOW_HU, Crop, axial_slab, axial_slice, stack_spacing_mm
from adn.space.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

ASYMMETRY_RANGE_HU = (0.0, 16.0)  # early infarcts are 2 to 15 HU darker; one scale, so that patients compare
HYPODENSITY_EDGES = (0.05, 0.10, 0.15, 0.20)  # fractions of the mirror twin's HU; below the first nothing is coloured
HYPODENSITY_COLOURS = ("#4575d4", "#2fb7a3", "#f0d13a", "#ff8c2b")
INFARCT_COLOUR = "#ff5340"
PENUMBRA_COLOUR = "#ffd24a"
BRAIN_COLOUR = "#4aa8ff"
BRAIN_ON_MAP_COLOUR = "#8a8a8a"
INK = "#f2f2f2"
PAPER = "#000000"
_DPI = 100


def board(
    volume: Volume,
    crop: Crop,
    rows: int,
    columns: int,
    *,
    panel_in: float,
    header_in: float = 0.0,
    footer_in: float = 0.0,
) -> tuple[Figure, NDArray[Any]]:
    """A figure of rows × columns panels with the true proportions of a cropped slice of `volume`.

    Returns the figure and its axes (rows, columns). panel_in: width of a panel, inches.
    """
    from matplotlib.figure import Figure

    _, row_mm, column_mm = stack_spacing_mm(volume)
    height, width = (part.stop - part.start for part in crop_inside(volume, crop))
    gap = 0.03
    panel_height = panel_in * (height * row_mm) / (width * column_mm)
    total_width = columns * (panel_in + gap) - gap
    total_height = rows * (panel_height + gap) - gap + header_in + footer_in
    figure = Figure(figsize=(total_width, total_height), facecolor=PAPER)
    panels = np.empty((rows, columns), dtype=object)
    for row in range(rows):
        bottom = total_height - header_in - (row + 1) * panel_height - row * gap
        for column in range(columns):
            left = column * (panel_in + gap)
            box = (left / total_width, bottom / total_height, panel_in / total_width, panel_height / total_height)
            panels[row, column] = axes = figure.add_axes(box)
            axes.set_axis_off()
            axes.set(xticks=(), yticks=())  # not seen, but laid out all the same, which takes as long as the pictures
    return figure, panels


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; whole or not at all. Raises OutputError where that cannot be."""
    from adn.io import atomic_path  # reports start without what reads images

    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, facecolor=figure.get_facecolor())


def crop_inside(volume: Volume, crop: Crop) -> Crop:
    """The crop, cut at the volume's border."""
    rows, columns = axial_slice(volume, 0).shape
    top, bottom, _ = crop[0].indices(rows)
    left, right, _ = crop[1].indices(columns)
    return slice(top, bottom), slice(left, right)


def show(
    axes: Axes,
    volume: Volume,
    index: int,
    crop: Crop,
    *,
    limits_hu: tuple[float, float] = STROKE_WINDOW_HU,
    colours: str = "gray",
    label: str = "",
    font_pt: float = 9.0,
) -> AxesImage:
    """Draw one axial slice (thin ones as a 5 mm slab) in its true proportions, with R, L and a label."""
    _, row_mm, column_mm = stack_spacing_mm(volume)
    lower, upper = limits_hu
    image = axes.imshow(
        axial_slab(volume, index)[crop],
        cmap=colours,
        vmin=lower,
        vmax=upper,
        aspect=row_mm / column_mm,
        interpolation="bilinear",
    )
    write(axes, 0.03, 0.98, "R", font_pt, va="top", ha="left")
    write(axes, 0.97, 0.98, "L", font_pt, va="top", ha="right")
    write(axes, 0.03, 0.02, label, font_pt, va="bottom", ha="left")
    return image


def show_hypodensity(axes: Axes, relative: Volume, index: int, crop: Crop) -> None:
    """Lay relative hypodensity over a slice that was drawn, in four bands from 5 %."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    picture = axial_slice(relative, index)[crop]
    axes.imshow(
        np.ma.masked_less(picture, HYPODENSITY_EDGES[0]),
        cmap=ListedColormap(HYPODENSITY_COLOURS),
        norm=BoundaryNorm([*HYPODENSITY_EDGES, 1.0], len(HYPODENSITY_COLOURS)),
        aspect=axes.get_aspect(),
        interpolation="nearest",
        alpha=0.8,
    )


def outline(axes: Axes, mask: Volume, index: int, crop: Crop, colour: str = INFARCT_COLOUR, width: float = 1.3) -> None:
    """Draw the contour of a mask on a slice; nothing where the slice holds none of it."""
    picture = axial_slice(mask, index)[crop] > 0
    if picture.any():
        # One voxel of background around, so that the contour closes at the picture's border.
        padded = np.pad(picture, 1).astype(np.float32)
        rows, columns = (np.arange(-1, n + 1) for n in picture.shape)
        limits = axes.get_xlim(), axes.get_ylim()
        axes.contour(columns, rows, padded, levels=[0.5], colors=[colour], linewidths=width)
        axes.set_xlim(limits[0])
        axes.set_ylim(limits[1])


def write(axes: Axes, x: float, y: float, text: str, font_pt: float, **kwargs: Any) -> None:
    """Light text with a dark rim at a place in axes coordinates (0 to 1)."""
    from matplotlib.patheffects import withStroke

    rim = [withStroke(linewidth=0.3 * font_pt, foreground=PAPER)]
    # snapped to pixels, the foot of a small L can vanish, which leaves an I
    axes.text(x, y, text, transform=axes.transAxes, color=INK, fontsize=font_pt, path_effects=rim, snap=False, **kwargs)


def colour_bar(
    figure: Figure, axes: Axes, image: AxesImage, label: str, footer_in: float, font_pt: float = 8.0
) -> None:
    """A horizontal colour bar in the figure's footer, under the column of `axes`."""
    box = axes.get_position()
    inch = 1.0 / figure.get_figheight()
    place = (box.x0 + 0.12 * box.width, (footer_in - 0.16) * inch, 0.76 * box.width, 0.08 * inch)
    bar = figure.colorbar(image, cax=figure.add_axes(place), orientation="horizontal")
    lower, upper = image.get_clim()
    bar.set_ticks([lower, (lower + upper) / 2, upper])
    bar.set_label(label, color=INK, fontsize=font_pt, labelpad=1)
    bar.ax.tick_params(colors=INK, labelsize=font_pt, length=2, pad=1)
    bar.outline.set_edgecolor("#888888")
