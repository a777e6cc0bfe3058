"""Finds which files of a data set belong to which patient. Only names and small text files are read."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from adn.errors import InputError
from adn.io.atomic import atomic_path
from adn.io.names import case_name, is_dicom
from adn.io.text import found_path, letters, read_json, read_table

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
LABELS = ("infarct", "tissue", "brain", "ignore", "seen")
LICENCE = "licence.txt"  # beside the cases: the terms of use of weights trained on them
CSV_COLUMNS = ("name", "subject", "ct", *LABELS)
_INFARCT = re.compile(r"infarct|lesion|stroke|isch", re.I)
BIDS_CT = re.compile(r"_ct\.nii(\.gz)?$", re.I)
_VERSION = re.compile(r"corrected_(\d+)\.json")
_ENTITY = re.compile(r"_(?:label|desc)-([A-Za-z0-9]+)")
LOOKED_FOR = (
    "folders <case>/ct.nii.gz (or DICOM) with <case>/infarct.nii.gz; a CSV with a column ct; "
    "BIDS: sub-*/…/*_ct.nii.gz with derivatives/*/sub-*/…/*_label-infarct_mask.nii.gz; "
    "nnU-Net: dataset.json with imagesTr and labelsTr; result folders with corrected masks"
)


@dataclass(frozen=True)
class Case:
    """The files of one scan. subject: the patient; a split never separates scans of the same patient.

    ct: an image file, or a file, folder or zip with DICOM. infarct, tissue (1 GM, 2 WM, 3 CSF), brain: label images
    on the CT's grid, or None. ignore: voxels left out of scoring (AISD's invisible infarct). seen: 1 in slices that
    were acquired, 0 in slices filled in between or beyond them; None: all were acquired. test: the data set itself
    reserves the case for testing (nnU-Net's imagesTs); it is used for training only if a split says so.
    """

    name: str
    subject: str
    ct: Path
    infarct: Path | None = None
    tissue: Path | None = None
    brain: Path | None = None
    ignore: Path | None = None
    seen: Path | None = None
    test: bool = field(default=False, kw_only=True)


def find_cases(path: Path | str) -> list[Case]:
    """List the cases of a data set, sorted by name, whatever its layout (see docs/your-data.md).

    path: a folder of cases, a CSV of paths (or a folder with cases.csv), a BIDS data set, or an nnU-Net raw data set.
    Raises InputError if nothing matches, naming what was looked for, and for missing files and duplicate names.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder; check the name.", path)
    if path.is_file() and path.suffix.lower() != ".csv":
        raise InputError(f"needed a data set, but this is a single file. Looked for {LOOKED_FOR}.", path)
    found = (replace(case, name=letters(case.name), subject=letters(case.subject)) for case in _cases(path))
    cases = sorted(found, key=lambda case: case.name)
    if not cases:
        raise InputError(f"no cases found. Looked for {LOOKED_FOR}.", path)
    twice = [name for name, count in Counter(case.name.lower() for case in cases).items() if count > 1]
    if twice:
        raise InputError(f"every case needs its own name, but '{twice[0]}' is there twice; rename one.", path)
    unfit = [case.name for case in cases if case.name in (".", "..") or set(case.name) & set("/\\\0\n")]
    if unfit:
        raise InputError(f"a case's name becomes a file's name, but '{unfit[0]}' cannot; rename it.", path)
    return cases


def read_licence(path: Path) -> str:
    """The text of `licence.txt` beside the cases, about weights trained on them; '' if there is none.

    path: as in `find_cases`. Raises InputError if the file cannot be read.
    """
    file = (path if path.is_dir() else path.parent) / LICENCE
    if not file.is_file():
        return ""
    try:
        return " ".join(file.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"needed a text in UTF-8, but it cannot be read: {error}.", file) from error


def write_licence(folder: Path, licence: str) -> None:
    """Write `licence.txt` beside the cases; training on them copies its text into the weights."""
    with atomic_path(folder / LICENCE) as temporary:
        temporary.write_text(f"{licence}\n", encoding="utf-8")


def write_cases(cases: Iterable[Case], path: Path, *, relative: bool = False) -> None:
    """Write cases as a CSV of paths, which `find_cases` reads, and `adn evaluate` accepts as references.

    relative: write paths relative to the table's folder, so that it can be moved; all files must then be inside it.
    """
    home = path.parent.resolve()
    letters = "surrogateescape"  # a path that is not UTF-8 keeps its bytes
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors=letters) as file:
        writer = csv.writer(file)
        writer.writerow(CSV_COLUMNS)
        for case in cases:
            files = (getattr(case, kind) for kind in CSV_COLUMNS[2:])
            places = [file.resolve() if file else None for file in files]
            written = [place.relative_to(home) if place and relative else place for place in places]
            writer.writerow([case.name, case.subject, *(place or "" for place in written)])


