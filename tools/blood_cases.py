"""Cases with blood as their reference, and cases without any, from the output of `tools/real_cases.py`; none of it may
enter a repository.

    python tools/blood_cases.py REAL DST

REAL: phe_sich/ and teknofest/. Writes DST/bleeds/<case>/infarct.nii.gz, the blood of each head with a bleed
(`adn.datasets.bleeds.find_blood`: above 50 HU), DST/without/<case>/infarct.nii.gz, empty, for each part of TEKNOFEST,
and a cases.csv for each, which points to the scans where they lie. Existing files are kept.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from adn.brain import find_brain, shipped_tissue
from adn.datasets.bleeds import find_blood
from adn.datasets.layouts import Case, find_cases, read_licence, write_cases, write_licence
from adn.io import read_volume, write_volume
from adn.io.atomic import atomic_folder


def blood_case(case: Case, target: Path, *, bleeds: bool) -> Case:
    """The case with its blood as reference, or with an empty one."""
    if not target.exists():
        ct = read_volume(case.ct, np.int16).reoriented("SPL")
        blood = np.zeros(ct.grid.shape, bool)
        if bleeds:
            blood = find_blood(ct, find_brain(ct, shipped_tissue()).mask)
        with atomic_folder(target, marker="infarct.nii.gz") as partial:
            write_volume(ct.with_data(blood.astype(np.uint8), "label"), partial / "infarct.nii.gz")
        print(f"{case.name}: {blood.sum() * ct.grid.voxel_ml:.1f} mL", flush=True)
    return dataclasses.replace(case, infarct=target / "infarct.nii.gz", ignore=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    for data, name in (("phe_sich", "bleeds"), ("teknofest", "without")):
        folder = arguments.target / name
        cases = [
            blood_case(case, folder / case.name, bleeds=name == "bleeds") for case in find_cases(arguments.real / data)
        ]
        write_cases(cases, folder / "cases.csv")
        write_licence(folder, read_licence(arguments.real / data) or f"Trained on {data}.")


if __name__ == "__main__":
    main()
