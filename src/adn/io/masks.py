"""Masks of many cases: finds the files of each case and reads every mask as zeros and ones."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from adn.errors import InputError
from adn.io import itk, nifti
from adn.io.names import case_name
from adn.io.text import found_path, letters, read_table
from adn.space.volume import Volume

_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_MASK, _PROBABILITY, _BRAINS = "infarct.nii.gz", "infarct_probability.nii.gz", ("brain_mask.nii.gz", "brain.nii.gz")
_IGNORE, _SEEN = "ignore.nii.gz", "seen.nii.gz"
_OPTIONAL = ("probability", "brain", "ignore", "seen")
LOOKED_FOR = (
    "folders <case>/infarct.nii.gz, masks <case>.nii.gz (.nii, .nrrd, .mha), or a CSV with the columns name and infarct"
)


@dataclass(frozen=True)
class MaskFiles:
    """The files of one case. ignore: voxels left out of scoring (AISD's invisible infarct).

    seen: 1 in slices that were acquired, 0 in slices filled in between or beyond them; None: all were acquired.
    subject: the patient or head that the case shares with others; '' if unknown.
    """

    name: str
    infarct: Path
    probability: Path | None = None
    brain: Path | None = None
    ignore: Path | None = None
    seen: Path | None = None
    subject: str = ""


def find_masks(path: Path | str) -> dict[str, MaskFiles]:
    """Find every mask at `path`, keyed and sorted by case name.

    path: a folder holding one folder per case (as `adn predict` and `adn synth` write them) or one mask file per case;
    a single case folder; a single mask file; or a CSV with the columns name (or case) and infarct and, where known,
    probability, brain, ignore, seen and subject, with paths relative to the CSV (rows without infarct are skipped).
    Raises InputError if there are no masks, a listed one is missing, or two share a name.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder; check the name.", path)
    if path.suffix.lower() == ".csv":
        found = _from_csv(path)
    elif path.is_file():
        found = [MaskFiles(case_name(path), path)]
    else:
        found = _from_folder(path)
    if not found:
        raise InputError(f"no masks found. Looked for {LOOKED_FOR}.", path)
    by_name: dict[str, MaskFiles] = {}
    named = (replace(files, name=letters(files.name), subject=letters(files.subject)) for files in found)
    for files in sorted(named, key=lambda files: files.name):
        if files.name in by_name:
            both = f"{by_name[files.name].infarct} and {files.infarct}"
            raise InputError(f"every case needs one mask, but '{files.name}' has {both}; remove or rename one.", path)
        by_name[files.name] = files
    return by_name


def read_mask(path: Path) -> Volume:
    """Read a mask as uint8 0 and 1 in the file's own axis order. Raises InputError, naming the file, otherwise."""
    volume = nifti.read_volume(path) if path.name.lower().endswith((".nii", ".nii.gz")) else itk.load(path)[0]
    mask = volume.data != 0
    if not np.array_equal(volume.data, mask):
        raise InputError(
            f"a mask must hold 0 and 1 only, but this one holds {_some_values(volume)}. "
            "Choose a label, or apply a threshold to a probability.",
            path,
        )
    return volume.with_data(mask.astype(np.uint8), "label")


def _some_values(volume: Volume) -> str:
    values = np.unique(volume.data)
    return ", ".join(f"{v:g}" for v in values[:5]) + (", …" if values.size > 5 else "")


def _from_folder(folder: Path) -> list[MaskFiles]:
    if (folder / _MASK).is_file():
        return [_from_case(folder.resolve())]
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]  # hidden: half-written
    cases = [_from_case(path) for path in inside if (path / _MASK).is_file()]
    masks = [path for path in inside if path.is_file() and path.name.lower().endswith(_SUFFIXES)]
    return cases + [MaskFiles(case_name(path), path) for path in masks]


def _from_case(folder: Path) -> MaskFiles:
    names = (_PROBABILITY, _IGNORE, _SEEN)
    probability, ignore, seen = (folder / name if (folder / name).is_file() else None for name in names)
    brain = next((folder / name for name in _BRAINS if (folder / name).is_file()), None)
    return MaskFiles(folder.name, folder / _MASK, probability, brain, ignore, seen, _subject(folder))


def _subject(folder: Path) -> str:
    """The head that a virtual patient was made from, or the patient named by `sub-<patient>_…`; '' otherwise."""
    try:
        return f"head {json.loads((folder / 'plan.json').read_text(encoding='utf-8'))['head']}"
    except (OSError, ValueError, KeyError, TypeError):
        patient = re.match(r"sub-[A-Za-z0-9]+", folder.name)
        return patient.group() if patient else ""


def _from_csv(table: Path) -> list[MaskFiles]:
    columns, rows = read_table(table)
    if not ({"name", "case"} & set(columns) and "infarct" in columns):
        raise InputError(
            f"needs the columns name and infarct, but the columns are: {', '.join(columns) or 'none'}.", table
        )
    return [_from_row(table, number, row) for number, row in rows if row["infarct"]]


def _from_row(table: Path, number: int, row: dict[str, str]) -> MaskFiles:
    name = row.get("name") or row.get("case") or ""
    named = {key: row[key] for key in ("infarct", *_OPTIONAL) if row.get(key)}
    if not name:
        raise InputError(f"row {number} needs a name, by which cases are matched; fill it in.", table)
    paths: dict[str, Path] = {}
    for key, text in named.items():
        found = found_path(table.parent, text)
        if found is None or not found.is_file():
            raise InputError(
                f"row {number} ({name}) names {table.parent / text[:200]}, which is not a file; correct the path.",
                table,
            )
        paths[key] = found
    return MaskFiles(name, paths["infarct"], *(paths.get(key) for key in _OPTIONAL), subject=row.get("subject", ""))
