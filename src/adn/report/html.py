"""`report.html`: one self-contained file that a stroke neurologist reads in half a minute."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from adn.figures import asymmetry_panel, axial_stack, even_slices, key_slices, overlay, slice_areas_cm2
from adn.figures.display import STROKE_WINDOW_HU, slab_slices, stroke_window_hu
from adn.figures.panels import HYPODENSITY_COLOURS, HYPODENSITY_EDGES
from adn.figures.prediction import Panel
from adn.io.digest import sha256_bytes
from adn.lang import ENGLISH, Words, words
from adn.remarks import notes
from adn.report.answer_words import lines, region_rows
from adn.report.numbers import result_dict
from adn.report.slices import all_slices
from adn.report.words import checks, first_line, ranges, territory_rows
from adn.results import Prediction

if TYPE_CHECKING:
    from jinja2 import Environment

    from adn.figures.panels import Board

KEY_SLICES = 5  # one large, then rows of two
BARE_SLICES = 4  # without infarct: rows of two
PANEL_SLICES = 3


class Picture(NamedTuple):
    """One image of the report: a data URI, its size in pixels, alternative text and caption."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str = ""


def write_report(prediction: Prediction, path: Path, language: str = ENGLISH) -> None:
    """Write the report: verdict, key slices, asymmetries, all slices, checks, numbers, provenance; no links."""
    path.write_text(render_report(prediction, language), encoding="utf-8")


def render_report(prediction: Prediction, language: str = ENGLISH) -> str:
    """The report as HTML text. language: one of `adn.lang.languages()`. Raises InputError for another."""
    say = words(language)
    scan = prediction.scan.volume
    marked = bool(prediction.infarct.data.any())
    slices, areas = key_slices(prediction, KEY_SLICES if marked else BARE_SLICES), slice_areas_cm2(prediction.infarct)
    panel_slices = slices[:PANEL_SLICES] if marked else even_slices(prediction.brain_mask, PANEL_SLICES)
    return render(
        "report",
        say,
        result=result_dict(prediction, language),
        verdict=first_line(prediction, say),
        territories=territory_rows(prediction.territories, say),
        checks=checks(prediction, say),
        notes=notes(prediction.remarks, say),
        bands=list(zip(HYPODENSITY_COLOURS, band_names(say), strict=True)),
        polarity=prediction.polarity,
        slice_ranges=ranges(prediction.measurements.slices),
        slice_count=axial_stack(scan).shape[0],
        window_text=_window_text(stroke_window_hu(scan, prediction.brain_mask), say),
        slab=slab_slices(scan),
        direction="upwards" if "S" in scan.grid.axes else "downwards",
        marked=marked,
        key_pictures=[_key_picture(prediction, n, areas[n], say, large=marked and n == slices[0]) for n in slices],
        asymmetry=_asymmetry_picture(prediction, panel_slices, say),
        strip=all_slices(prediction),
        answers=lines(prediction, say),
        aspects=_aspects_picture(prediction, say),
        aspects_rows=region_rows(prediction.answers.aspects, say),
    )


def render(page: str, say: Words, **values: Any) -> str:
    """A page as HTML text, from its template and its script in this folder, with the words of a language."""
    script = (resources.files("adn.report") / f"{page}.js").read_text(encoding="utf-8")
    environment, code = _environment(say), _compiled(page)
    template = environment.template_class.from_code(environment, code, environment.make_globals(None))
    script_hash = base64.b64encode(sha256_bytes(script)).decode()
    return template.render(say=say, script=script, script_hash=script_hash, **values)


def _environment(say: Words) -> Environment:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": say.number, "volume": say.volume, "capital": say.capital, "term": say.term}
    return environment


@lru_cache
def _compiled(page: str) -> CodeType:
    """A page's template, for any language; compiled once per process."""
    source = (resources.files("adn.report") / f"{page}.html.j2").read_text(encoding="utf-8")
    return _environment(words()).compile(source)


def band_names(say: Words) -> list[str]:
    """The bands of relative hypodensity in words: 5 to 10 % and so on."""
    percent = [round(100 * edge) for edge in HYPODENSITY_EDGES]
    bands = [say("page.band", low=low, high=high) for low, high in pairwise(percent)]
    return [*bands, say("page.last_band", low=percent[-1])]


def _window_text(window_hu: tuple[float, float], say: Words) -> str:
    text = say("page.window", low=say.number(window_hu[0], 0), high=say.number(window_hu[1], 0))
    if window_hu == STROKE_WINDOW_HU:
        return text
    return say("page.window_low" if window_hu < STROKE_WINDOW_HU else "page.window_high", window=text)


def encode(board: Board, alt: str, caption: str = "", dpi: int = 120) -> Picture:
    """A board as a JPEG inside a data URI; full colour resolution, so that thin contours stay sharp."""
    buffer = io.BytesIO()
    picture = board.paint(dpi)
    picture.save(buffer, format="jpeg", quality=86, subsampling=0, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/jpeg;base64,{data}", *picture.size, alt, caption)


def _key_picture(prediction: Prediction, index: int, area: float, say: Words, *, large: bool) -> Picture:
    finding = say("pictures.area", area=say.number(area)) if area > 0 else say("pictures.no_area")
    panels: tuple[Panel, ...] = ("contour", "hypodensity") if area > 0 else ("scan", "hypodensity")
    if large:
        panels = ("scan", *panels)
    shown = ", ".join(say(f"pictures.panel.{panel}") for panel in panels)
    alt = say("pictures.alt", index=index, finding=finding, panels=shown)
    caption = say("pictures.caption", index=index, finding=finding)
    return encode(overlay(prediction, index, panels, say), alt, caption, 165 if large else 120)


def _aspects_picture(prediction: Prediction, say: Words) -> Picture | None:
    from adn.figures.aspects import aspects_picture, standard_slices  # loads SimpleITK

    board = aspects_picture(prediction)
    if board is None:
        return None
    low, high = standard_slices(prediction)
    caption = say("answers.aspects.caption", low=low, high=high)
    return encode(board, say("answers.aspects.alt", low=low, high=high), caption)


def _asymmetry_picture(prediction: Prediction, slices: tuple[int, ...], say: Words) -> Picture:
    alt = say("pictures.asymmetry_alt", slices=", ".join(map(str, slices)))
    return encode(asymmetry_panel(prediction, slices, say), alt, dpi=135)
