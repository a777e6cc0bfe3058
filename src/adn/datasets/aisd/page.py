"""A page to look at after an import of AISD: what came of it, what is wrong, and every case with its contour."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from adn.io import atomic_path
from adn.results import DISCLAIMER

if TYPE_CHECKING:
    from adn.datasets.aisd.case import Imported

PREVIEW = "preview.jpg"  # in each case folder


def write_page(lines: Sequence[Imported], test_cases: Collection[str], folder: Path, path: Path) -> None:
    """Write one HTML file with all pictures inside; no links out, no scripts. folder: where the case folders are."""
    with atomic_path(path) as temporary:
        temporary.write_text(render_page(lines, test_cases, folder), encoding="utf-8")


def render_page(lines: Sequence[Imported], test_cases: Collection[str], folder: Path) -> str:
    """The page as HTML text."""
    from jinja2 import Environment, StrictUndefined

    template = (resources.files("adn.datasets.aisd") / "import.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    imported = [line for line in lines if line.outcome == "imported"]
    by_dicom = [line for line in imported if line.hu == "dicom"]
    return page.from_string(template).render(
        disclaimer=DISCLAIMER,
        lines=lines,
        imported=imported,
        troubled=sorted((line for line in lines if line.problems), key=lambda line: line.outcome != "left out"),
        by_dicom=by_dicom,
        reversed_count=sum(line.order == "reversed" for line in by_dicom),
        test_cases=test_cases,
        absent_tests=sorted(set(test_cases) - {line.case for line in imported}),
        pictures={line.case: _picture(folder / line.case / PREVIEW) for line in imported},
    )


def _picture(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
