"""Net water uptake and ASPECTS compared with the truth, on virtual patients.

    python benchmarks/quality/reader_answers.py --anatomy DIR --lesions DIR [-n 30] [--keep DIR]

Truth: water uptake from the same head rendered without noise, with the infarct and without it; caudate and lentiform
nucleus from the head's own FreeSurfer labels, the other regions of ASPECTS from the MNI map through the generator's
known warp; a region is affected if a fifth of its tissue is. Compared with adn's answers, once for the true infarct
(which tests only the registration), once for what the default weights mark. --keep: a folder to cache rendered heads.
"""

from __future__ import annotations

import argparse
import pickle
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from known_heads import KnownHead, drawn_plans, known_head

from adn.answers import Aspects
from adn.atlas import ASPECTS_REGIONS
from adn.findings.aspects import AFFECTED_SHARE, SIDES, aspects, regions_at
from adn.findings.territory import mni_from_aligned
from adn.findings.twins import twins_of
from adn.findings.water import block_noise_hu, net_water_uptake, tissue_pairs
from adn.prediction.model import load_model
from adn.virtual.library import Library

LABELS = {("caudate", "left"): (11,), ("caudate", "right"): (50,),
          ("lentiform", "left"): (12, 13), ("lentiform", "right"): (51, 52)}  # fmt: skip
LEAST_ML = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomy", type=Path, required=True)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("-n", type=int, default=30)
    arguments = parser.parse_args()
    library = Library.from_folders(arguments.anatomy, arguments.lesions, "test")
    water, calls, scores = [], defaultdict(list), defaultdict(list)
    for head in heads(library, arguments.n, arguments.keep):
        row = water_row(head)
        if row:
            water.append(row)
        for mask in ("true", "marked"):
            add_aspects(head, mask, calls, scores)
    print_water(np.array(water))
    for mask in ("true", "marked"):
        print_aspects(mask, calls, scores)


def heads(library: Library, count: int, keep: Path | None) -> Iterator[KnownHead]:
    """The first `count` patients with an acute infarct, rendered or taken from the cache folder."""
    model = load_model()
    plans = ((i, plan) for i, plan in enumerate(drawn_plans(library)) if any(x.acute for x in plan.infarcts))
    for _, (i, plan) in zip(range(count), plans, strict=False):
        path = keep / f"{i:03d}.pkl" if keep else None
        if path and path.is_file():
            yield pickle.loads(path.read_bytes())
            continue
        head = known_head(plan, library, model, mark=True)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(head, protocol=5))
        yield head


def water_row(head: KnownHead) -> tuple[float, float, float] | None:
    """True percent, adn's answer for the true infarct, and the uncertainty that adn states."""
    if head.infarct.sum() * head.scan.grid.voxel_ml < LEAST_ML:
        return None
    tissue = head.infarct & (head.healthy > 20) & (head.healthy < 80)
    true = 100 * (1 - head.quiet[tissue].mean() / head.healthy[tissue].mean())
    twins = twins_of(head.scan, head.brain, head.infarct.astype(np.uint8), head.aligned)
    said = net_water_uptake(twins, twins.infarct > 0.5, tissue_pairs(twins), block_noise_hu(twins))
    return (float(true), said.percent, said.uncertainty_percent) if said else None


def print_water(rows: np.ndarray) -> None:
    error = rows[:, 1] - rows[:, 0]
    size = np.abs(error)
    print(f"net water uptake, n = {len(rows)}: true {rows[:, 0].mean():.1f} %, error {error.mean():+.1f}, on average")
    print(f"  absolute error {size.mean():.1f} on average, {np.median(size):.1f} median")
    sigmas = size / rows[:, 2]
    print(f"  at most 1.5 in {np.mean(size <= 1.5):.0%}, {size.max():.1f} at most")
    print(
        f"  said uncertainty {np.median(rows[:, 2]):.1f}, median; within it {np.mean(sigmas <= 1):.0%}, "
        f"within twice {np.mean(sigmas <= 2):.0%}"
    )


def add_aspects(head: KnownHead, mask: str, calls: dict, scores: dict) -> None:
    """Add the true and the reported share of every region, and the true and reported score of both sides."""
    infarct = head.infarct.astype(np.uint8) if mask == "true" else head.marked
    assert infarct is not None
    twins = twins_of(head.scan, head.brain, infarct, head.aligned)
    said = aspects(twins, mni_from_aligned(head.scan, head.brain, head.aligned), block_noise_hu(twins))
    if not isinstance(said, Aspects):
        print(f"{head.plan.head}: no score, because {said.because}")
        return
    number, left = regions_at(np.moveaxis(head.mni, 0, -1))
    tissue = (head.brain.data > 0) & (head.healthy > 15)
    lost = {"left": 0, "right": 0}
    for finding in said.regions:
        key = finding.region, finding.side
        region = (number == ASPECTS_REGIONS.index(finding.region) + 1) & (left == (finding.side == "left"))
        region = np.isin(head.labels, LABELS[key]) if key in LABELS else region
        share = float(head.infarct[region & tissue].mean()) if (region & tissue).any() else 0.0
        lost[finding.side] += share >= AFFECTED_SHARE
        calls[mask, finding.region].append((share >= AFFECTED_SHARE, finding.affected))
    for side in SIDES:
        scores[mask].append((10 - lost[side], getattr(said, side)))


def print_aspects(mask: str, calls: dict, scores: dict) -> None:
    rows = np.array(scores[mask])
    ill = rows[rows[:, 0] < 10]
    print(f"ASPECTS, {mask} infarct: within one point on {within_one(rows):.0%} of {len(rows)} sides")
    print(f"  and on {within_one(ill):.0%} of the {len(ill)} that truly lost points")
    every = []
    for region in ASPECTS_REGIONS:
        found = np.array(calls[mask, region])
        every.append(found)
        print(f"  {region}: kappa {kappa(found):.2f}, truly affected {found[:, 0].sum()} of {len(found)}")
    print(f"  all regions: kappa {kappa(np.concatenate(every)):.2f}")


def within_one(rows: np.ndarray) -> float:
    return float((np.abs(rows[:, 0] - rows[:, 1]) <= 1).mean())


def kappa(found: np.ndarray) -> float:
    """Cohen's, of pairs (n, 2) of yes and no; NaN where all agree by chance."""
    a, b = found[:, 0].mean(), found[:, 1].mean()
    agreed, chance = (found[:, 0] == found[:, 1]).mean(), a * b + (1 - a) * (1 - b)
    return float((agreed - chance) / (1 - chance)) if chance < 1 else float("nan")


if __name__ == "__main__":
    main()
