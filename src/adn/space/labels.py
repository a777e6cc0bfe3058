"""The values of a tissue map, in files and tensors alike."""

from __future__ import annotations

from enum import IntEnum


class TissueLabel(IntEnum):
    """Tissue of a voxel. The values are those of `tissue.nii.gz` and the order of the tissue networks' outputs.

    OUTSIDE: outside the brain, or tissue that is not known.
    """

    OUTSIDE = 0
    GM = 1
    WM = 2
    CSF = 3


TISSUES = (TissueLabel.GM, TissueLabel.WM, TissueLabel.CSF)  # without OUTSIDE