def layout_of(path: Path) -> str:
    """'csv', 'nnunet', 'bids' or 'folders'."""
    if path.is_file() or (path / "cases.csv").is_file():
        return "csv"
    if (path / "dataset.json").is_file() and (path / "imagesTr").is_dir():
        return "nnunet"
    return "bids" if next(bids_scans(path), None) else "folders"


def _cases(path: Path) -> Iterable[Case]:
    match layout_of(path):
        case "csv":
            return _from_csv(path if path.is_file() else path / "cases.csv")
        case "nnunet":
            return _from_nnunet(path)
        case "bids":
            return _from_bids(path)
        case _:
            return _from_folders(path)


def _from_folders(path: Path) -> Iterable[Case]:
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        if corrected := _corrected(folder):
            yield from corrected
            continue
        ct = _image(folder, "ct") or _dicom_in(folder)
        if ct is not None:
            labels: dict[str, Any] = {kind: _image(folder, kind) for kind in LABELS}
            yield Case(folder.name, _subject(folder.name), ct, **labels)


def _corrected(folder: Path) -> list[Case]:
    """Results whose mask a reader corrected (`adn serve`, `adn view`), here or one level down, with the last mask."""
    found = []
    for place in (folder, *sorted(folder.glob("*/"))):
        numbers = [int(match[1]) for file in place.glob("corrected_*.json") if (match := _VERSION.fullmatch(file.name))]
        scan = place / "scan.nii.gz"
        if numbers and scan.is_file():
            mask, brain = place / f"corrected_{max(numbers)}.nii.gz", _image(place, "brain_mask")
            found.append(Case(place.name, _subject(place.name), scan, mask, brain=brain))
    return found


def _image(folder: Path, stem: str) -> Path | None:
    return next((folder / (stem + end) for end in IMAGE_SUFFIXES if (folder / (stem + end)).is_file()), None)


def _dicom_in(folder: Path) -> Path | None:
    """`dicom/` or a zip of it, or the case folder itself if there is DICOM anywhere inside it."""
    for place in (folder / "dicom", folder / "dicom.zip", folder / "ct.zip"):
        if place.exists():
            return place
    found = (file for file in folder.rglob("*") if not file.name.startswith(".") and file.is_file() and is_dicom(file))
    return folder if next(found, None) else None


def _subject(name: str) -> str:
    """'sub-07' from 'sub-07_ses-2' and the like; otherwise every case is a patient of its own."""
    match = re.match(r"sub-[A-Za-z0-9]+", name)
    return match.group() if match else name


def _from_csv(path: Path) -> Iterable[Case]:
    columns, rows = read_table(path)
    if "ct" not in columns:
        raise InputError(
            f"needed a column 'ct' (others: {', '.join(c for c in CSV_COLUMNS if c != 'ct')}), "
            f"but the columns are: {', '.join(columns) or 'none'}.",
            path,
        )
    for line, values in rows:
        files: dict[str, Any] = {kind: _listed(path, line, values.get(kind, "")) for kind in ("ct", *LABELS)}
        ct = files.pop("ct")
        if ct is None:
            raise InputError(f"{path}, line {line}: column 'ct' is empty; name the scan or remove the line.")
        name = values.get("name") or case_name(ct)
        yield Case(name, values.get("subject") or _subject(name), ct, **files)


