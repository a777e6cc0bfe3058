"""Layout of an archive's results: a folder per case, or BIDS derivatives. A case is there completely, or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

from adn.datasets.export import BIDS_IGNORED, BIDS_VERSION
from adn.io.atomic import atomic_path, move_file, move_folder, remove_folder
from adn.io.digest import sha256
from adn.results import RESULT_FILE

Layout = Literal["cases", "bids"]
GROUP_TABLE, GROUP_SUMMARY = "results.tsv", "summary.txt"  # for all participants of BIDS derivatives
_BIDS_NAMES = {  # the result file comes last: its presence means that the case is complete
    "infarct.nii.gz": "label-infarct_desc-adn_mask.nii.gz",
    "brain_mask.nii.gz": "label-brain_desc-adn_mask.nii.gz",
    "infarct_probability.nii.gz": "label-infarct_desc-adn_probseg.nii.gz",
    "scan.nii.gz": "desc-scan_ct.nii.gz",
    "asymmetry_total.nii.gz": "desc-asymmetrytotal_ct.nii.gz",
    "asymmetry_pathological.nii.gz": "desc-asymmetrypathological_ct.nii.gz",
    "asymmetry_intrinsic.nii.gz": "desc-asymmetryintrinsic_ct.nii.gz",
    "relative_hypodensity.nii.gz": "desc-relativehypodensity_ct.nii.gz",
    "salient.nii.gz": "desc-salient_ct.nii.gz",
    "compensated.nii.gz": "desc-compensated_ct.nii.gz",
    "report.html": "desc-adn_report.html",
    RESULT_FILE: "desc-adn_result.json",
}
_ENTITIES = re.compile(r"sub-[A-Za-z0-9]+(_[a-z]+-[A-Za-z0-9]+)*")


def result_of(out: Path, layout: Layout, case: str) -> Path:
    """The result file of a case, which is written last."""
    if layout == "cases":
        return out / case / RESULT_FILE
    return _bids_place(out, case, _BIDS_NAMES[RESULT_FILE])


def bids_results(out: Path) -> list[Path]:
    """The result files of all finished cases of BIDS derivatives, sorted by name."""
    return sorted(out.glob(f"sub-*/**/*_{_BIDS_NAMES[RESULT_FILE]}"))


def put(folder: Path, out: Path, layout: Layout, case: str) -> None:
    """Move the finished folder of a case to its place. Raises FileExistsError where another process was faster."""
    if layout == "cases":
        move_folder(folder, out / case)
        return
    for name, ending in _BIDS_NAMES.items():
        if (folder / name).exists():
            target = _bids_place(out, case, ending)
            target.parent.mkdir(parents=True, exist_ok=True)
            move_file(folder / name, target)
    remove_folder(folder)


def describe(out: Path, layout: Layout, version: str) -> None:
    """Write the files in which a BIDS data set describes itself. Raises OutputError."""
    if layout == "cases" or (out / "dataset_description.json").exists():
        return
    facts = {
        "Name": "adn: infarcts in head CT, for research use only",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "adn", "Version": version}],
    }
    texts = {
        ".bidsignore": f"{BIDS_IGNORED}{GROUP_TABLE}\n{GROUP_SUMMARY}\nresults.parquet\narchive.sqlite*\n",
        "README.md": "Results of `adn predict`, for research use only: masks, maps and a report for each scan.\n",
        "dataset_description.json": json.dumps(facts, indent=1) + "\n",  # last: it shows that the others are there
    }
    for name, text in texts.items():
        with atomic_path(out / name) as partial:
            partial.write_text(text, encoding="utf-8")


def bids_stem(case: str) -> str:
    """A case's name as BIDS entities: unchanged if it already is such a name, else a label unique to the case."""
    if _ENTITIES.fullmatch(case):
        return case
    plain = re.sub(r"[^A-Za-z0-9]", "", case)
    return f"sub-{plain}" if plain == case else f"sub-{plain}{sha256(case)[:8]}"


def _bids_place(out: Path, case: str, ending: str) -> Path:
    stem = bids_stem(case)
    sessions = re.findall(r"_(ses-[A-Za-z0-9]+)", stem)
    return out.joinpath(stem.split("_")[0], *sessions[:1], "ct", f"{stem}_{ending}")
