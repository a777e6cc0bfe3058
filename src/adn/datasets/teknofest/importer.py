"""Imports TEKNOFEST-2021's ischemia part from a user's own download into case folders, and reports every problem.

Koç et al., Eurasian J Med 2022;54(3):248-258, doi 10.5152/eurasianjmed.2022.22096. Published "for further research"
without a stated licence: adn neither downloads nor ships anything of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adn.datasets.imports import (
    PREVIEW,
    draw_part,
    line_of,
    pictures,
    read_record,
    render,
    write_lines,
    write_part_cases,
)
from adn.datasets.layouts import write_licence
from adn.datasets.parts import PartOfHead, close_speckles, lay_slices
from adn.datasets.splits import make_split, write_split
from adn.datasets.teknofest.anatomy import Grounds, portraits, runs_down, same_heads
from adn.datasets.teknofest.files import find_slices, read_mask
from adn.datasets.teknofest.series import DecoderError, FoundSeries, group, read_headers, read_hu
from adn.errors import InputError
from adn.io import atomic_path, read_volume
from adn.io.atomic import atomic_folder
from adn.io.digest import file_sha256, sha256
from adn.work.progress import Progress

REPORT, PAGE, SPLIT, TABLE, RECORD = "import.csv", "import.html", "split.csv", "cases.csv", "teknofest.json"
LICENCE = (
    "For research use only: trained on the stroke data set of TEKNOFEST-2021 (Koc et al., Eurasian J Med "
    "2022;54(3):248-258, doi 10.5152/eurasianjmed.2022.22096), published for further research without a stated licence."
)
_VERSION = 2  # raise when the import changes, so that cases are imported anew
_HELD_OUT = 25 / 137  # share of the patients held out for validation, and for testing


@dataclass(frozen=True)
class ImportedSeries:
    """One line of the report.

    outcome: 'imported' or 'left out'. patient: the first case of the same head. slices: acquired ones. height: slices
    from first to last, including gaps. turned: whether the numbers ran downwards. direction: the evidence for that (see
    `runs_down`). closed: share that closing speckles added; 0 if the outline stayed as drawn. problems: plain
    sentences.
    """

    case: str
    outcome: str
    patient: str = ""
    maker: str = ""
    slices: int = 0
    height: int = 0
    turned: bool = False
    direction: Grounds = "none"
    spacing_mm: tuple[float, float, float] | None = None
    infarct_ml: float = 0.0
    closed: float = 0.0
    problems: tuple[str, ...] = ()


def import_teknofest(
    source: Path | str,
    destination: Path | str,
    *,
    close: bool = True,
    progress: Progress | None = None,
) -> list[ImportedSeries]:
    """Write `destination/<case>/ct.nii.gz, infarct.nii.gz, seen.nii.gz` for every series that can be imported.

    source: the unpacked download; it is not modified. close: close and fill masks that thresholding left speckled. A
    case is named after the lowest number of its files; only the maker is kept from the headers. Cases already imported
    from the same files are kept, so an interrupted import can be resumed. Also written: cases.csv with the patients
    (series of one head are one patient), split.csv, import.csv and import.html, a page of all cases. progress: called
    with (done, all). Returns a line per series. Raises InputError if there is nothing to import or no decoder for it,
    OutputError if nothing can be written.
    """
    source, destination = Path(source), Path(destination)
    files = find_slices(source, destination)
    destination.mkdir(parents=True, exist_ok=True)
    try:
        slices, refused = read_headers(files)
    except DecoderError as error:
        raise InputError(str(error)) from error
    lines = [ImportedSeries(f"case_{name}", "left out", problems=(f"Slice {name}: {why}.",))
             for name, why in refused.items()]  # fmt: skip
    found = group(slices)
    for done, series in enumerate(found, start=1):
        lines.append(_import_series(series, destination, close))
        if progress:
            progress(done, len(found))
    lines = _with_patients(sorted(lines, key=lambda line: (len(line.case), line.case)), destination)
    _write_tables(lines, destination)
    return lines


def _import_series(series: FoundSeries, destination: Path, close: bool) -> ImportedSeries:
    folder, digest = destination / series.name, _digest(series, close)
    old = read_record(folder / RECORD)
    if old and old["digest"] == digest:
        return line_of(ImportedSeries, old["line"])
    line = ImportedSeries(series.name, "left out", maker=series.slices[0].instance.maker, problems=series.problems)
    try:
        part, line = _lay(series, line, close)
    except InputError as error:
        return replace(line, problems=(*line.problems, str(error)))
    with atomic_folder(folder, marker=RECORD, overwrite=True) as partial:
        part.write(partial)
        draw_part(partial / PREVIEW, part)
        record = {"digest": digest, "line": asdict(line)}
        (partial / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    return line


def _lay(series: FoundSeries, line: ImportedSeries, close: bool) -> tuple[PartOfHead, ImportedSeries]:
    """Read a series, order it upwards and place its slices at their heights. Raises InputError if none is usable."""
    planes, masks, places, problems = [], [], [], list(line.problems)
    for place, one in enumerate(series.slices):
        try:
            hu = read_hu(one.files)
            mask = read_mask(one.files, (hu.shape[0], hu.shape[1]))
        except InputError as error:
            problems.append(f"Slice {one.files.name} is left out: {error}")
            continue
        if mask is None or not mask.any():
            what = "no outline" if mask is None else "an empty outline"
            problems.append(f"Slice {one.files.name} has {what} and is left out.")
            continue
        planes.append(hu)
        masks.append(mask)
        places.append(series.places[place] if series.places else place)
    if not planes or len({plane.shape for plane in planes}) > 1:
        reasons = " ".join(problems[len(line.problems) :][:2])
        mixed = "The slices have different sizes, so they are not one scan."
        raise InputError(mixed if planes else f"No slice can be used. {reasons}")
    first = series.slices[0]
    spacing = (first.thickness_mm, *first.spacing_mm)
    hu, outline = np.stack(planes), np.stack(masks)
    down, grounds = runs_down(hu, first.spacing_mm[0])
    if down:
        hu, outline, places = hu[::-1], outline[::-1], [places[-1] - place for place in reversed(places)]
    if grounds != "bone":
        problems.append("It is not certain which end is the lower one: look at the picture." if grounds == "area"
                        else "There is only one slice.")  # fmt: skip
    closed = 0.0
    if close:
        drawn = outline
        outline, share = close_speckles(outline, spacing)
        closed = share if not np.array_equal(outline, drawn) else 0.0
    part = lay_slices(hu, outline, spacing, places if series.places else None)
    return part, replace(
        line,
        outcome="imported",
        slices=len(hu),
        height=places[-1] - places[0] + 1,
        turned=down,
        direction=grounds,
        spacing_mm=spacing,
        infarct_ml=part.infarct_ml,
        closed=closed,
        problems=tuple(problems),
    )


def _with_patients(lines: Sequence[ImportedSeries], destination: Path) -> list[ImportedSeries]:
    """Assign a patient to each line; series of the same head share one."""
    stacks: dict[str, NDArray[np.float32]] = {}
    for line in lines:
        if line.outcome == "imported":
            ct = read_volume(destination / line.case / "ct.nii.gz", np.int16).reoriented("SPL")
            seen = read_volume(destination / line.case / "seen.nii.gz", np.uint8).reoriented("SPL")
            stacks[line.case] = portraits(ct.data[seen.data.any(axis=(1, 2))], ct.grid.spacing_mm[1])
    patients = same_heads(stacks, {line.case: line.maker for line in lines})
    found = []
    for line in lines:
        patient = patients.get(line.case, "")
        if patient and patient != line.case:
            said = f"It shows the head of {patient} and counts as the same patient."
            line = replace(line, problems=(*line.problems, said))
        found.append(replace(line, patient=patient))
    return found


def _write_tables(lines: Sequence[ImportedSeries], destination: Path) -> None:
    imported = [line for line in lines if line.outcome == "imported"]
    write_lines(lines, destination / REPORT)
    write_part_cases([(line.case, line.patient) for line in imported], destination / TABLE)
    write_licence(destination, LICENCE)
    if len({line.patient for line in imported}) >= 3:
        measured = [(line.case, line.patient, line.infarct_ml) for line in imported]
        write_split(make_split(measured, 0, validation=_HELD_OUT, test=_HELD_OUT), destination / SPLIT)
    with atomic_path(destination / PAGE) as temporary:
        temporary.write_text(render_page(lines, destination), encoding="utf-8")


def render_page(lines: Sequence[ImportedSeries], folder: Path) -> str:
    """The page as HTML text with embedded pictures, no external links and no scripts."""
    imported = [line for line in lines if line.outcome == "imported"]
    return render(
        "teknofest/import.html.j2",
        lines=lines,
        imported=imported,
        patients=len({line.patient for line in imported}),
        troubled=sorted((line for line in lines if line.problems), key=lambda line: line.outcome != "left out"),
        closed=sum(line.closed > 0 for line in imported),
        turned=sum(line.turned for line in imported),
        pictures=pictures((line.case for line in imported), folder),
    )


def _digest(series: FoundSeries, close: bool) -> str:
    """A hash that changes with any file of the series, and with the options of the import."""
    text = f"{_VERSION} {close}"
    for one in series.slices:
        for path in (one.files.dicom, one.files.mask or one.files.overlay):
            if path is not None:
                text += f" {path.stem} {file_sha256(path)}"
    return sha256(text)
