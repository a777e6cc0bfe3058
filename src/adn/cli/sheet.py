"""The contact sheet beside a folder of virtual patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adn.space.volume import Volume

SHEET_ROWS = 16
SHEET_DPI = 100


def draw_sheet(folder: Path) -> None:
    """Draw the first patients of a folder, infarcts outlined, to contact_sheet.png; nothing where there are none."""
    from adn.figures import contact_sheet
    from adn.io import atomic_path, read_volume

    cases = sorted(folder.glob("vp-*"))[:SHEET_ROWS]
    if not cases:
        return
    scans = [_ct(case) for case in cases]
    infarcts = [read_volume(case / "infarct.nii.gz", np.uint8, "label") for case in cases]
    figure = contact_sheet(scans, infarcts, [case.name for case in cases])
    with atomic_path(folder / "contact_sheet.png") as temporary:
        figure.savefig(temporary, format="png", dpi=SHEET_DPI, facecolor=figure.get_facecolor())


def _ct(case: Path) -> Volume:
    from adn.io import open_scan, read_volume

    if (case / "dicom").is_dir():
        return open_scan(case / "dicom").volume
    return read_volume(case / "ct.nii.gz", np.int16)
