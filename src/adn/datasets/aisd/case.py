"""Imports one AISD case: pairs its PNGs with its DICOM, maps the labels, and writes the case folder atomically."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.datasets.aisd.files import CaseFiles, read_png
from adn.datasets.aisd.match import Match, Unmatched, match_slices, read_stack, turned
from adn.datasets.aisd.png import png_volume
from adn.datasets.imports import PREVIEW, draw_preview, line_of, read_record
from adn.errors import InputError
from adn.io import open_scan, write_volume
from adn.io.atomic import atomic_folder, remove_folder
from adn.io.choice import choose
from adn.io.digest import sha256
from adn.io.series import Series, read_headers
from adn.io.slices import labels_on_grid
from adn.io.stacks import gaps_mm
from adn.remarks import notes as noted
from adn.space.volume import Volume

INFARCT_VALUES = (1, 2, 3, 5)  # remote, clear acute, blurred acute, infarct (method, section 6)
INVISIBLE_VALUE = 4  # invisible acute: kept apart; left out of training, and scored both ways
LATE_DICOM = frozenset(("0091465", "0091468", "0091505", "0091519"))  # in dicom-3.tar.gz, published after the others
RECORD = "aisd.json"
_VERSION = 2  # raise when the import changes, so that cases are imported anew


class Assumed(NamedTuple):
    """What PNGs do not record: HU of grey levels 0 and 255, and mm between slices, rows, columns.

    known: the number of cases with DICOM that these are medians of.
    """

    window_hu: tuple[float, float]
    spacing_mm: tuple[float, float, float]
    known: int


@dataclass(frozen=True)
class Imported:
    """One line of the report.

    outcome: 'imported' or 'left out'. hu: 'dicom', or 'png' if estimated. order: whether the PNGs run in the order of
    the DICOM slices from below, 'same' or 'reversed'. turn: 0, or how a PNG is turned or flipped (see `match.turned`).
    problems: plain sentences; empty for a clean case. notes: what was corrected or adapted, such as a tilt.
    """

    case: str
    outcome: str
    hu: str = ""
    slices: int = 0
    order: str = ""
    turn: int = 0
    window_hu: tuple[float, float] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    infarct_ml: float = 0.0
    invisible_ml: float = 0.0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Pictures(NamedTuple):
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    remarks: tuple[str, ...]


def import_case(files: CaseFiles, destination: Path, assumed: Assumed | None) -> Imported | None:
    """Write one case folder; None if its DICOM is unusable and nothing is assumed yet, so that it is imported last.

    A folder made from the same files is kept. Problems with the files are reported in the line, not raised.
    """
    folder, digest = destination / files.case, _digest(files)
    old = read_record(folder / RECORD) or {"digest": None}
    kept = old["digest"] == digest
    if kept and (old["line"]["hu"] == "dicom" or (assumed and old["assumed"] == _plain(assumed))):
        return line_of(Imported, old["line"])
    if assumed is None and (kept or not files.dicom):
        return None
    line = Imported(files.case, "left out", problems=tuple(files.problems))
    try:
        pictures = _read_pictures(files)
        line = replace(line, problems=line.problems + pictures.remarks)
        found = _from_dicom_or_png(files, pictures, line, assumed)
    except InputError as error:
        if read_record(folder / RECORD) is not None:  # or an earlier import would look like the result of this one
            remove_folder(folder)
        return replace(line, problems=(*line.problems, str(error)))
    if found is None:
        return None
    ct, labels, line = found
    _write_case(folder, ct, labels, {"digest": digest, "assumed": _plain(assumed), "line": asdict(line)})
    return line


def _from_dicom_or_png(
    files: CaseFiles, pictures: _Pictures, line: Imported, assumed: Assumed | None
) -> tuple[Volume, Volume, Imported] | None:
    if files.dicom:
        try:
            ct, labels, line = _from_dicom(files, pictures, line)
            return ct, labels, _measured(line, labels)
        except Unmatched as unmatched:
            line = replace(line, problems=(*line.problems, f"The DICOM is not this scan: {unmatched}."))
    if assumed is None:
        return None
    ct, labels, line = _from_png(files, pictures, line, assumed)
    return ct, labels, _measured(line, labels)


def _read_pictures(files: CaseFiles) -> _Pictures:
    """Read the case's PNGs in order of their numbers. Raises InputError if images and masks do not match."""
    if set(files.images) != set(files.masks):
        odd = sorted(set(files.images) ^ set(files.masks))
        raise InputError(
            f"There are {len(files.images)} image and {len(files.masks)} mask PNGs (without a partner: "
            f"{', '.join(f'{number:03d}' for number in odd[:5])}{', …' if len(odd) > 5 else ''}): copy the case again."
        )
    numbers = sorted(files.images)
    images = [read_png(files.images[number]) for number in numbers]
    labels = [read_png(files.masks[number]) for number in numbers]
    if len({picture.shape for picture in (*images, *labels)}) > 1:
        raise InputError("The case's PNGs have different sizes: copy the case again.")
    stack = np.stack(labels)
    unknown = sorted(set(np.unique(stack).tolist()) - {0, *INFARCT_VALUES, INVISIBLE_VALUE})
    if unknown:
        raise InputError(f"The mask holds values that AISD does not define: {unknown}; only 0 to 5 are known.")
    remarks = []
    if numbers[-1] - numbers[0] + 1 != len(numbers):
        remarks.append(f"PNG numbers jump: {len(numbers)} files from {numbers[0]:03d} to {numbers[-1]:03d}.")
    if not np.isin(stack, INFARCT_VALUES).any():
        what = "only invisible infarct (label 4)" if stack.any() else "nothing"
        remarks.append(f"The mask holds {what}: the case has no infarct to learn from.")
    return _Pictures(np.stack(images), stack, tuple(remarks))


