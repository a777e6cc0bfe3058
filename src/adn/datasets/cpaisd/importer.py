"""Imports CPAISD from a user's own download into case folders, core and penumbra apart, and reports every problem.

Umerenkov et al. 2024, arXiv 2404.02518; CC BY 4.0. adn neither downloads nor ships anything of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adn.datasets.cpaisd.files import CORE, PARTS, PENUMBRA, StudyFiles, find_studies
from adn.datasets.cpaisd.study import Study, read_study
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
from adn.datasets.parts import PartOfHead, lay_mask, lay_slices
from adn.datasets.splits import Split, SplitRow, write_split
from adn.errors import InputError
from adn.io import atomic_path, write_volume
from adn.io.atomic import atomic_folder, remove_folder
from adn.io.digest import file_sha256, sha256
from adn.space.volume import Volume
from adn.work.progress import Progress

REPORT, PAGE, SPLIT, TABLE, RECORD = "import.csv", "import.html", "split.csv", "cases.csv", "cpaisd.json"
LICENCE = "Trained on CPAISD (Umerenkov et al. 2024, arXiv 2404.02518), CC BY 4.0."
_VERSION = 1  # raise when the import changes, so that cases are imported anew


@dataclass(frozen=True)
class ImportedStudy:
    """One line of the report.

    outcome: 'imported' or 'left out'. part: of the split. patient: the first case that shows the same scan. slices:
    acquired ones. height: slices from first to last, including gaps. tilt_deg: of the gantry. infarct_ml: volume of
    the mask used for training. problems: plain sentences.
    """

    case: str
    outcome: str
    part: str
    patient: str = ""
    slices: int = 0
    height: int = 0
    spacing_mm: tuple[float, float, float] | None = None
    tilt_deg: float = 0.0
    infarct_ml: float = 0.0
    core_ml: float = 0.0
    penumbra_ml: float = 0.0
    problems: tuple[str, ...] = ()


class _Found(NamedTuple):
    """A study's line, and the hashes that identify its slices (see `Study.pixels`)."""

    line: ImportedStudy
    pixels: tuple[str, ...] = ()


def import_cpaisd(
    source: Path | str,
    destination: Path | str,
    *,
    penumbra: bool = False,
    progress: Progress | None = None,
) -> list[ImportedStudy]:
    """Write `destination/<case>/ct.nii.gz, infarct.nii.gz, seen.nii.gz` for every study whose slices form one stack.

    source: the unpacked archive (see `files`); it is not modified. penumbra: whether infarct.nii.gz holds core and
    penumbra or only the core; core.nii.gz and penumbra.nii.gz are written either way. HU, order and distances come from
    raw.dcm; nothing else of the headers, and nothing of metadata.json, is kept. Cases already imported from the same
    files are kept, so an interrupted import can be resumed. Also written: cases.csv, split.csv (the archive's own
    parts), import.csv and import.html, a page of all cases. progress: called with (done, all). Returns a line per
    study. Raises InputError if there is nothing to import, OutputError if nothing can be written.
    """
    source, destination = Path(source), Path(destination)
    studies = find_studies(source, destination)
    destination.mkdir(parents=True, exist_ok=True)
    found = []
    for done, files in enumerate(studies, start=1):
        found.append(_import_study(files, destination, penumbra))
        if progress:
            progress(done, len(studies))
    lines = _with_patients(found)
    _write_tables(lines, destination, penumbra)
    return lines


