"""`report.html`: one self-contained file that a stroke neurologist reads in half a minute."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from adn.figures import asymmetry_panel, axial_stack, key_slices, overlay, slice_areas_cm2, slice_sheet
from adn.report.numbers import result_dict
from adn.results import DISCLAIMER, Measurements, Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEY_SLICES = 6
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
    slices = key_slices(prediction, KEY_SLICES)
    direction = "upwards" if "S" in prediction.scan.volume.grid.axes else "downwards"
    return page.from_string(template).render(
        result=result_dict(prediction),
        disclaimer=DISCLAIMER,
        verdict=verdict(prediction.measurements),
        slice_ranges=ranges(prediction.measurements.slices),
        slice_count=axial_stack(prediction.scan.volume).shape[0],
        direction=direction,
        key_pictures=[_key_picture(prediction, index) for index in slices],
        asymmetry=_asymmetry_picture(prediction, slices[:PANEL_SLICES]),
        sheet=_sheet_picture(prediction),
    )


def verdict(found: Measurements) -> str:
    """The finding in one line."""
    if found.side == "none":
        return "No infarct marked"
    where = "both hemispheres" if found.side == "both" else f"{found.side} hemisphere"
    return f"Infarct marked: {volume_text(found.volume_ml)}, {where}"


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


def encode(figure: Figure, alt: str, caption: str = "", dpi: int = 125) -> Picture:
    """A figure as a JPEG inside a data URI; full colour resolution, so that thin contours stay sharp."""
    buffer = io.BytesIO()
    options: Any = {"quality": 86, "subsampling": 0, "optimize": True}
    figure.savefig(buffer, format="jpeg", dpi=dpi, facecolor=figure.get_facecolor(), pil_kwargs=options)
    width, height = (round(inches * dpi) for inches in figure.get_size_inches())
    data = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/jpeg;base64,{data}", width, height, alt, caption)


def _key_picture(prediction: Prediction, index: int) -> Picture:
    area = slice_areas_cm2(prediction.infarct)[index]
    finding = f"infarct area {area:.1f} cm²" if area > 0 else "no infarct marked"
    alt = f"Axial CT slice {index}, stroke window, patient left on image right: bare, and with contour; {finding}."
    return encode(overlay(prediction, index), alt, f"Slice {index}: {finding}")


def _asymmetry_picture(prediction: Prediction, slices: tuple[int, ...]) -> Picture:
    alt = (
        f"Slices {', '.join(map(str, slices))} from left to right as: scan with infarct outlined, total asymmetry, "
        "pathological asymmetry, intrinsic asymmetry, salient scan, compensated scan."
    )
    return encode(asymmetry_panel(prediction, slices), alt, dpi=130)


def _sheet_picture(prediction: Prediction) -> Picture:
    alt = "Axial slices of the brain from the skull base up, brain mask outlined in blue, infarct in red."
    return encode(slice_sheet(prediction), alt, dpi=120)
