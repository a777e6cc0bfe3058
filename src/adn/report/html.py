"""`report.html`: one self-contained file that a stroke neurologist reads in half a minute."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from adn.figures import asymmetry_panel, axial_stack, even_slices, key_slices, overlay, slice_areas_cm2, slice_sheet
from adn.figures.display import STROKE_WINDOW_HU, slab_slices, stroke_window_hu
from adn.report.numbers import result_dict
from adn.results import DISCLAIMER, Measurements, Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEY_SLICES = 5  # one large, then two in a row
BARE_SLICES = 6  # without infarct: three in a row
PANEL_SLICES = 3


class Picture(NamedTuple):
    """One image of the report: a data URI, its size in pixels, what it shows."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str = ""


def write_report(prediction: Prediction, path: Path) -> None:
    """Write the report: verdict, key slices, asymmetries, numbers, warnings, provenance; no links, no scripts."""
    path.write_text(render_report(prediction), encoding="utf-8")


def render_report(prediction: Prediction) -> str:
    """The report as HTML text."""
    from jinja2 import Environment, StrictUndefined

    template = (resources.files("adn.report") / "report.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters |= {"number": number, "volume": volume_text}
    scan = prediction.scan.volume
    marked = bool(prediction.infarct.data.any())
    slices = key_slices(prediction, KEY_SLICES if marked else BARE_SLICES)
    panel_slices = slices[:PANEL_SLICES] if marked else even_slices(prediction.brain_mask, PANEL_SLICES)
    direction = "upwards" if "S" in scan.grid.axes else "downwards"
    bright = prediction.polarity == "bright"
    return page.from_string(template).render(
        result=result_dict(prediction),
        disclaimer=DISCLAIMER,
        verdict=verdict(prediction.measurements, "Bright lesion" if bright else "Infarct"),
        bright=bright,
        slice_ranges=ranges(prediction.measurements.slices),
        slice_count=axial_stack(scan).shape[0],
        window_hu=stroke_window_hu(scan, prediction.brain_mask),
        usual_window_hu=STROKE_WINDOW_HU,
        slab=slab_slices(scan),
        direction=direction,
        marked=marked,
        key_pictures=[_key_picture(prediction, n, 170 if marked and n == slices[0] else 120) for n in slices],
        asymmetry=_asymmetry_picture(prediction, panel_slices),
        sheet=_sheet_picture(prediction),
    )


def verdict(found: Measurements, finding: str = "Infarct") -> str:
    """The finding in one line."""
    if found.side == "none":
        return f"No {finding.lower()} marked"
    where = "both hemispheres" if found.side == "both" else f"{found.side} hemisphere"
    return f"{finding} marked: {volume_text(found.volume_ml)}, {where}"


def volume_text(ml: float) -> str:
    """A volume with as many digits as it deserves."""
    return f"{ml:.2f} mL" if 0 < ml < 1 else f"{ml:.1f} mL"


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """A number with a real minus sign and its unit, or a dash where there is none."""
    if value is None:
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}{unit}".replace("-", "−")


def ranges(indices: Iterable[int]) -> str:
    """Consecutive numbers as ranges: 3–5, 9."""
    parts: list[list[int]] = []
    for index in sorted(indices):
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in parts)


def encode(figure: Figure, alt: str, caption: str = "", dpi: int = 120) -> Picture:
    """A figure as a JPEG inside a data URI; full colour resolution, so that thin contours stay sharp."""
    buffer = io.BytesIO()
    options: Any = {"quality": 86, "subsampling": 0, "optimize": True}
    figure.savefig(buffer, format="jpeg", dpi=dpi, facecolor=figure.get_facecolor(), pil_kwargs=options)
    width, height = (round(inches * dpi) for inches in figure.get_size_inches())
    data = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/jpeg;base64,{data}", width, height, alt, caption)


def _key_picture(prediction: Prediction, index: int, dpi: int) -> Picture:
    area = slice_areas_cm2(prediction.infarct)[index]
    finding, shown = (
        (f"infarct area {area:.1f} cm²", "without and with contour") if area > 0 else ("no infarct marked", "bare")
    )
    alt = f"Axial CT slice {index}, stroke window, patient left on image right, {shown}: {finding}."
    return encode(overlay(prediction, index), alt, f"Slice {index}: {finding}", dpi)


def _asymmetry_picture(prediction: Prediction, slices: tuple[int, ...]) -> Picture:
    alt = (
        f"Slices {', '.join(map(str, slices))} from left to right as: scan with infarct outlined, total asymmetry, "
        "pathological asymmetry, intrinsic asymmetry, salient scan, compensated scan."
    )
    return encode(asymmetry_panel(prediction, slices), alt, dpi=135)


def _sheet_picture(prediction: Prediction) -> Picture:
    alt = "Axial slices of the brain from the skull base up, brain mask outlined in blue, infarct in red."
    return encode(slice_sheet(prediction), alt)
