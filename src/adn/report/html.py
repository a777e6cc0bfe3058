"""`report.html`: one self-contained file that a stroke neurologist reads in half a minute."""

from __future__ import annotations

import base64
import io
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from adn.figures import asymmetry_panel, axial_stack, even_slices, key_slices, overlay, slice_areas_cm2
from adn.figures.display import STROKE_WINDOW_HU, slab_slices, stroke_window_hu
from adn.figures.panels import HYPODENSITY_COLOURS, HYPODENSITY_EDGES
from adn.figures.prediction import Panel
from adn.io.digest import sha256_bytes
from adn.report.numbers import result_dict
from adn.report.slices import all_slices
from adn.report.words import checks, first_line, number, ranges, territory_rows, volume_text
from adn.results import DISCLAIMER, Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SOURCES = ("report.html.j2", "report.js")
KEY_SLICES = 5  # one large, then two in a row
BARE_SLICES = 4  # without infarct: two in a row
PANEL_SLICES = 3


class Picture(NamedTuple):
    """One image of the report: a data URI, its size in pixels, what it shows."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str = ""


def write_report(prediction: Prediction, path: Path) -> None:
    """Write the report: verdict, key slices, asymmetries, all slices, checks, numbers, provenance; no links."""
    path.write_text(render_report(prediction), encoding="utf-8")


def render_report(prediction: Prediction) -> str:
    """The report as HTML text."""
    from jinja2 import Environment, StrictUndefined

    template, script = ((resources.files("adn.report") / name).read_text(encoding="utf-8") for name in _SOURCES)
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters |= {"number": number, "volume": volume_text}
    scan = prediction.scan.volume
    marked = bool(prediction.infarct.data.any())
    slices, areas = key_slices(prediction, KEY_SLICES if marked else BARE_SLICES), slice_areas_cm2(prediction.infarct)
    panel_slices = slices[:PANEL_SLICES] if marked else even_slices(prediction.brain_mask, PANEL_SLICES)
    direction = "upwards" if "S" in scan.grid.axes else "downwards"
    bright = prediction.polarity == "bright"
    return page.from_string(template).render(
        result=result_dict(prediction),
        disclaimer=DISCLAIMER,
        verdict=first_line(prediction),
        territories=territory_rows(prediction.territories),
        checks=checks(prediction),
        bands=list(zip(HYPODENSITY_COLOURS, band_names(), strict=True)),
        script=script,
        script_hash=base64.b64encode(sha256_bytes(script)).decode(),
        bright=bright,
        slice_ranges=ranges(prediction.measurements.slices),
        slice_count=axial_stack(scan).shape[0],
        window_hu=stroke_window_hu(scan, prediction.brain_mask),
        usual_window_hu=STROKE_WINDOW_HU,
        slab=slab_slices(scan),
        direction=direction,
        marked=marked,
        key_pictures=[_key_picture(prediction, n, areas[n], large=marked and n == slices[0]) for n in slices],
        asymmetry=_asymmetry_picture(prediction, panel_slices),
        strip=all_slices(prediction),
    )


def band_names() -> list[str]:
    """The bands of relative hypodensity in words: 5 to 10 % and so on."""
    percent = [round(100 * edge) for edge in HYPODENSITY_EDGES]
    return [*(f"{a} to {b} %" for a, b in pairwise(percent)), f"{percent[-1]} % and more"]


def encode(figure: Figure, alt: str, caption: str = "", dpi: int = 120) -> Picture:
    """A figure as a JPEG inside a data URI; full colour resolution, so that thin contours stay sharp."""
    buffer = io.BytesIO()
    options: Any = {"quality": 86, "subsampling": 0, "optimize": True}
    figure.savefig(buffer, format="jpeg", dpi=dpi, facecolor=figure.get_facecolor(), pil_kwargs=options)
    width, height = (round(inches * dpi) for inches in figure.get_size_inches())
    data = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/jpeg;base64,{data}", width, height, alt, caption)


def _key_picture(prediction: Prediction, index: int, area: float, large: bool) -> Picture:
    finding = f"infarct area {area:.1f} cm²" if area > 0 else "no infarct marked"
    panels: tuple[Panel, ...] = ("contour", "hypodensity") if area > 0 else ("scan", "hypodensity")
    shown = {"scan": "as scanned", "contour": "with the infarct's contour", "hypodensity": "with relative hypodensity"}
    if large:
        panels = ("scan", *panels)
    alt = (
        f"Axial CT slice {index}, stroke window, patient left on image right: {finding}. "
        f"Side by side {', '.join(shown[panel] for panel in panels)}."
    )
    return encode(overlay(prediction, index, panels), alt, f"Slice {index}: {finding}", 165 if large else 120)


def _asymmetry_picture(prediction: Prediction, slices: tuple[int, ...]) -> Picture:
    alt = (
        f"Slices {', '.join(map(str, slices))} from left to right as: scan with infarct outlined, total asymmetry, "
        "pathological asymmetry, intrinsic asymmetry, salient scan, compensated scan."
    )
    return encode(asymmetry_panel(prediction, slices), alt, dpi=135)
