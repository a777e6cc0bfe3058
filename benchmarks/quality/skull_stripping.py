"""Skull stripping on virtual heads with skull: Dice against the true mask, volume difference, seconds.

    python benchmarks/quality/skull_stripping.py --anatomy DIR --lesions DIR [-n 20]

Heads are drawn as `adn synth` draws them (rotation, shift, tilt, slice thickness, noise, headrest) and rendered on the
scanner's grid. Without --anatomy the heads are modelled from the MNI priors.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from adn.errors import InputError
from adn.findings.quality import mask_remarks
from adn.prepare import strip_skull
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.virtual.folders import synthesize


def load(path: Path) -> Volume:
    image = nib.nifti1.load(path)  # type: ignore[attr-defined]
    return Volume(image.get_fdata(dtype=np.float32), Grid(image.shape, image.affine))


def score(case: Path) -> tuple[float, float]:
    """Dice and seconds of one case; prints its row."""
    scan, truth = load(case / "ct.nii.gz"), load(case / "brain.nii.gz").data > 0
    start = time.perf_counter()
    try:
        mask = strip_skull(scan)
    except InputError as error:
        print(f"{case.name}  refused: {error}")
        return 0.0, time.perf_counter() - start
    seconds = time.perf_counter() - start
    found, ml = mask.data > 0, scan.grid.voxel_ml
    dice = 2.0 * float((found & truth).sum()) / float(found.sum() + truth.sum())
    print(
        f"{case.name}  Dice {dice:.4f}  too much {(found & ~truth).sum() * ml:5.0f} mL  "
        f"missed {(truth & ~found).sum() * ml:5.0f} mL  of {truth.sum() * ml:5.0f} mL  {seconds:5.2f} s  {scan}  "
        + " ".join(remark.sentence for remark in mask_remarks(scan, mask)),
        flush=True,
    )
    return dice, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=20, help="heads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--anatomy", type=Path, help="folder of label maps with skull")
    parser.add_argument("--lesions", type=Path, help="folder of infarct masks in MNI space")
    parser.add_argument("--keep", type=Path, help="folder for the virtual patients (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        cases = synthesize(options.n, folder, options.seed, options.anatomy, options.lesions)
        rows = [score(case) for case in cases]
    dice, seconds = np.array(rows).T
    print(f"{len(rows)} heads: Dice mean {dice.mean():.4f}, worst {dice.min():.4f}; {seconds.mean():.2f} s each")


if __name__ == "__main__":
    main()
