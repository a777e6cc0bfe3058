"""Contact sheets of many patients, such as a batch of virtual ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adn.errors import InputError
from adn.figures.display import STROKE_WINDOW_HU, crop_to, even_slices, slice_areas_cm2, stack_spacing_mm
from adn.figures.panels import INFARCT_COLOUR, PENUMBRA_COLOUR, Board, board, outline, show
from adn.space.volume import Volume

SHEET, SHEET_ROWS = "contact_sheet.png", 16
_APART_MM = 4.5  # distance between neighbouring pictures of thin slices


def contact_sheet(
    scans: Sequence[Volume],
    infarcts: Sequence[Volume],
    names: Sequence[str] = (),
    columns: int = 8,
    window_hu: tuple[float, float] = STROKE_WINDOW_HU,
) -> Board:
    """Rows: patients. Columns: evenly spaced axial slices from below, the largest infarct area among them, outlined.

    scans: HU. infarcts: masks, each on its scan's grid. Each patient is cropped to the head. Raises InputError where
    the sequences do not match.
    """
    if not scans or len(scans) != len(infarcts) or (names and len(names) != len(scans)):
        raise InputError(
            f"A contact sheet needs as many infarct masks and names as scans, "
            f"but got {len(scans)} scans, {len(infarcts)} masks and {len(names)} names."
        )
    heads = [scan.with_data(scan.data > -300, "label") for scan in scans]  # air is −1000, skin and brain are above
    sheet = board(scans[0], crop_to(heads[0], 0.0), len(scans), columns, panel_in=1.4)
    for row, (scan, infarct, head) in enumerate(zip(scans, infarcts, heads, strict=True)):
        crop = crop_to(head, 0.0)
        for column, index in enumerate(_slices_with_infarct(head, infarct, columns)):
            name = f"{names[row]}: " if names and column == 0 else ""
            panel = sheet.panels[row, column]
            show(panel, scan, index, crop, limits_hu=window_hu, label=f"{name}{index}", font_pt=7)
            outline(panel, infarct, index, crop, width=0.8)
    return sheet


def case_sheet(
    scan: Volume,
    infarct: Volume,
    penumbra: Volume | None = None,
    numbers: Sequence[int] | None = None,
    columns: int = 6,
) -> Board:
    """One patient's slices around the mark, from below, shown twice: plain, and beneath that with the outlines.

    So one can judge what an outline covers and where it ends. Without any mark: evenly over the head. penumbra:
    outlined in yellow, counts for the largest area, too. numbers: labels of the slices; None: their indices in the
    scan.
    """
    head = scan.with_data(scan.data > -300, "label")
    crop = crop_to(head, 0.0)
    marked = infarct if penumbra is None else infarct.with_data((infarct.data > 0) | (penumbra.data > 0))
    chosen = _slices_about(head, marked, columns)
    sheet = board(scan, crop, 2, columns, panel_in=1.4)
    for column, index in enumerate(chosen):
        number = index if numbers is None else numbers[index]
        for panel, label in zip(sheet.panels[:, column], (str(number), ""), strict=True):
            show(panel, scan, index, crop, label=label, font_pt=7)
        for mask, colour in ((penumbra, PENUMBRA_COLOUR), (infarct, INFARCT_COLOUR)):
            if mask is not None:
                outline(sheet.panels[1, column], mask, index, crop, colour, width=0.8)
    return sheet


def _slices_about(head: Volume, marked: Volume, count: int) -> list[int]:
    """Slices from below, from the last without a mark to the first without, the largest area among them."""
    areas = slice_areas_cm2(marked)
    touched = np.flatnonzero(areas)
    if not touched.size:
        return [int(index) for index in even_slices(head, count)]
    context = max(touched[-1] - touched[0] + 3, count, round(count * _APART_MM / stack_spacing_mm(marked)[0]))
    low = max(0, min(int(np.ceil((touched[0] + touched[-1] - context + 1) / 2)), len(areas) - context))
    slices = np.unique(np.linspace(low, min(low + context, len(areas)) - 1, count).round().astype(int))
    if areas[slices].max() < areas.max():
        slices[np.argmin(np.abs(slices - areas.argmax()))] = areas.argmax()
    return [int(index) for index in (slices if "S" in marked.grid.axes else slices[::-1])]


def _slices_with_infarct(head: Volume, infarct: Volume, count: int) -> list[int]:
    """Evenly spaced slices from below, the nearest one replaced by the slice with the largest infarct area."""
    slices = np.array(even_slices(head, count))
    areas = slice_areas_cm2(infarct)
    if areas.any():
        slices[np.argmin(np.abs(slices - areas.argmax()))] = areas.argmax()
    return [int(index) for index in slices]


def write_contact_sheet(folder: Path) -> None:
    """Draw the first virtual patients of a folder, infarcts outlined, to contact_sheet.png; nothing where none are."""
    from adn.io import read_volume

    cases = sorted(folder.glob("vp-*"))[:SHEET_ROWS]
    if not cases:
        return
    infarcts = [read_volume(case / "infarct.nii.gz", np.uint8, "label") for case in cases]
    contact_sheet([_ct(case) for case in cases], infarcts, [case.name for case in cases]).save(folder / SHEET)


def _ct(case: Path) -> Volume:
    from adn.io import open_scan, read_volume

    if (case / "dicom").is_dir():
        return open_scan(case / "dicom").volume
    return read_volume(case / "ct.nii.gz", np.int16)
