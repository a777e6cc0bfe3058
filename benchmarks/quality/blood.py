"""How often possible blood is seen: on whole heads with a bleed, and on parts of heads with an ischaemic infarct.

    python benchmarks/quality/blood.py --bleeds DIR [--infarcts DIR] [-n 10]

DIR: PHE-SICH and TEKNOFEST as docs/your-data.md lays them out. Training and validation heads only, never those that
benchmarks/splits keep for testing. The brain is found by the tissue network.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cases import SPLITS, patients_of

from adn.brain import find_brain, shipped_tissue
from adn.errors import AdnError
from adn.findings.blood import SEEN_ML
from adn.findings.quality import MAX_BRIGHT_ML, bright_parts
from adn.io import open_scan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bleeds", type=Path, required=True)
    parser.add_argument("--infarcts", type=Path)
    parser.add_argument("-n", type=int, default=10)
    arguments = parser.parse_args()
    report("with a bleed", arguments.bleeds, "phe_sich.csv", arguments.n)
    if arguments.infarcts:
        report("with an infarct", arguments.infarcts, "teknofest.csv", arguments.n)


def report(name: str, folder: Path, split: str, count: int) -> None:
    """Print what is seen in the first so many heads that do not test."""
    cases = sorted(set(patients_of(SPLITS / split, "validation")) | set(patients_of(SPLITS / split, "train")))
    found = []
    for case in cases:
        path = folder / case / "ct.nii.gz"
        if len(found) == count:
            break
        if not path.is_file():
            continue
        try:
            volume = open_scan(path).volume.reoriented("SPL")
            parts = [ml for _, ml in bright_parts(volume, find_brain(volume, shipped_tissue()).mask)]
        except AdnError as error:
            print(f"{case}: {error}")
            continue
        found.append(parts)
        print(f"{case}: {', '.join(f'{ml:.2f}' for ml in parts) or 'no'} mL", flush=True)
    seen = sum(max(parts, default=0.0) >= SEEN_ML for parts in found)
    warned = sum(sum(parts) > MAX_BRIGHT_ML for parts in found)
    print(f"heads {name}: blood seen in {seen} of {len(found)}, warned of in {warned}")


if __name__ == "__main__":
    main()
