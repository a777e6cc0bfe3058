"""Rows of Table 1 side by side, as in figure 3 of the paper, on six patients from the smallest infarct to the largest.

    python benchmarks/quality/table_1_pictures.py OUT --real DIR -o PICTURE [--rows NAME...]

OUT: as `adn benchmark` fills it with folds; DIR of --real: teknofest/ as `tools/real_cases.py` writes it. The cases are
those at the 5th, 23rd, 41st, 59th, 77th and 95th percentile of the outlined volume, so none is hand-picked. The picture
shows real patients: keep it out of the repository.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cases import RulerCase, outlined
from table_1_scores import FOLDS

import adn
from adn.figures import method_comparison
from adn.io.masks import read_mask

ROWS = ("resunet", "clerigues", "sean", "resunet-aligned", "adn-without-tissue", "adn", "adn-plus", "nnunet")
PERCENTILES = (5, 23, 41, 59, 77, 95)


def chosen(cases: Sequence[RulerCase]) -> dict[float, RulerCase]:
    """Six cases, by their outlined mL."""
    volumes = {}
    for case in cases:
        assert case.infarct is not None
        mask = read_mask(case.infarct)
        volumes[float((mask.data > 0).sum() * mask.grid.voxel_ml)] = case
    places = np.unique(np.rint(np.percentile(np.arange(len(volumes)), PERCENTILES)).astype(int))
    return {ml: volumes[ml] for ml in np.sort(list(volumes))[places]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("-o", dest="picture", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", default=ROWS)
    arguments = parser.parse_args()
    found = chosen([case for fold in range(FOLDS) for case in outlined(arguments.real / "teknofest", f"fold {fold}")])
    scans = [adn.open_scan(case.ct).volume.reoriented("SPL") for case in found.values()]
    references = [read_mask(case.infarct).reoriented("SPL") for case in found.values() if case.infarct]
    methods = {
        row: [
            read_mask(arguments.out / row / "predictions" / case.name / "infarct.nii.gz").reoriented("SPL")
            for case in found.values()
        ]
        for row in arguments.rows
    }
    sheet = method_comparison(scans, references, methods, [f"{ml:.0f} mL" for ml in found])
    sheet.save(arguments.picture, dpi=110)


if __name__ == "__main__":
    main()
