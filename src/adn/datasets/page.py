"""What `adn data check` writes: a CSV of the problems, and one HTML page with a picture of every case."""

from __future__ import annotations

import base64
import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from adn.datasets.inspection import Inspection, inspect_case
from adn.datasets.layouts import Case
from adn.datasets.problems import Finding
from adn.figures import contact_sheet
from adn.io.atomic import atomic_path
from adn.results import DISCLAIMER

LETTERS = "backslashreplace"  # for a path that is not UTF-8
COLUMNS = ("case", "problem", "blocks", "cause", "remedy")
PICTURE_SLICES = 7
_DPI, _QUALITY = 120, 80  # about 60 kB per case, so that a page of 400 cases still opens


def inspect_and_draw(case: Case) -> tuple[Inspection, bytes]:
    """Inspect one case; return the result without its volumes, and the picture, as `write_page` takes them."""
    inspection = inspect_case(case)
    return replace(inspection, scan=None, infarct=None), picture(inspection)


def picture(inspection: Inspection) -> bytes:
    """A row of slices with the infarct outlined, as JPEG; empty if the scan could not be read."""
    if inspection.scan is None:
        return b""
    scan = inspection.scan
    infarct = inspection.infarct or scan.with_data(np.zeros(scan.data.shape, np.uint8), "label")
    sheet = contact_sheet([scan], [infarct], columns=PICTURE_SLICES)
    buffer = io.BytesIO()
    sheet.paint(_DPI).save(buffer, format="jpeg", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def write_table(findings: Sequence[Finding], path: Path) -> None:
    """Write the problems as CSV, one line each; whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors=LETTERS) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in findings:
            writer.writerow([one.case, one.kind, "yes" if one.blocks else "no", one.cause, one.remedy])


def write_page(
    where: str,
    inspections: Sequence[Inspection],
    findings: Sequence[Finding],
    pictures: Mapping[str, bytes],
    path: Path,
) -> None:
    """Write one self-contained page: the verdict, the problems between cases, then every case with its picture.

    where: what was checked. pictures: JPEG by case name. No scripts, nothing from the network.
    """
    from jinja2 import Environment, StrictUndefined

    template = (resources.files("adn.datasets") / "check.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    own = {one.case.name for one in inspections}
    cards = [
        {
            "name": one.case.name,
            "subject": one.case.subject,
            "size": one.size,
            "infarct": "" if one.infarct_ml is None else f"{one.infarct_ml:.1f} mL",
            "findings": [finding for finding in findings if finding.case == one.case.name],
            "picture": base64.b64encode(pictures.get(one.case.name, b"")).decode(),
        }
        for one in inspections
    ]
    cards.sort(key=lambda card: (-_weight(card["findings"]), card["name"]))
    text = page.from_string(template).render(
        where=where,
        verdict=verdict(len(inspections), findings),
        blocked=any(one.blocks for one in findings),
        kinds=Counter((one.kind, one.blocks) for one in findings).most_common(),
        shared=[one for one in findings if one.case not in own],
        cards=cards,
        disclaimer=DISCLAIMER,
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=LETTERS)


def _weight(findings: Sequence[Finding]) -> int:
    """Sort weight: 2 for cases that block training, 1 for those with other findings, 0 otherwise."""
    return 2 if any(one.blocks for one in findings) else int(bool(findings))


def verdict(count: int, findings: Sequence[Finding]) -> str:
    """The result in one sentence."""
    blocking = sum(one.blocks for one in findings)
    cases = f"{count} case{'s' * (count != 1)}"
    if blocking:
        problems = f"{blocking} problem{'s' * (blocking != 1)}"
        return f"{cases}: {problems} to solve before training, {len(findings) - blocking} more to look at."
    if findings:
        return f"{cases}: nothing blocks training, {len(findings)} to look at."
    return f"{cases}: no problems found."
