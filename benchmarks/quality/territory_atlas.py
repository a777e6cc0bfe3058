"""How well the arterial territories agree with a published atlas of stroke patients, in MNI space; a Markdown table.

    python benchmarks/quality/territory_atlas.py ATLAS.nii.gz

ATLAS: the arterial atlas of Liu et al. (Sci Data 10:74, 2023), 32 labels at 1 mm, drawn from infarcts of 1,298
patients; ventricles are left out. Over all voxels of the atlas: Dice of each territory and, where our name differs, the
atlas's name. Our territories are ellipsoids (`adn.atlas.REGIONS`), made without this atlas.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from adn.atlas import SUPPLY, Supply
from adn.findings.territory import territory_shares

# labels of the right and left side, in pairs
ATLAS: dict[Supply, tuple[int, ...]] = {
    "middle cerebral artery": tuple(range(3, 17)),
    "anterior cerebral artery": (1, 2),
    "posterior cerebral artery": (17, 18, 19, 20),
    "thalamus": (21, 22, 23, 24),
    "cerebellum": (27, 28, 29, 30),
    "brainstem": (25, 26),
}
DEEP = "lenticulostriate"  # ours, within the middle cerebral artery
DEEP_LABELS = (3, 4, 5, 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("atlas", type=Path)
    image: Any = nib.load(parser.parse_args().atlas)  # type: ignore[attr-defined]
    labels = np.asarray(image.dataobj)
    lps = np.diag((-1.0, -1.0, 1.0, 1.0)) @ image.affine
    ml: dict[Supply, dict[Supply, float]] = {supply: defaultdict(float) for supply in ATLAS}  # the atlas's → ours
    deep_ml, both_deep_ml = 0.0, 0.0
    for supply, numbers in ATLAS.items():
        for number in numbers:
            for share in territory_shares(labels == number, 0.001, lps):
                ml[supply][SUPPLY[share.territory]] += share.volume_ml
                deep_ml += share.volume_ml if share.territory == DEEP else 0.0
                both_deep_ml += share.volume_ml if share.territory == DEEP and number in DEEP_LABELS else 0.0
    print("| territory | atlas, mL | ours, mL | Dice | where ours is, the atlas has |\n|---|---|---|---|---|")
    for supply in ATLAS:
        theirs, ours = sum(ml[supply].values()), sum(row[supply] for row in ml.values())
        told = ", ".join(f"{name} {row[supply] / ours:.0%}" for name, row in ml.items() if row[supply] > 0.05 * ours)
        print(f"| {supply} | {theirs:.0f} | {ours:.0f} | {2 * ml[supply][supply] / (theirs + ours):.2f} | {told} |")
    atlas_deep_ml = np.isin(labels, DEEP_LABELS).sum() * 0.001
    agree = sum(ml[supply][supply] for supply in ATLAS) / sum(sum(row.values()) for row in ml.values())
    deep_dice = 2 * both_deep_ml / (deep_ml + atlas_deep_ml)
    print(f"\nLenticulostriate alone: Dice {deep_dice:.2f}. The same name at {agree:.0%} of the volume.")


if __name__ == "__main__":
    main()
