"""How well the regions of ASPECTS agree with published ones in the plane: Dice per region.

    python benchmarks/quality/aspects_plane.py --atlas DIR --template FILE

DIR: aspects_2d of Sun et al., Sci Data 11:1132 (2024): mean CT slices and regions at both levels, by age. FILE:
Rorden's CT template in MNI space. The published slices carry no position, so they are matched to the template: the
brain's outline fixes size and shift along both axes, and the level that agrees best is taken. The published slices are
tilted relative to MNI's, which costs agreement. The borders of M1 to M6 were drawn with the slices for ages 50 to 69 in
view, so their agreement is not independent evidence.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np

from adn.atlas import ASPECTS_REGIONS, AspectsRegion
from adn.findings.aspects import regions_at
from adn.space.geometry import bounding_box

LABELS: dict[str, dict[int, AspectsRegion]] = {
    "subcortical": {1: "caudate", 2: "lentiform", 3: "internal capsule", 4: "insula", 5: "M1", 6: "M2", 7: "M3"},
    "cortical": {8: "M4", 9: "M5", 10: "M6"},
}
LEVELS_MM = {"subcortical": range(-4, 14, 2), "cortical": range(22, 46, 2)}
AGES = ("50_69", "70_89")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atlas", type=Path, required=True)
    parser.add_argument("--template", type=Path, required=True)
    arguments = parser.parse_args()
    template = nib.load(arguments.template)  # type: ignore[attr-defined]
    for age in AGES:
        for plane, names in LABELS.items():
            image, labels = (read(arguments.atlas / f"{plane}_{kind}_{age}.nii.gz") for kind in ("image", "label"))
            level, found = max(
                ((z, dice(image, labels, template, z, names)) for z in LEVELS_MM[plane]),
                key=lambda pair: np.mean(list(pair[1].values())),
            )
            told = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
            print(f"{age} years, {plane}, best at z = {level} mm: {told}; mean {np.mean(list(found.values())):.2f}")


def read(path: Path) -> np.ndarray:
    """A slice as (rows from the front back, columns from right to left)."""
    return np.asarray(nib.load(path).dataobj).T  # type: ignore[attr-defined]


def dice(image: np.ndarray, labels: np.ndarray, template, level_mm: int, names: dict[int, AspectsRegion]) -> dict:
    """Dice of each region, both sides together, at one MNI level."""
    affine, voxels = template.affine, np.asarray(template.dataobj)
    plane = voxels[:, :, round(level_mm - affine[2, 3])].T > 0  # rows from the back to the front, columns from the left
    rows, columns = bounding_box(plane, margins=(0, 0))
    own_rows, own_columns = bounding_box(image > 0, margins=(0, 0))
    front, back = -(affine[1, 3] + rows.stop - 1), -(affine[1, 3] + rows.start)
    right = affine[0, 3] + columns.start
    width, height = columns.stop - columns.start - 1, back - front
    y = front + (np.arange(image.shape[0]) - own_rows.start) / (own_rows.stop - own_rows.start - 1) * height
    x = right + (np.arange(image.shape[1]) - own_columns.start) / (own_columns.stop - own_columns.start - 1) * width
    place = np.stack(np.broadcast_arrays(x[None], y[:, None], float(level_mm)), axis=-1)
    ours = regions_at(place).number
    result = {}
    for number, name in names.items():
        a, b = labels == number, (ours == ASPECTS_REGIONS.index(name) + 1) & (image > 0)
        result[name] = 2 * float((a & b).sum()) / max(int(a.sum() + b.sum()), 1)
    return result


if __name__ == "__main__":
    main()