def _listed(table: Path, line: int, text: str) -> Path | None:
    """A path in a table, relative to the table's folder."""
    if not text:
        return None
    path = found_path(table.parent, text)
    if path is None:
        raise InputError(f"{table}, line {line}: there is no {text[:200]} (paths are relative to the table's folder).")
    return path


def _from_nnunet(path: Path) -> Iterable[Case]:
    facts = _dataset_json(path / "dataset.json")
    channel, ending = _ct_channel(path, facts), str(facts.get("file_ending", ".nii.gz"))
    subjects = facts.get("subjects", {})
    for images, labels in (("imagesTr", "labelsTr"), ("imagesTs", "labelsTs")):
        for ct in sorted((path / images).glob(f"*_{channel:04d}{ending}")):
            name = ct.name.removesuffix(f"_{channel:04d}{ending}")
            infarct = path / labels / f"{name}{ending}"
            mask = infarct if infarct.is_file() else None
            yield Case(name, str(subjects.get(name, _subject(name))), ct, mask, test=images == "imagesTs")


def _dataset_json(path: Path) -> dict:
    facts = read_json(path)
    labels = facts.get("labels", {}) if isinstance(facts, dict) else {}
    # version 2 says {"infarct": 1}, version 1 {"1": "infarct"}
    named = {str(key): value for key, value in labels.items()}
    if all(key.isdigit() for key in named):
        named = {str(value): int(key) for key, value in named.items()}
    wanted = {name: value for name, value in named.items() if name.lower() not in ("background", "ignore")}
    if list(wanted.values()) != [1]:
        raise InputError(
            f"needed one label besides the background, infarct: 1, but 'labels' says {labels}; "
            "write the infarct alone as label 1.",
            path,
        )
    return facts


def _ct_channel(path: Path, facts: dict) -> int:
    channels = facts.get("channel_names") or facts.get("modality") or {"0": "CT"}
    found = [int(key) for key, name in channels.items() if str(name).upper() in ("CT", "NCCT")]
    if len(channels) == 1:
        return int(next(iter(channels)))
    if len(found) != 1:
        raise InputError(f"needed one channel called CT, but 'channel_names' says {channels}.", path / "dataset.json")
    return found[0]


def bids_scans(path: Path) -> Iterator[Path]:
    """The CT scans of a BIDS data set, sorted."""
    return (file for file in sorted(path.glob("sub-*/**/*")) if BIDS_CT.search(file.name) and file.is_file())


def _from_bids(path: Path) -> Iterable[Case]:
    derived = sorted(path.glob("derivatives/**/sub-*.nii*"))
    for ct in bids_scans(path):
        stem = BIDS_CT.sub("", ct.name)
        mine = [file for file in derived if file.name.startswith(f"{stem}_")]
        masks = [file for file in mine if re.search(r"_mask\.nii(\.gz)?$", file.name)]
        named = {kind: [f for f in masks if kind in _entity(f).split()] for kind in ("ignore", "seen")}
        brains = [file for file in masks if "brain" in _entity(file)]
        infarcts = [file for file in masks if _INFARCT.search(_entity(file))]
        if not infarcts:  # accept a single mask without a label in its name
            infarcts = [file for file in masks if not _entity(file)]
        tissues = [file for file in mine if re.search(r"_dseg\.nii(\.gz)?$", file.name)]
        found = (infarcts, tissues, brains, named["ignore"], named["seen"])
        yield Case(stem, _subject(stem), ct, *(_only(files, ct) for files in found))


def _entity(path: Path) -> str:
    return " ".join(_ENTITY.findall(path.name)).lower()


def _only(files: list[Path], ct: Path) -> Path | None:
    if len(files) > 1:
        raise InputError(f"needed one file of a kind, but there are {files[0]} and {files[1]}; keep one.", ct)
    return files[0] if files else None
