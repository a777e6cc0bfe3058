"""How often a wrong orientation in the header is noticed, and how often a right one causes a false warning.

    python benchmarks/quality/turned.py SCANS... -o TURNED.csv

SCANS: files, DICOM folders, or folders of cases with ct.nii.gz. Each scan is judged as it is and as if its array had
been turned in five ways under an unchanged header. Writes a row for each, and a summary by the scans' folder and by
whether they show a whole head. Left and right look alike, so a turn by 180° within slices counts as back to front.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from adn.errors import InputError
from adn.io import open_scan
from adn.io.upright import AS_STATED, LEAST_MM, Misfit, Way, bone_and_air, compare, is_sure, misfits_of, varied_heads
from adn.space.units import WHOLE_BRAIN_MM
from adn.space.volume import Volume

TURNS = {
    "as it is": AS_STATED,
    "back to front": Way((0, 1, 2), (False, True, False)),
    "upside down": Way((0, 1, 2), (True, False, False)),
    "upside down and back to front": Way((0, 1, 2), (True, True, False)),
    "by 90° in the slice": Way((0, 2, 1), (False, False, False)),
    "by 90° out of the slice": Way((1, 0, 2), (False, True, False)),
}
OTHER = TURNS["upside down"]  # than the header's: which one does not count
COLUMNS = ("group", "scan", "height_mm", "turn", "warned", "named", "margin")


def rows_of(group: str, name: str, volume: Volume, heads: dict[int, list]) -> list[tuple]:
    """One row for each turn; a turned array's misfits are those of the scan in another order."""
    upright = volume.reoriented("SPL")
    height_mm = upright.grid.shape[0] * upright.grid.spacing_mm[0]
    shares = bone_and_air(upright)
    if shares is None or height_mm < LEAST_MM:
        return [(group, name, round(height_mm), turn, False, False, 0.0) for turn in TURNS]
    best = compare(shares).way
    ways = list(dict.fromkeys((*TURNS.values(), best)))
    side = shares.shape[1]
    if side not in heads:
        heads[side] = list(varied_heads(side))
    misfit = dict(zip(ways, np.min(misfits_of(shares, heads[side], ways), axis=0), strict=True))
    rows = []
    for turn, way in TURNS.items():
        other = AS_STATED if best == way else OTHER
        warned = is_sure(Misfit(float(misfit[way]), float(misfit[best]), other), height_mm)
        margin = 1 - float(misfit[best] / misfit[way])
        rows.append((group, name, round(height_mm), turn, warned, warned and best == AS_STATED, round(margin, 4)))
    return rows


def scans_in(paths: list[Path]) -> list[tuple[str, Path]]:
    found = []
    for path in paths:
        cases = sorted(path.glob("*/ct.nii.gz")) if path.is_dir() else []
        found += [(path.name, case) for case in cases] or [(path.parent.name, path)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    heads: dict[int, list] = {}
    rows: list[tuple] = []
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for group, path in scans_in(arguments.scans):
            try:
                new = rows_of(
                    group, path.parent.name if path.name == "ct.nii.gz" else path.name, open_scan(path).volume, heads
                )
            except InputError as error:
                print(error, flush=True)
                continue
            table.writerows(new)
            file.flush()
            rows += new
    counts: dict[tuple, list] = defaultdict(list)
    for group, _, height_mm, turn, warned, named, _ in rows:
        counts[group, "whole" if height_mm >= WHOLE_BRAIN_MM else "part", turn].append((warned, named))
    print("| scans | head | turn | n | warned | named |\n|---|---|---|---|---|---|")
    for (group, head, turn), found in sorted(counts.items()):
        warned, named = np.sum(found, axis=0)
        print(f"| {group} | {head} | {turn} | {len(found)} | {warned} | {named} |")


if __name__ == "__main__":
    main()
