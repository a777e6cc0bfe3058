"""Masks of many cases: which files there are, by case, and each as zeros and ones."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adn.errors import InputError
from adn.io import itk, nifti
from adn.io.names import case_name
from adn.volume import Volume

_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_MASK, _PROBABILITY, _BRAINS = "infarct.nii.gz", "infarct_probability.nii.gz", ("brain_mask.nii.gz", "brain.nii.gz")
LOOKED_FOR = (
    "folders <case>/infarct.nii.gz, masks <case>.nii.gz (.nii, .nrrd, .mha), or a CSV with the columns name and infarct"
)


@dataclass(frozen=True)
class MaskFiles:
    """The files of one case. subject: what it shares with cases that resemble it (patient, head); '' where unknown."""

    name: str
    infarct: Path
    probability: Path | None = None
    brain: Path | None = None
    subject: str = ""


def find_masks(path: Path | str) -> dict[str, MaskFiles]:
    """Every mask in a place, by case name, sorted.

    path: a folder with a folder per case (as `adn predict`, `adn synth` write them), or with a mask file per case; one
    case folder; one mask file; or a CSV with the columns name (or case) and infarct, and, where known, probability,
    brain and subject, its paths relative to it. Raises InputError where there is none, one is absent or two share a
    name.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the name.")
    if path.suffix.lower() == ".csv":
        found = _from_csv(path)
    elif path.is_file():
        found = [MaskFiles(case_name(path), path)]
    else:
        found = _from_folder(path)
    if not found:
        raise InputError(f"{path}: no masks found. Looked for {LOOKED_FOR}.")
    by_name: dict[str, MaskFiles] = {}
    for files in sorted(found, key=lambda files: files.name):
        if files.name in by_name:
            both = f"{by_name[files.name].infarct} and {files.infarct}"
            raise InputError(f"{path}: every case needs one mask, but '{files.name}' has {both}; remove or rename one.")
        by_name[files.name] = files
    return by_name


def read_mask(path: Path) -> Volume:
    """A mask as uint8 0 and 1 in the file's own axis order. Raises InputError, naming the file, for other values."""
    volume = nifti.read_volume(path) if path.name.lower().endswith((".nii", ".nii.gz")) else itk.load(path)[0]
    mask = volume.data != 0
    if not np.array_equal(volume.data, mask):
        raise InputError(
            f"{path}: a mask must hold 0 and 1 only, but this one holds {_some_values(volume)}. "
            "Choose a label, or put a threshold to a probability."
        )
    return volume.with_data(mask.astype(np.uint8), "label")


def _some_values(volume: Volume) -> str:
    values = np.unique(volume.data)
    return ", ".join(f"{v:g}" for v in values[:5]) + (", …" if values.size > 5 else "")


def _from_folder(folder: Path) -> list[MaskFiles]:
    if (folder / _MASK).is_file():
        return [_from_case(folder.resolve())]
    cases = [_from_case(inner) for inner in folder.iterdir() if (inner / _MASK).is_file()]
    masks = [file for file in folder.iterdir() if file.is_file() and file.name.lower().endswith(_SUFFIXES)]
    return cases + [MaskFiles(case_name(file), file) for file in masks if not file.name.startswith(".")]


def _from_case(folder: Path) -> MaskFiles:
    probability = folder / _PROBABILITY
    brain = next((folder / name for name in _BRAINS if (folder / name).is_file()), None)
    known = probability if probability.is_file() else None
    return MaskFiles(folder.name, folder / _MASK, known, brain, _virtual_head(folder / "plan.json"))


def _virtual_head(plan: Path) -> str:
    """The head that a virtual patient was made from; '' where there is no plan."""
    try:
        return f"head {json.loads(plan.read_text(encoding='utf-8'))['head']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _from_csv(table: Path) -> list[MaskFiles]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: needed a CSV in UTF-8, but it cannot be read ({error}); save it again.") from error
    columns = set(rows[0]) if rows else set()
    if not ({"name", "case"} & columns and "infarct" in columns):
        raise InputError(f"{table}: needs the columns name and infarct, has {', '.join(map(str, columns)) or 'none'}.")
    return [_from_row(table, number, row) for number, row in enumerate(rows, start=2)]


def _from_row(table: Path, number: int, row: dict[str, str]) -> MaskFiles:
    name = (row.get("name") or row.get("case") or "").strip()
    paths = {key: table.parent / row[key].strip() for key in ("infarct", "probability", "brain") if row.get(key)}
    if not name or "infarct" not in paths:
        raise InputError(f"{table}: row {number} needs a name and an infarct mask; fill them in or remove the row.")
    for path in paths.values():
        if not path.is_file():
            raise InputError(f"{table}: row {number} ({name}) names {path}, which is no file; correct the path.")
    subject = (row.get("subject") or "").strip()
    return MaskFiles(name, paths["infarct"], paths.get("probability"), paths.get("brain"), subject)
