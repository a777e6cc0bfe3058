"""How often a tumour is flagged ("may be a mass"), and how often a true infarct is flagged by mistake.

    python benchmarks/quality/ring_lesions.py --anatomy DIR --lesions DIR --teknofest DIR --phe-sich DIR [--keep DIR]
    python benchmarks/quality/ring_lesions.py --limit --anatomy DIR --lesions DIR [--keep DIR]

--limit: use the heads and seed by which `adn.findings.mass_like.LIMIT_HU` was chosen (heads 11 and 12); without it,
others (heads 13 to 16). The rule is applied to what the default weights mark and, if there is one, to the outline
itself: the infarct, or the oedema around a bleed. Real heads: training and validation patients. --keep: a folder to
cache heads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mass_heads import FoundHead, real_heads, virtual_heads

from adn.answers import MassLike
from adn.findings.mass_like import mass_like
from adn.findings.twins import twins_of
from adn.prediction.model import load_model
from adn.virtual.library import Library

LIMIT_SEED, SEED = 7500, 7600
LEAST_ML = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomy", type=Path, required=True)
    parser.add_argument("--lesions", type=Path, required=True)
    parser.add_argument("--teknofest", type=Path)
    parser.add_argument("--phe-sich", type=Path)
    parser.add_argument("--limit", action="store_true")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("-n", type=int, default=30, help="heads of each kind")
    arguments = parser.parse_args()
    model, n, keep = load_model(), arguments.n, arguments.keep
    library = Library.from_folders(arguments.anatomy, arguments.lesions, "val" if arguments.limit else "test")
    seed = LIMIT_SEED if arguments.limit else SEED
    report("virtual tumours", virtual_heads("mass", seed, n, library, model, keep))
    report("virtual infarcts", virtual_heads("infarct", seed, n, library, model, keep))
    if arguments.teknofest:
        report("TEKNOFEST", real_heads(arguments.teknofest, "teknofest.csv", model, 2 * n, keep))
    if arguments.phe_sich:
        report("PHE-SICH", real_heads(arguments.phe_sich, "phe_sich.csv", model, n, keep))


def report(name: str, heads: Iterable[FoundHead]) -> None:
    """Print each head's contrast, and how many are flagged."""
    asked: dict[str, list[bool]] = {"marked": [], "outlined": []}
    seconds = []
    for head in heads:
        for which, mask in (("marked", head.marked), ("outlined", head.true.astype(np.uint8))):
            if mask.sum() * head.scan.grid.voxel_ml < LEAST_ML:
                continue
            twins = twins_of(head.scan, head.brain, mask, head.aligned)
            start = time.process_time()
            found = mass_like(twins)
            seconds.append(time.process_time() - start)
            if isinstance(found, MassLike):
                asked[which].append(found.looks_so)
                print(f"{head.name}, {which}: {found.contrast_hu:.1f} HU, {found.diameter_mm:.0f} mm wide, "
                      f"{found.above_grey_hu:+.1f} HU above grey{', doubt' if found.looks_so else ''}")  # fmt: skip
    for which, doubts in asked.items():
        if doubts:
            print(f"{name}, {which}: a doubt in {sum(doubts)} of {len(doubts)}")
    print(f"{name}: {np.median(seconds):.2f} CPU seconds (median)", flush=True)


if __name__ == "__main__":
    main()
