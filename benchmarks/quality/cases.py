"""The cases that `patients.py` scores: outlined parts, whole heads with a bleed, infarcts laid on these."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adn.config_mix import LaidConfig
from adn.datasets.layouts import find_cases
from adn.io import read_volume, write_volume
from adn.io.atomic import atomic_folder
from adn.prepare import coarse as cm
from adn.prepare import strip_skull
from adn.space.volume import Volume
from adn.virtual.library import Library
from adn.virtual.overlay import lay_one

SPLITS = Path(__file__).parents[1] / "splits"
AWAY_MM = 6.0  # voxels this close to blood or oedema are not scored
LAID = {  # how infarcts to lay are drawn: large visible ones, and small ones
    "large": LaidConfig(least_ml=10.0, least_hu=4.0, donor_share=0.0, tries=60),
    "small": LaidConfig(least_ml=1.0, most_ml=10.0, least_hu=2.0, donor_share=0.0, tries=60),
}


@dataclass(frozen=True)
class RulerCase:
    """One scan to predict. kind: 'outlined', 'bleed', 'laid' or 'head'. facts: what is known about it beforehand."""

    name: str
    kind: str
    patient: str
    ct: Path
    infarct: Path | None = None
    seen: Path | None = None
    ignore: Path | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def patients_of(split: Path, part: str) -> dict[str, str]:
    """Case → patient, for one part of a split, or for 'fold 0', 'fold 1' and so on of the folds beside it."""
    column, value = "part", part
    if part.startswith("fold "):
        split, column, value = split.with_name(f"{split.stem}_folds.csv"), "fold", part.removeprefix("fold ")
    with split.open(newline="", encoding="utf-8") as file:
        return {row["case"]: row["patient"] for row in csv.DictReader(file) if row[column] == value}


def outlined(folder: Path, part: str) -> Iterator[RulerCase]:
    """TEKNOFEST's parts of heads with an outlined infarct."""
    patients = patients_of(SPLITS / "teknofest.csv", part)
    for case in find_cases(folder):
        if case.name in patients:
            yield RulerCase(case.name, "outlined", patients[case.name], case.ct, case.infarct, case.seen)


def bleeds(folder: Path, part: str) -> Iterator[RulerCase]:
    """Whole heads with a bleed and no infarct."""
    patients = patients_of(SPLITS / "phe_sich.csv", part)
    for case in find_cases(folder):
        if case.name in patients:
            yield RulerCase(case.name, "bleed", patients[case.name], case.ct, ignore=case.ignore)


def laid(folder: Path, part: str, lesions: Path, out: Path) -> Iterator[RulerCase]:
    """The same heads with a virtual infarct laid on, written to `out`: a large and a small one each, seeded by name.

    lesions: SOOP's masks; only those held out of training are laid. Nothing is laid near blood and oedema.
    """
    library = Library.from_folders(lesions=lesions, split="test" if part == "test" else "val")
    shapes = None
    for head in bleeds(folder, part):
        for size, config in LAID.items():
            target = out / f"{head.name}-{size}"
            if not target.is_dir():
                shapes = shapes or library.shapes()
                ct = read_volume(head.ct).reoriented("SPL")
                generator = torch.Generator().manual_seed(seed_of(target.name))
                found = lay_one(
                    generator, ct.data, strip_skull(ct).data, ct.grid.spacing_mm, shapes, config, grown(head, ct)
                )
                with atomic_folder(target, marker="laid.json") as partial:
                    facts = {}
                    if found:
                        facts = {"ml": found.volume_ml, "hu": found.drop_hu, "overlay": found.overlay.to_dict()}
                        write_volume(ct.with_data(np.rint(found.hu.numpy()).astype(np.int16)), partial / "ct.nii.gz")
                        mask = found.infarct.numpy().astype(np.uint8)
                        write_volume(ct.with_data(mask, "label"), partial / "infarct.nii.gz")
                    (partial / "laid.json").write_text(json.dumps(facts), encoding="utf-8")
            facts = json.loads((target / "laid.json").read_text(encoding="utf-8"))
            if facts:
                files = {"infarct": target / "infarct.nii.gz", "ignore": head.ignore}
                yield RulerCase(target.name, "laid", head.patient, target / "ct.nii.gz", **files, facts=facts)


def heads(folder: Path) -> Iterator[RulerCase]:
    """The five real heads on which every change is inspected."""
    names = ("ge_hispeed_tilt18", "aisd_0091454", "invesalius_cranium.nii.gz", "cq500_tilt7", "toshiba_cerebellum")
    for name in names:
        if (folder / name).exists():
            yield RulerCase(name.split(".")[0], "head", name, folder / name)


def virtual(folder: Path) -> Iterator[RulerCase]:
    """Virtual patients as `adn synth` writes them, such as VP-52."""
    for case in find_cases(folder):
        yield RulerCase(case.name, "virtual", case.subject, case.ct, case.infarct)


def seed_of(name: str) -> int:
    """A seed derived from a name."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:15], 16)


def mask_of(path: Path | None) -> NDArray[np.bool_] | None:
    """A mask in SPL order; None without file."""
    return None if path is None else read_volume(path, np.uint8, "label").reoriented("SPL").data > 0


def grown(case: RulerCase, like: Volume) -> NDArray[np.bool_]:
    """Blood and oedema with a margin of 6 mm, on the scan in SPL order; empty if none is known."""
    ignored = mask_of(case.ignore)
    if ignored is None or not ignored.any():
        return np.zeros(like.grid.shape, bool)
    return cm.dilate(ignored, AWAY_MM, like.grid.spacing_mm)
