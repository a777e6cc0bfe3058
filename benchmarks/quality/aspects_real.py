"""ASPECTS from what the default weights mark, against ASPECTS from the outlined infarct, on real heads.

    python benchmarks/quality/aspects_real.py --real DIR --lesions DIR -o OUT

Both use the same regions, so only the mark can be wrong. Outlined: TEKNOFEST's training and validation patients whose
scans reach high enough for a score (most show 75 mm of the head, for which adn gives none). Laid: virtual infarcts laid
on PHE-SICH's validation heads, to include whole real heads; nothing is laid near their bleeds. OUT is that of
`patients.py`, whose predictions are reused. Test patients are never read.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cases import RulerCase, laid, mask_of, outlined
from patients import predicted
from reader_answers import kappa, within_one

import adn
from adn.answers import Aspects, NotAssessable
from adn.atlas import ASPECTS_REGIONS
from adn.findings.aspects import SIDES, aspects
from adn.findings.territory import can_register, mni_from_aligned
from adn.findings.twins import twins_of
from adn.findings.water import block_noise_hu
from adn.prediction.model import Model, load_model
from adn.prepare.part import is_part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = load_model()
    for part in ("train", "validation"):
        tell(f"outlined, {part}", outlined(arguments.real / "teknofest", part), model, arguments.out)
    if arguments.lesions:
        folder = arguments.out / "laid-validation"
        cases = laid(arguments.real / "phe_sich", "validation", arguments.lesions, folder)
        tell("laid, validation", cases, model, arguments.out)


def tell(name: str, cases: Iterator[RulerCase], model: Model, out: Path) -> None:
    """Print the scores of each case, and the agreement of all."""
    calls, scores, refused = defaultdict(list), [], 0
    for case in cases:
        pair = both(case, model, out)
        if pair is None:
            refused += 1
            continue
        true, said = pair
        for one, other in zip(true.regions, said.regions, strict=True):
            calls[one.region].append((one.affected, other.affected))
        for side in SIDES:
            scores.append((getattr(true, side), getattr(said, side)))
        print(f"{case.name}: left {true.left}, said {said.left}; right {true.right}, said {said.right}", flush=True)
    print(f"{name}: {len(scores) // 2} with a score, {refused} without")
    if not scores:
        return
    rows = np.array(scores)
    ill = rows[rows[:, 0] < 10]
    print(f"  within one point on {within_one(rows):.0%} of {len(rows)} sides")
    if len(ill):
        print(f"  and on {within_one(ill):.0%} of the {len(ill)} that truly lost points")
    for region in ASPECTS_REGIONS:
        found = np.array(calls[region])
        print(f"  {region}: kappa {kappa(found):.2f}, affected {found[:, 0].sum()}, said {found[:, 1].sum()}, "
              f"both {found.all(axis=1).sum()} of {len(found)}")  # fmt: skip
    every = np.concatenate([np.array(calls[region]) for region in ASPECTS_REGIONS])
    print(f"  all regions: kappa {kappa(every):.2f}", flush=True)


def both(case: RulerCase, model: Model, out: Path) -> tuple[Aspects, Aspects] | None:
    """ASPECTS by the reference and by the mark; None where adn gives no score."""
    ct = adn.open_scan(case.ct).volume.reoriented("SPL")
    if is_part(ct.grid):
        return None
    found, reference = predicted(case, model, out), mask_of(case.infarct)
    if found is None or reference is None:
        return None
    brain, aligned = ct.with_data(found.brain.astype(np.uint8), "label"), found.aligned_from_scan
    if not can_register(brain):
        return None
    mni = mni_from_aligned(ct, brain, aligned)
    masks = (mask.astype(np.uint8) for mask in (reference, found.infarct))
    twins = [twins_of(ct, brain, mask, aligned) for mask in masks]
    true, said = (aspects(one, mni, block_noise_hu(one)) for one in twins)
    if isinstance(true, NotAssessable) or isinstance(said, NotAssessable):
        return None
    return true, said


if __name__ == "__main__":
    main()
