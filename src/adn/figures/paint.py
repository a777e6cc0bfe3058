"""Paint a board with Pillow: several times faster than a plotting library, which lays out axes that nobody sees."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from adn.figures.panels import (
    HYPODENSITY_COLOURS,
    HYPODENSITY_EDGES,
    INK,
    PAPER,
    Bar,
    Board,
    Label,
    Line,
    Panel,
    Scale,
    Title,
)

Box = tuple[int, int, int, int]  # left, top, right, bottom, pixels
Face = ImageFont.FreeTypeFont | ImageFont.ImageFont
_POINTS = 72.0  # in an inch
_BANDS_ALPHA = 0.8
_FINER = 4  # lines are drawn this many times larger, then reduced, which smooths their edges
_RIM = 0.15  # outline around each letter, as a share of the font size
_ACCENTS = {"\u0302": "ˆ", "\u0303": "˜"}  # combining: what stands above a letter on its own
# Van der Walt and Smith's colour scales (CC0), at 52 evenly spaced points.
_SCALES: dict[Scale, str] = {
    "inferno": (
        "00000402020c0504170a072210092d160b391e0c45260c512f0a5b380962400a67490b6a510e6c59106e61136e69166e71196e781c6d"
        "801f6c88226a902568982766a02a63a82e5fb0315bb73557bf3952c63d4dcc4248d34743d94d3ddf5337e45a31e9612bed6925f1711f"
        "f47918f78212f98b0bfa9407fb9d07fca60cfcb014fbba1ffac42af8cd37f6d746f4e156f2ea69f2f27df5f992fcffa4"
    ),
    "magma": (
        "00000402020b0504160907200e0b2b140e361a104221114e29115a311165390f6e420f754a107952137c5a167e6219806a1c81721f81"
        "792282812581892881912b81992d80a1307eaa337db2357bba3878c23b75ca3e72d2426fd9466be04c67e75263ec5860f1605df4695c"
        "f7725cf97b5dfb8560fc8e64fd9869fea16efeaa74feb47bfebd82fec68afecf92fed89afde2a3fdebacfcf4b6fcfdbf"
    ),
}


def paint(board: Board, dpi: float) -> Image.Image:
    """A board as an RGB picture."""
    image = Image.new("RGB", (round(board.size_in[0] * dpi), round(board.size_in[1] * dpi)), PAPER)
    draw = ImageDraw.Draw(image)
    for panel in board.panels.flat:
        place = _paint_panel(image, panel, dpi)
        for label in panel.labels:
            _write_label(draw, label, place, dpi)
        if panel.title:
            _write_title(draw, panel.title, _pixels(panel.box_in, dpi), dpi)
        if panel.bar:
            _paint_bar(image, draw, panel, panel.bar, board.size_in[1] - board.footer_in, dpi)
    for note in board.notes:
        draw.text((note.x_in * dpi, note.y_in * dpi), note.text, INK, _face(note.font_pt, dpi), "lm")
    return image


def _pixels(box_in: tuple[float, float, float, float], dpi: float) -> Box:
    left, top, width, height = box_in
    return round(left * dpi), round(top * dpi), round((left + width) * dpi), round((top + height) * dpi)


def _paint_panel(image: Image.Image, panel: Panel, dpi: float) -> Box:
    """The picture with its bands and lines; returns where it lies, in its own proportions in the middle of its box."""
    left, top, right, bottom = _pixels(panel.box_in, dpi)
    if panel.shown is None:
        return left, top, right, bottom
    width, height = right - left, bottom - top
    own_width, own_height = min(width, round(height / panel.shown.high)), min(height, round(width * panel.shown.high))
    own_width, own_height = max(own_width, 1), max(own_height, 1)
    left, top = left + (width - own_width) // 2, top + (height - own_height) // 2
    low, high = panel.shown.limits
    values = np.ascontiguousarray(panel.shown.values, np.float32)
    fine = Image.fromarray(values).resize((own_width, own_height), Image.Resampling.BILINEAR)
    steps = np.clip((np.asarray(fine) - low) * (256.0 / (high - low)), 0, 255).astype(np.uint8)
    picture = Image.fromarray(colours_of(panel.shown.colours)[steps])
    if panel.bands is not None:
        _lay_bands(picture, panel.bands)
    _draw_lines(picture, panel.lines, panel.shown.values.shape, dpi)
    image.paste(picture, (left, top))
    return left, top, left + own_width, top + own_height


@lru_cache
def colours_of(scale: Scale) -> NDArray[np.uint8]:
    """256 colours, (256, 3), from the scale's low end to its high one."""
    if scale == "gray":
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    known = np.frombuffer(bytes.fromhex(_SCALES[scale]), np.uint8).reshape(-1, 3)
    places = np.linspace(0, len(known) - 1, 256)
    return np.rint([np.interp(places, np.arange(len(known)), part) for part in known.T]).T.astype(np.uint8)


