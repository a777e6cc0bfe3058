"""Shared by the importers of public data sets: a picture of each case, a page with all of them, a table."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from adn.datasets.layouts import Case, write_cases
from adn.datasets.parts import PartOfHead
from adn.io import atomic_path
from adn.results import DISCLAIMER
from adn.space.volume import Volume

PREVIEW = "preview.jpg"  # in each case folder
_PREVIEW_DPI = 140
Line = TypeVar("Line")  # a line of a report: a frozen dataclass


def read_record(path: Path) -> dict[str, Any] | None:
    """What an earlier import recorded about a case; None if there is no readable record."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "line" in record else None


def line_of(kind: type[Line], values: Mapping[str, Any]) -> Line:
    """Rebuild a report line from a record, turning JSON lists back into tuples."""
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def write_part_cases(imported: Iterable[tuple[str, str]], path: Path) -> None:
    """Write the table of imported cases, given as (case, patient); ct, infarct and seen are in folders beside it."""
    cases = []
    for case, patient in imported:
        ct, infarct, seen = (path.parent / case / f"{name}.nii.gz" for name in ("ct", "infarct", "seen"))
        cases.append(Case(case, patient, ct, infarct, seen=seen))
    write_cases(cases, path, relative=True)


def draw_preview(
    path: Path, ct: Volume, infarct: Volume, penumbra: Volume | None = None, numbers: Sequence[int] | None = None
) -> None:
    """Draw six slices around the infarct (and penumbra), plain and outlined, as JPEG. See `figures.case_sheet`."""
    from adn.figures import case_sheet

    case_sheet(ct, infarct, penumbra, numbers).paint(_PREVIEW_DPI).save(path, format="jpeg")


def draw_part(path: Path, part: PartOfHead, infarct: Volume | None = None, penumbra: Volume | None = None) -> None:
    """The same for a part of a head: acquired slices only, numbered from below as in its ct.nii.gz.

    infarct: the mask outlined in red; None: the part's own.
    """
    masks = [mask and part.acquired(mask) for mask in (infarct or part.infarct, penumbra)]
    assert masks[0] is not None
    numbers = [number for number, plane in enumerate(part.seen.data) if plane.any()]
    draw_preview(path, part.acquired(part.ct), masks[0], masks[1], numbers)


def pictures(cases: Iterable[str], folder: Path) -> dict[str, str]:
    """The picture of each case as a data URI, keyed by case."""
    return {case: _data_uri(folder / case / PREVIEW) for case in cases}


def _data_uri(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


def render(template: str, **values: Any) -> str:
    """Render a page as HTML text. template: its path inside this package."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def load(name: str) -> str:
        return resources.files("adn.datasets").joinpath(name).read_text(encoding="utf-8")

    page = Environment(
        loader=FunctionLoader(load), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return page.get_template(template).render(disclaimer=DISCLAIMER, **values)


def write_lines(lines: Sequence[Any], path: Path, more: Mapping[str, Callable[[Any], Any]] | None = None) -> None:
    """Write one CSV row per line (a dataclass), for a spreadsheet. more: extra leading columns, by name."""
    more = more or {}
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*more, *(field.name for field in fields(lines[0]))] if lines else [*more])
        for line in lines:
            writer.writerow([*(found(line) for found in more.values()), *map(_cell, asdict(line).values())])


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, (tuple, list)):
        joint = " " if value and isinstance(value[0], float) else "; "
        return joint.join(str(_cell(item)) for item in value)
    return "" if value is None else value
