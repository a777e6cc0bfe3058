"""The page that an import of AISD writes: its outcome, the problems, and every case with its contour."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adn.datasets.imports import pictures, render
from adn.io import atomic_path

if TYPE_CHECKING:
    from adn.datasets.aisd.case import Imported


def write_page(lines: Sequence[Imported], test_cases: Collection[str], folder: Path, path: Path) -> None:
    """Write one HTML file with embedded pictures, no external links and no scripts. folder: holds the case folders."""
    with atomic_path(path) as temporary:
        temporary.write_text(render_page(lines, test_cases, folder), encoding="utf-8")


def render_page(lines: Sequence[Imported], test_cases: Collection[str], folder: Path) -> str:
    """The page as HTML text."""
    imported = [line for line in lines if line.outcome == "imported"]
    by_dicom = [line for line in imported if line.hu == "dicom"]
    return render(
        "aisd/import.html.j2",
        lines=lines,
        imported=imported,
        troubled=sorted((line for line in lines if line.problems), key=lambda line: line.outcome != "left out"),
        by_dicom=by_dicom,
        reversed_count=sum(line.order == "reversed" for line in by_dicom),
        test_cases=test_cases,
        absent_tests=sorted(set(test_cases) - {line.case for line in imported}),
        pictures=pictures((line.case for line in imported), folder),
    )
