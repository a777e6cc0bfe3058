"""Make case folders from the developers' form of the real data; none of it may enter a repository.

    python tools/real_cases.py SRC DST [--as-drawn]

SRC holds teknofest/ (cases.csv and case_NNN/) or phe_sich/ (cases.csv and pheNNNN/), or both. Writes
DST/teknofest/<case>/ct, infarct and seen.nii.gz, with slices at their true heights as far as instance numbers tell,
and speckled masks closed (unless --as-drawn); DST/phe_sich/<case>/ct, an empty infarct, and ignore.nii.gz (blood and
oedema as outlined; scripts that use it add a margin); and a cases.csv for each, with the patients. Existing files are
kept.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from adn.datasets.bleeds import find_blood
from adn.datasets.layouts import Case, write_cases, write_licence
from adn.datasets.parts import close_speckles, lay_slices
from adn.datasets.teknofest.importer import LICENCE as TEKNOFEST_LICENCE
from adn.io import read_volume, write_volume
from adn.io.atomic import atomic_folder
from adn.prepare import strip_skull

LICENCES = {
    "teknofest": TEKNOFEST_LICENCE,
    "phe_sich": "Trained on PHE-SICH-CT-IDS (Ma et al. 2024), CC BY 4.0.",
}
_SLICE_NUMBERS = 10**6  # Philips may put the time in front of the slice number


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def teknofest_case(source: Path, target: Path, row: dict[str, str], closed: bool) -> None:
    """One part of a head."""
    ct = read_volume(source / "ct.nii.gz", np.int16).reoriented("SPL")
    infarct = read_volume(source / "infarct.nii.gz", np.uint8, "label").reoriented("SPL").data
    numbers = [int(number) % _SLICE_NUMBERS for number in row["instance_numbers"].split()]
    share = 0.0
    if closed:
        infarct, share = close_speckles(infarct, ct.grid.spacing_mm)
    part = lay_slices(ct.data, infarct, ct.grid.spacing_mm, numbers or None)
    with atomic_folder(target, marker="ct.nii.gz") as partial:
        part.write(partial)
    print(f"{target.name}: {ct.grid.shape[0]} of {part.ct.grid.shape[0]} slices acquired, {part.infarct_ml:.1f} mL; "
          f"closing adds {share:.0%}", flush=True)  # fmt: skip


def phe_sich_case(source: Path, target: Path) -> None:
    """One whole head with a bleed and no infarct."""
    ct = read_volume(source / "ct.nii.gz", np.int16).reoriented("SPL")
    oedema = read_volume(source / "oedema.nii.gz", np.uint8, "label").reoriented("SPL")
    brain = strip_skull(ct)
    blood = find_blood(ct, brain)
    ignore = ct.with_data((blood | (oedema.data > 0)).astype(np.uint8), "label")
    with atomic_folder(target, marker="ct.nii.gz") as partial:
        write_volume(ct, partial / "ct.nii.gz")
        write_volume(ct.with_data(np.zeros(ct.grid.shape, np.uint8), "label"), partial / "infarct.nii.gz")
        write_volume(ignore, partial / "ignore.nii.gz")
    ml = ct.grid.voxel_ml
    print(f"{target.name}: blood {blood.sum() * ml:.1f} mL, oedema {oedema.data.sum() * ml:.1f} mL of brain "
          f"{brain.data.sum() * ml:.0f} mL", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--as-drawn", action="store_true", help="leave speckled masks as they are")
    arguments = parser.parse_args()
    for data in ("teknofest", "phe_sich"):
        table = arguments.source / data / "cases.csv"
        if not table.is_file():
            continue
        cases = []
        for row in read_table(table):
            source, target = arguments.source / data / row["case"], arguments.target / data / row["case"]
            if not target.exists():
                if data == "teknofest":
                    teknofest_case(source, target, row, not arguments.as_drawn)
                else:
                    phe_sich_case(source, target)
            files = {name: target / f"{name}.nii.gz" for name in ("ct", "infarct", "ignore", "seen")}
            found = {name: path for name, path in files.items() if path.is_file()}
            cases.append(Case(row["case"], row.get("patient") or row["case"], **found))
        write_cases(cases, arguments.target / data / "cases.csv")
        write_licence(arguments.target / data, LICENCES[data])


if __name__ == "__main__":
    main()
