"""The patient of the examples
===========================

What the examples share: a virtual patient, whose infarct is known, and what adn finds in it.

::

    python examples/patient.py [SCAN REFERENCE] [-o PICTURE]

Slices of the patient from below: as scanned, and with the outline of the infarct that was drawn.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import adn


@lru_cache(maxsize=1)
def virtual_patient(seed: int = 1, matrix: int | None = None) -> Path:
    """The CT of a virtual patient in a temporary folder. matrix: pixels per row (None: as the scanner has them)."""
    from adn.virtual.folders import synthesize

    (folder,) = synthesize(1, Path(tempfile.mkdtemp()), seed=seed, matrix=matrix)
    return folder / "ct.nii.gz"


@lru_cache(maxsize=1)
def predicted(scan: Path | None = None) -> adn.Prediction:
    """What the shipped weights find in a scan; None: in a virtual patient."""
    return adn.predict(adn.open_scan(scan or virtual_patient()), adn.load_model())


def arguments(doc: str | None, picture: str, with_reference: bool = False) -> tuple[Any, ...]:
    """SCAN and -o of an example's command line; with_reference: a mask after SCAN, returned last."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, nargs="?")
    if with_reference:
        parser.add_argument("reference", type=Path, nargs="?")
    parser.add_argument("-o", "--out", type=Path, default=Path(picture))
    given = parser.parse_args()
    return (given.scan, given.out, given.reference) if with_reference else (given.scan, given.out)


def main(scan: Path | None = None, out: Path = Path("patient.png"), reference: Path | None = None) -> Path:
    """Draw a patient with the known infarct and return the picture's path."""
    from adn.figures import case_sheet
    from adn.io.masks import read_mask

    scan = scan or virtual_patient()
    case_sheet(adn.open_scan(scan).volume, read_mask(reference or scan.with_name("infarct.nii.gz"))).save(out, dpi=110)
    return out


if __name__ == "__main__":
    print(main(*arguments(__doc__, "patient.png", with_reference=True)))
