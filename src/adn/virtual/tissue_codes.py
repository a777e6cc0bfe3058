"""Tissue codes of virtual heads, and the mapping from FreeSurfer labels to them (docs/method.md, section 7)."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError

AIR_HU = -1000.0


class Tissue(IntEnum):
    """One code per appearance on CT. The order matters: grey, other parenchyma, the rest of the brain, then outside it.

    VESSEL: also dura. SOFT: muscle and skin. SCALP: fat.
    """

    AIR = 0
    GM = 1
    DEEP_GM = 2
    WM = 3
    STEM = 4
    CSF = 5
    VENTRICLE = 6
    VESSEL = 7
    CHOROID = 8
    BONE = 9
    SOFT = 10
    SCALP = 11
    SINUS = 12
    MARROW = 13
    EYE = 14
    AIR_CELLS = 15


BRAIN_CODES = tuple(range(Tissue.GM, Tissue.CHOROID + 1))  # inside the inner table
GREY = (Tissue.GM, Tissue.DEEP_GM)
FLUID = (Tissue.CSF, Tissue.VENTRICLE)

# 516 is marrow: it fills the diploe, the clivus, the vertebrae and the jaw. Sinuses have label 0.
_FREESURFER = {
    Tissue.AIR: (0, 509),
    Tissue.GM: (3, 42, 8, 47, 17, 53, 18, 54),
    Tissue.DEEP_GM: (10, 49, 11, 50, 12, 51, 13, 52, 26, 58),
    Tissue.WM: (2, 41, 7, 46, 85),
    Tissue.STEM: (16, 28, 60),
    Tissue.CSF: (24, 25, 57),
    Tissue.VENTRICLE: (4, 43, 5, 44, 14, 15, 72),
    Tissue.VESSEL: (30, 62),
    Tissue.CHOROID: (136, 137, 163, 164),
    Tissue.BONE: (515,),
    Tissue.SOFT: (507, 508, 530, 502, 512),
    Tissue.SCALP: (511,),
    Tissue.SINUS: (514,),
    Tissue.MARROW: (516,),
    Tissue.EYE: (506,),
}
LEFT_CEREBRUM, RIGHT_CEREBRUM = (2, 3, 10, 11, 12, 13, 17, 18), (41, 42, 49, 50, 51, 52, 53, 54)


def codes_from_freesurfer(labels: NDArray, name: str) -> NDArray[np.uint8]:
    """FreeSurfer labels (any shape; int or whole floats) → `Tissue` codes. Raises InputError on an unknown label."""
    table = np.full(1024, 255, np.uint8)
    for code, values in _FREESURFER.items():
        table[list(values)] = code
    whole = np.rint(labels).astype(np.int64)
    unknown = whole[(whole < 0) | (whole >= table.size) | (table[np.clip(whole, 0, table.size - 1)] == 255)]
    if unknown.size:
        raise InputError(
            f"{name}: needs FreeSurfer labels with skull, found unknown label {sorted(set(unknown.tolist()))[:5]}; "
            "use label maps such as those SynthSeg was trained on."
        )
    return table[whole]