def _from_dicom(files: CaseFiles, pictures: _Pictures, line: Imported) -> tuple[Volume, Volume, Imported]:
    """The scan from DICOM, and the labels on its grid. Raises Unmatched, or InputError if the match is ambiguous."""
    folder = Path(os.path.commonpath([path.parent for path in files.dicom]))
    series, match, slices = _find_series(files, folder, pictures)
    scan = open_scan(folder, series=series.first.uid)
    stack = np.zeros((slices, *turned(pictures.labels[:1], match.turn).shape[1:]), np.uint8)
    for picture, place in zip(turned(pictures.labels, match.turn), match.slices, strict=True):
        if place >= 0:
            stack[place] = picture
    labels = scan.volume.with_data(labels_on_grid(stack, series, scan.volume.grid), "label")
    problems, notes = list(line.problems), [*noted(scan.remarks), *scan.warnings]
    if slices > len(pictures.images):
        extra = slices - len(pictures.images)
        problems.append(f"{extra} of {slices} DICOM slices have no PNG and count as free of infarct.")
    if match.turn:
        notes.append(f"The PNGs are turned or flipped against the DICOM slices (way {match.turn} of 0 to 7).")
    line = replace(
        line,
        outcome="imported",
        hu="dicom",
        slices=slices,
        order="reversed" if match.reversed else "same",
        turn=match.turn,
        window_hu=match.window_hu,
        spacing_mm=(float(np.median(gaps_mm(series))), *series.first.spacing_mm),
        problems=tuple(problems),
        notes=tuple(notes),
    )
    return scan.volume, labels, line


def _find_series(files: CaseFiles, folder: Path, pictures: _Pictures) -> tuple[Series, Match, int]:
    """The series that the PNGs were made from; if several match, the one that correlates best."""
    headers = read_headers(files.dicom)
    needed = np.asarray(pictures.labels.any(axis=(1, 2)))
    found: list[tuple[float, Series, Match, int]] = []
    failures: list[Exception] = []
    for uid in sorted({header.uid for header in headers}):
        try:
            series = choose(headers, folder, wanted=uid)[0]
            stack = read_stack(series)
            match = match_slices(pictures.images, stack, needed)
            found.append((match.correlation, series, match, len(stack)))
        except (Unmatched, InputError) as failure:
            failures.append(failure)
    if not found:
        raise failures[0] if failures else Unmatched("it holds no images")
    _, series, match, slices = max(found, key=lambda entry: entry[0])
    return series, match, slices


def _from_png(
    files: CaseFiles, pictures: _Pictures, line: Imported, assumed: Assumed
) -> tuple[Volume, Volume, Imported]:
    """The scan from the PNGs alone, with assumed window and voxel size; the labels apply without resampling."""
    ct = png_volume(pictures.images, assumed.window_hu, assumed.spacing_mm)
    upright = ct.volume.with_data(pictures.labels[::-1] if ct.reversed else pictures.labels, "label")
    low, high = assumed.window_hu
    source = f"the middle of {assumed.known} with DICOM" if assumed.known else "as the data set usually has"
    step, row, column = assumed.spacing_mm
    late = " This case's DICOM came late, in dicom-3.tar.gz." if files.case in LATE_DICOM and not files.dicom else ""
    why = "" if files.dicom else "There is no DICOM. "
    problem = (
        f"{why}HU were estimated from the PNGs (window {low:.0f} to {high:.0f} HU) and voxels of {step:.1f} × "
        f"{row:.2f} × {column:.2f} mm assumed ({source}): volumes and distances are rough.{late}"
    )
    line = replace(
        line,
        outcome="imported",
        hu="png",
        slices=len(pictures.images),
        window_hu=assumed.window_hu,
        spacing_mm=assumed.spacing_mm,
        problems=(*line.problems, problem),
    )
    return ct.volume, upright, line


def _measured(line: Imported, labels: Volume) -> Imported:
    infarct = int(np.isin(labels.data, INFARCT_VALUES).sum())
    invisible = int((labels.data == INVISIBLE_VALUE).sum())
    voxel_ml = labels.grid.voxel_ml
    return replace(line, infarct_ml=infarct * voxel_ml, invisible_ml=invisible * voxel_ml)


def _write_case(folder: Path, ct: Volume, labels: Volume, record: dict[str, Any]) -> None:
    """Write the case folder, whole or not at all, replacing one from an earlier import."""
    infarct = labels.with_data(np.isin(labels.data, INFARCT_VALUES).astype(np.uint8))
    invisible = labels.with_data((labels.data == INVISIBLE_VALUE).astype(np.uint8))
    with atomic_folder(folder, marker=RECORD, overwrite=True) as partial:
        write_volume(ct.with_data(np.rint(ct.data).astype(np.int16)), partial / "ct.nii.gz")
        write_volume(infarct, partial / "infarct.nii.gz")
        if invisible.data.any():
            write_volume(invisible, partial / "ignore.nii.gz")
        draw_preview(partial / PREVIEW, ct, infarct)
        (partial / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


def _plain(assumed: Assumed | None) -> list | None:
    """The same value as JSON would return it."""
    return None if assumed is None else json.loads(json.dumps(assumed))


def _digest(files: CaseFiles) -> str:
    """A hash that changes with any file of the case: PNGs by content, DICOM by name and size."""
    parts: list[bytes | str] = [f"{_VERSION}"]
    for path in (*(files.images[n] for n in sorted(files.images)), *(files.masks[n] for n in sorted(files.masks))):
        parts += [path.stem, path.read_bytes()]
    for path in sorted(files.dicom):
        parts.append(f"{path.name} {path.stat().st_size}")
    return sha256(*parts)
