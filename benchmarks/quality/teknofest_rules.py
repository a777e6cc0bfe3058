"""How often the importer's rules for direction and for one head hold on the developers' series.

    python benchmarks/quality/teknofest_rules.py REAL/teknofest

Every series there is stored inferior first, and cases.csv names the patients; SAME_HEAD was chosen from this very
table.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np

from adn.datasets.teknofest.anatomy import SAME_HEAD, likeness, portraits, runs_down
from adn.io import read_volume


def main() -> None:
    folder = Path(sys.argv[1])
    with (folder / "cases.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    told, stacks = Counter(), []
    for row in rows:
        ct = read_volume(folder / row["case"] / "ct.nii.gz", np.int16).reoriented("SPL")
        down, grounds = runs_down(ct.data, ct.grid.spacing_mm[1])
        told[grounds, "wrong" if down else "right"] += 1
        stacks.append(portraits(ct.data, ct.grid.spacing_mm[1]))
    print(dict(told))
    same, other = [], []
    for (a, x), (b, y) in combinations(zip(rows, stacks, strict=True), 2):
        if a["vendor"][:3] == b["vendor"][:3]:
            (same if a["patient"] == b["patient"] else other).append((likeness(x, y), a["case"], b["case"]))
    for name, pairs in (("one head", same), ("two heads", other)):
        pairs.sort(reverse=True)
        above = sum(pair[0] >= SAME_HEAD for pair in pairs)
        print(f"{name}: {above} of {len(pairs)} pairs at {SAME_HEAD} or more; highest:")
        for value, a, b in pairs[:7]:
            print(f"  {value:.4f} {a} {b}")


if __name__ == "__main__":
    main()
