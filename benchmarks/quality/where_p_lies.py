"""Where P lies on real patients: in the infarct, in white matter whose twin is grey, in CSF; for ablations of L_tissue.

    python benchmarks/quality/where_p_lies.py OUT --real DIR [--rows NAME...]

OUT: as `benchmarks/studies/table_1.py` fills it. Each patient is predicted by the network of its fold, on the aligned
brain box; tissue comes from the tissue network. Only acquired voxels count. A Markdown table, mean over patients and
95 % interval: P's share inside the infarct, in white matter whose twin is grey matter, and in CSF, and P : A.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from cases import outlined
from table_1_scores import FOLDS

from adn.datasets.layouts import Case
from adn.feed.aligned import ensure_aligned, load_aligned
from adn.feed.samples import Sample
from adn.metrics.statistics import bootstrap_mean
from adn.nn.adn import ADN
from adn.prediction.model import load_model
from adn.space.labels import TissueLabel
from adn.space.warp import mirror

ROWS = ("adn", "adn@1", "adn-without-tissue", "adn-without-tissue@1", "adn-plus", "adn-slicewise")
COLUMNS = ("in the infarct", "where white matter's twin is grey", "in CSF", "P : A")


def shares(network: ADN, sample: Sample) -> list[float]:
    """A row of `COLUMNS`; NaN if there is no P."""
    with torch.no_grad():
        parts = network.from_aligned(sample.brain[None], torch.eye(4)[None]).parts
    seen = sample.infarct[0] >= 0
    a = parts.total_asymmetry[0, 0] * seen
    p = torch.minimum(parts.pathological_asymmetry[0, 0] * seen, a)
    inside, tissue = sample.infarct[0] > 0, sample.tissue[0]
    other = (tissue == TissueLabel.WM) & (mirror(tissue) == TissueLabel.GM) & ~inside
    fluid = (tissue == TissueLabel.CSF) & ~inside
    total = float(p.sum())
    found = [float(p[where].sum()) / total if total else math.nan for where in (inside, other, fluid)]
    return [*found, total / max(float(a.sum()), 1e-9)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", default=ROWS)
    arguments = parser.parse_args()
    print(f"| row | n | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
    for row in arguments.rows:
        table: list[list[float]] = []
        for fold in range(FOLDS):
            folder = arguments.out / row / f"fold-{fold}"
            if not (folder / "weights.safetensors").is_file():
                continue
            model = load_model(folder / "last.safetensors")
            assert isinstance(model.network, ADN)
            for case in outlined(arguments.real / "teknofest", f"fold {fold}"):
                files = Case(case.name, case.patient, case.ct, case.infarct, seen=case.seen)
                path, _ = ensure_aligned(files, model.recipe.grid, model.recipe.train.mix.align_with)
                table.append(shares(model.network, load_aligned(path)))
        cells = []
        for values in np.array(table).reshape(-1, len(COLUMNS)).T:
            known = values[~np.isnan(values)]
            interval = bootstrap_mean(known)
            around = f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else ""
            cells.append(f"{known.mean():.3f}{around}" if len(known) else "")
        print(f"| {row} | {len(table)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