def _import_study(files: StudyFiles, destination: Path, penumbra: bool) -> _Found:
    folder, digest = destination / files.case, _digest(files, penumbra)
    old = read_record(folder / RECORD)
    if old and old["digest"] == digest:
        return _Found(line_of(ImportedStudy, old["line"]), tuple(old["pixels"]))
    line = ImportedStudy(files.case, "left out", files.part)
    try:
        study = read_study(files)
    except InputError as error:
        if old:  # or an earlier import would look like the result of this one
            remove_folder(folder)
        return _Found(replace(line, problems=(error.what,)))
    part, core, around = _lay(study, penumbra)
    line = _measured(line, study, part, core, around)
    with atomic_folder(folder, marker=RECORD, overwrite=True) as partial:
        part.write(partial)
        write_volume(core, partial / "core.nii.gz")
        write_volume(around, partial / "penumbra.nii.gz")
        draw_part(partial / PREVIEW, part, core, around)
        record: dict[str, Any] = {"digest": digest, "line": asdict(line), "pixels": study.pixels}
        (partial / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    return _Found(line, study.pixels)


def _lay(study: Study, penumbra: bool) -> tuple[PartOfHead, Volume, Volume]:
    """The part of a head, its core and its penumbra, which do not overlap, not even in interpolated slices."""
    taught = study.labels > 0 if penumbra else study.labels == CORE
    part = lay_slices(study.hu, taught.astype(np.uint8), study.spacing_mm, study.places)
    core = lay_mask(study.labels == CORE, study.spacing_mm, study.places)
    around = lay_mask(study.labels == PENUMBRA, study.spacing_mm, study.places)
    return part, core, around.with_data(around.data & ~core.data & 1)


def _measured(line: ImportedStudy, study: Study, part: PartOfHead, core: Volume, penumbra: Volume) -> ImportedStudy:
    """The report line of an imported study; volumes count acquired slices only."""
    core_ml, penumbra_ml = (replace(part, infarct=mask).infarct_ml for mask in (core, penumbra))
    problems = []
    if not study.labels.any():
        problems.append("Nothing is outlined.")
    elif not part.infarct.data.any():
        problems.append("No core is outlined, so the infarct's mask is empty.")
    return replace(
        line,
        outcome="imported",
        slices=len(study.hu),
        height=study.places[-1] + 1,
        spacing_mm=study.spacing_mm,
        tilt_deg=study.tilt_deg,
        infarct_ml=part.infarct_ml,
        core_ml=core_ml,
        penumbra_ml=penumbra_ml,
        problems=tuple(problems),
    )


def _with_patients(found: Sequence[_Found]) -> list[ImportedStudy]:
    """Assign a patient to each line. Studies that share a slice are one patient, placed in the most held-out part.

    Otherwise the same scan could be in both training and test.
    """
    order = list(PARTS.values())
    patient = {one.line.case: one.line.case for one in found if one.line.outcome == "imported"}
    owner: dict[str, str] = {}
    for line, pixels in found:
        for mark in pixels:
            first = patient[owner.setdefault(mark, line.case)]
            if first != patient[line.case]:
                mine = patient[line.case]
                patient = {case: first if who == mine else who for case, who in patient.items()}
    part: dict[str, str] = {}
    for line, _ in found:
        if line.case in patient:
            who = patient[line.case]
            part[who] = max(part.get(who, line.part), line.part, key=order.index)
    lines = []
    for line, _ in found:
        who = patient.get(line.case, "")
        said = list(line.problems)
        if who and who != line.case:
            said.append(f"It shows the same slices as {who} and counts as the same patient.")
        if who and part[who] != line.part:
            said.append(f"The archive has it in {line.part}; its twin is in {part[who]}, so it joins that part.")
        lines.append(replace(line, patient=who, part=part.get(who, line.part), problems=tuple(said)))
    return lines


def _write_tables(lines: Sequence[ImportedStudy], destination: Path, penumbra: bool) -> None:
    imported = [line for line in lines if line.outcome == "imported"]
    write_lines(lines, destination / REPORT)
    write_part_cases([(line.case, line.patient) for line in imported], destination / TABLE)
    write_licence(destination, LICENCE)
    if imported:
        rows = (SplitRow(line.case, line.patient, line.part, None, line.infarct_ml) for line in imported)
        write_split(Split(tuple(rows)), destination / SPLIT)
    with atomic_path(destination / PAGE) as temporary:
        temporary.write_text(render_page(lines, destination, penumbra), encoding="utf-8")


def render_page(lines: Sequence[ImportedStudy], folder: Path, penumbra: bool) -> str:
    """The page as HTML text with embedded pictures, no external links and no scripts."""
    imported = [line for line in lines if line.outcome == "imported"]
    return render(
        "cpaisd/import.html.j2",
        lines=lines,
        imported=imported,
        penumbra=penumbra,
        parts={part: sum(line.part == part for line in imported) for part in PARTS.values()},
        troubled=sorted((line for line in lines if line.problems), key=lambda line: line.outcome != "left out"),
        tilted=sum(line.tilt_deg > 0.5 for line in imported),
        pictures=pictures((line.case for line in imported), folder),
    )


def _digest(files: StudyFiles, penumbra: bool) -> str:
    """A hash that changes with any file of the study that is read, and with the options of the import."""
    text = f"{_VERSION} {penumbra} {files.part}"
    for one in files.slices:
        for path in (one.raw, one.mask):
            text += f" {one.name}/{path.name} {file_sha256(path) if path.is_file() else ''}"
    return sha256(text)
