"""Exports a data set to another layout, whole or not at all: nnU-Net raw, or BIDS with masks in derivatives.

Scans and masks are read and rewritten on the scan's grid, so that DICOM becomes NIfTI and no header fields that might
identify a patient are carried over.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from adn.datasets.labels import read_infarct, read_labels
from adn.datasets.layouts import Case
from adn.datasets.splits import Split
from adn.errors import InputError
from adn.io import open_scan, write_volume
from adn.io.atomic import atomic_folder
from adn.results import DISCLAIMER
from adn.space.volume import Volume
from adn.work.progress import Progress

Layout = Literal["nnunet", "bids"]
_MARKERS = {"nnunet": "dataset.json", "bids": "dataset_description.json"}
BIDS_VERSION = "1.10.0"
# CT is not in the standard yet (proposal 24), so the BIDS validator is told to ignore these folders.
BIDS_IGNORED = "**/ct\n**/ct/**\n"


def export_cases(
    cases: Sequence[Case], layout: Layout, out: Path, split: Split | None = None, progress: Progress | None = None
) -> int:
    """Write cases to a new folder `out` as an nnU-Net raw data set or BIDS; return how many.

    nnU-Net gets only cases with a mask; with a split, test cases go to imagesTs and labelsTs, and the folds (or
    validation part) to splits_final.json. Raises InputError for a split with BIDS and, naming the case, if one cannot
    be read; OutputError if `out` already exists.
    """
    if split and layout == "bids":
        raise InputError("`split` is for nnU-Net: BIDS has no place for it; leave it out.")
    chosen = [case for case in cases if case.infarct is not None or layout == "bids"]
    if not chosen:
        raise InputError("An nnU-Net data set needs cases with infarct masks, but none has one.")
    write = _Nnunet(chosen, split).write if layout == "nnunet" else _Bids(chosen).write
    with atomic_folder(out, marker=_MARKERS[layout]) as folder:
        write(folder, progress or (lambda done, total: None))
    return len(chosen)


def _write_case(case: Case, ct: Path, labels: dict[str, Path]) -> None:
    """Write the CT, and the label images that the case has. labels: target paths by kind."""
    try:
        scan = open_scan(case.ct).volume
        for path in (ct, *labels.values()):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(_compact(scan), ct)
        for kind, target in labels.items():
            source: Path | None = getattr(case, kind)
            if source is not None:
                read = read_infarct if kind == "infarct" else read_labels
                write_volume(read(source, scan), target)
    except InputError as error:
        raise InputError(f"Case {case.name}: {error}") from error


def _compact(scan: Volume) -> Volume:
    """Convert integer HU to 16 bit, as scanners store them."""
    whole = np.rint(scan.data)
    fits = np.array_equal(whole, scan.data) and abs(whole).max() < 2**15
    return scan.with_data(whole.astype(np.int16)) if fits else scan


class _Nnunet:
    """Writes imagesTr, labelsTr, dataset.json, and the extra files of a split."""

    def __init__(self, cases: Sequence[Case], split: Split | None) -> None:
        self.cases, self.split = cases, split
        names = {case.name for case in cases}
        self.test = {row.case for row in split.rows if row.part == "test"} & names if split else set()

    def write(self, folder: Path, progress: Progress) -> None:
        for done, case in enumerate(self.cases):
            part = "Ts" if case.name in self.test else "Tr"
            image, label = folder / f"images{part}", folder / f"labels{part}"
            _write_case(case, image / f"{case.name}_0000.nii.gz", {"infarct": label / f"{case.name}.nii.gz"})
            progress(done + 1, len(self.cases))
        facts = {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, "infarct": 1},
            "numTraining": len(self.cases) - len(self.test),
            "file_ending": ".nii.gz",
            "subjects": {case.name: case.subject for case in self.cases},
            "description": DISCLAIMER,
        }
        _write_json(facts, folder / "dataset.json")
        if self.split is not None:
            _write_json(self._folds(self.split), folder / "splits_final.json")

    def _folds(self, split: Split) -> list[dict[str, list[str]]]:
        names = {case.name for case in self.cases}
        parts = [split.parts(fold) for fold in range(split.folds)] or [split.parts()]
        return [
            {"train": [n for n in one.train if n in names], "val": [n for n in one.validation if n in names]}
            for one in parts
        ]


class _Bids:
    """Writes sub-<label>[/ses-<n>]/ct, with the label images in derivatives/masks."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = cases
        self.labels = _subject_labels(cases)
        self.scans = Counter(case.subject for case in cases)

    def write(self, folder: Path, progress: Progress) -> None:
        seen: dict[str, int] = defaultdict(int)
        for done, case in enumerate(self.cases):
            seen[case.subject] += 1
            session = f"ses-{seen[case.subject]:02d}" if self.scans[case.subject] > 1 else ""
            parts = [f"sub-{self.labels[case.subject]}", *([session] if session else [])]
            stem, place = "_".join(parts), Path(*parts, "ct")
            masks = folder / "derivatives" / "masks" / place
            endings = {
                "infarct": "label-infarct_mask",
                "brain": "label-brain_mask",
                "tissue": "label-tissue_dseg",
                "ignore": "label-ignore_mask",
                "seen": "label-seen_mask",
            }
            targets = {kind: masks / f"{stem}_{ending}.nii.gz" for kind, ending in endings.items()}
            _write_case(case, folder / place / f"{stem}_ct.nii.gz", targets)
            progress(done + 1, len(self.cases))
        self._describe(folder)

    def _describe(self, folder: Path) -> None:
        facts = {"Name": "Head CT", "BIDSVersion": BIDS_VERSION, "GeneratedBy": [{"Name": "adn"}]}
        _write_json({**facts, "DatasetType": "raw"}, folder / "dataset_description.json")
        derived = folder / "derivatives" / "masks"
        derived.mkdir(parents=True, exist_ok=True)
        _write_json({**facts, "Name": "Masks", "DatasetType": "derivative"}, derived / "dataset_description.json")
        (folder / "README").write_text(
            "Non-contrast head CT. In derivatives/masks: infarct masks, and where known brain masks, tissue maps "
            "(1 GM, 2 WM, 3 CSF), where nothing is scored (ignore), and what was acquired (seen).\n"
            f"{DISCLAIMER}\n",
            encoding="utf-8",
        )
        (folder / ".bidsignore").write_text(BIDS_IGNORED, encoding="utf-8")
        with (folder / "participants.tsv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(["participant_id", "subject"])
            writer.writerows([f"sub-{label}", subject] for subject, label in self.labels.items())


def _subject_labels(cases: Sequence[Case]) -> dict[str, str]:
    """BIDS labels by subject: letters and digits only, numbered if two subjects would get the same one."""
    labels: dict[str, str] = {}
    for subject in sorted({case.subject for case in cases}):
        plain = re.sub(r"[^A-Za-z0-9]", "", subject.removeprefix("sub-")) or "x"
        label, number = plain, 1
        while label.lower() in {known.lower() for known in labels.values()}:
            number += 1
            label = f"{plain}x{number}"
        labels[subject] = label
    return labels


def _write_json(value: object, path: Path) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