def _lay_bands(picture: Image.Image, relative: NDArray[np.float32]) -> None:
    band = np.digitize(relative, HYPODENSITY_EDGES)
    colours = np.array([(0, 0, 0), *map(ImageColor.getrgb, HYPODENSITY_COLOURS)], np.uint8)
    near = Image.Resampling.NEAREST
    cover = Image.fromarray((band > 0).astype(np.uint8) * round(255 * _BANDS_ALPHA)).resize(picture.size, near)
    picture.paste(Image.fromarray(colours[band]).resize(picture.size, near), mask=cover)


def _draw_lines(picture: Image.Image, lines: list[Line], shape: tuple[int, ...], dpi: float) -> None:
    """Lines with smooth edges, each drawn on its own part of the picture only."""
    scale = np.array([picture.width / shape[1], picture.height / shape[0]])
    for line in lines:
        points, width = (line.points + 0.5) * scale, line.width_pt * dpi / _POINTS
        start = np.floor(points.min(axis=0) - width - 1).astype(int)
        size = np.ceil(points.max(axis=0) + width + 1).astype(int) - start
        stencil = Image.new("L", (int(size[0]) * _FINER, int(size[1]) * _FINER))
        fine = [tuple(point) for point in ((points - start) * _FINER).tolist()]
        ImageDraw.Draw(stencil).line(fine, fill=255, width=max(round(width * _FINER), 1))
        picture.paste(line.colour, (int(start[0]), int(start[1])), stencil.reduce(_FINER))


def _write_label(draw: ImageDraw.ImageDraw, label: Label, place: Box, dpi: float) -> None:
    left, top, right, bottom = place
    at = left + label.x * (right - left), top + label.y * (bottom - top)
    rim = max(round(_RIM * label.font_pt * dpi / _POINTS), 1) if label.rim else 0
    face = _face(label.font_pt, dpi, "Bold" if label.bold else "")
    draw.text(at, label.text, label.colour, face, label.anchor, stroke_width=rim, stroke_fill=PAPER)


def _write_title(draw: ImageDraw.ImageDraw, title: Title, place: Box, dpi: float) -> None:
    """Above a panel, in the middle: the symbol in italics, a gap, the words."""
    upright, italic = _face(title.font_pt, dpi), _face(title.font_pt, dpi, "Oblique")
    letters = [letter for letter in title.symbol if letter not in _ACCENTS]
    symbol = "".join(letters)
    gap = 0.6 * title.font_pt * dpi / _POINTS if symbol and title.words else 0.0
    symbol_px, line, point = draw.textlength(symbol, italic), place[1] - 7 * dpi / _POINTS, dpi / _POINTS
    x = (place[0] + place[2] - symbol_px - gap - draw.textlength(title.words, upright)) / 2
    draw.text((x, line), symbol, INK, italic, "ls")
    for accent in title.symbol[len(letters) :]:  # of one letter
        above = x + 0.62 * symbol_px, line - 0.18 * title.font_pt * point
        draw.text(above, _ACCENTS[accent], INK, upright, "ms")
    draw.text((x + symbol_px + gap, line), title.words, INK, upright, "ls")


def _paint_bar(
    image: Image.Image, draw: ImageDraw.ImageDraw, panel: Panel, bar: Bar, top_in: float, dpi: float
) -> None:
    """A horizontal bar with three numbers and a unit beneath."""
    left_in, _, width_in, _ = panel.box_in
    left, right = (round((left_in + share * width_in) * dpi) for share in (0.12, 0.88))
    top, bottom = round((top_in + 0.08) * dpi), round((top_in + 0.16) * dpi)
    ramp = np.linspace(0, 255, right - left).astype(np.uint8)
    image.paste(Image.fromarray(colours_of(bar.colours)[np.tile(ramp, (bottom - top, 1))]), (left, top))
    draw.rectangle((left, top, right - 1, bottom - 1), outline="#888888", width=max(round(0.8 * dpi / _POINTS), 1))
    face, point = _face(8.0, dpi), dpi / _POINTS
    for share in (0.0, 0.5, 1.0):
        x = left + share * (right - 1 - left)
        draw.line((x, bottom, x, bottom + 2 * point), INK, max(round(0.8 * point), 1))
        draw.text(
            (x, bottom + 3 * point), f"{bar.limits[0] + share * (bar.limits[1] - bar.limits[0]):g}", INK, face, "ma"
        )
    draw.text(((left + right) / 2, bottom + 13 * point), bar.unit, INK, face, "ma")


@lru_cache(maxsize=32)
def _face(font_pt: float, dpi: float, cut: str = "") -> Face:
    """DejaVu Sans as Matplotlib ships it, found without loading it; where it is not there, Pillow's own."""
    size = font_pt * dpi / _POINTS
    found = importlib.util.find_spec("matplotlib")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder, "mpl-data", "fonts", "ttf", f"DejaVuSans{f'-{cut}' if cut else ''}.ttf")
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)
