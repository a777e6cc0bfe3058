"""Manifests of fixed sets: they name every file and plan, and files are identified by content, wherever they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from adn.errors import InputError
from adn.io.digest import file_sha256
from adn.metrics.strata import LARGE_ML, SEEN_ML, SMALL_ML
from adn.virtual.library import Library
from adn.virtual.plan import PatientPlan
from adn.virtual.presets import PRESETS

HEALTHY = "none"
STRATA_ML: Mapping[str, tuple[float, float]] = {
    f"<={SMALL_ML:g}": (SEEN_ML, SMALL_ML),
    f"{SMALL_ML:g}-{LARGE_ML:g}": (SMALL_ML, LARGE_ML),
    f">{LARGE_ML:g}": (LARGE_ML, 500.0),
}
"""Infarct volume of the rendered mask, mL: more than the first number (less is hardly visible on 5 mm CT), at most the
second; patients without infarct are in stratum `HEALTHY`."""


@dataclass(frozen=True)
class FixedPatient:
    """One patient of a set. stratum: in `STRATA_ML`, or 'none'. infarct_ml: rendered coarsely, off by 0.5 mL or 3 %."""

    stratum: str
    infarct_ml: float
    plan: PatientPlan


@dataclass(frozen=True, eq=False)
class Preset:
    """A fixed set. heads, lesions: file name → SHA-256. sources: where those files are published, in words.

    registrations: of the heads to MNI space, stored so that they are the same on every machine.
    """

    name: str
    about: str
    heads: Mapping[str, str]
    lesions: Mapping[str, str]
    sources: Mapping[str, str]
    registrations: Mapping[str, dict]
    patients: tuple[FixedPatient, ...]

    def library(self, anatomy: Path | None = None, lesions: Path | None = None) -> Library:
        """The library of the set's files, found in these folders by content, whatever their names.

        Raises InputError, naming the file, if one is missing or differs.
        """
        return Library(
            self._found("heads", self.heads, anatomy, "`anatomy`"),
            self._found("lesions", self.lesions, lesions, "`lesions`"),
            self.registrations,
        )

    def _found(self, kind: str, wanted: Mapping[str, str], folder: Path | None, option: str) -> dict[str, Path]:
        if not wanted:
            if folder is not None:
                raise InputError(f"The set {self.name} needs no files: leave out {option} {folder}.")
            return {}
        if folder is None or not folder.is_dir():
            raise InputError(
                f"{folder or self.name}: the set {self.name} needs {option} DIR, a folder with {len(wanted)} files of "
                f"{self.sources[kind]}; check the path."
            )
        there = {file_sha256(path): path for path in sorted(folder.glob("*.nii*"))}
        for name, expected in wanted.items():
            if expected not in there:
                raise InputError(self._complaint(folder / name, expected, kind))
        return {name: there[expected] for name, expected in wanted.items()}

    def _complaint(self, path: Path, expected: str, kind: str) -> str:
        came = f"this one has {file_sha256(path)}" if path.is_file() else "the folder holds no such file"
        return (
            f"{path}: the set {self.name} needs the file with SHA-256 {expected}, but {came}; "
            f"get it again from {self.sources[kind]}."
        )


def load_preset(name: str) -> Preset:
    """Read a fixed set's manifest. Raises InputError if there is no set of that name."""
    if name not in PRESETS:
        raise InputError(f"There is no set of virtual patients named '{name}'; there are {', '.join(PRESETS)}.")
    text = (resources.files("adn.virtual.presets") / f"{name}.json").read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    patients = tuple(
        FixedPatient(one["stratum"], one["infarct_ml"], PatientPlan.from_dict(one["plan"]))
        for one in values.pop("patients")
    )
    return Preset(patients=patients, **values)


def stratum_of(infarct_ml: float) -> str | None:
    """The stratum of a rendered infarct; None if it is in none (too small or too large to be useful)."""
    if infarct_ml == 0:
        return HEALTHY
    return next((name for name, (low, high) in STRATA_ML.items() if low < infarct_ml <= high), None)
