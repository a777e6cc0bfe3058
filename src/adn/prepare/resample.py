"""Resamples arrays with an affine; no other module passes an affine to SimpleITK."""

from __future__ import annotations

from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray


def resample(
    array: NDArray,
    matrix: NDArray[np.float64],
    shape: tuple[int, ...] | None = None,
    how: Literal["linear", "nearest"] = "linear",
    outside: float = 0.0,
) -> NDArray:
    """Return array(matrix · output index), in the array's own dtype.

    matrix: 4 × 4, output index → array index, both along D, H, W. shape: of the output; None: the array's.
    outside: the value beyond the array.
    """
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix[2::-1, 2::-1].ravel().tolist())  # SimpleITK's axes run W, H, D
    affine.SetTranslation(matrix[2::-1, 3].tolist())
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in (shape or array.shape)[::-1]])
    resampler.SetTransform(affine)
    resampler.SetInterpolator({"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}[how])
    resampler.SetDefaultPixelValue(outside)
    return sitk.GetArrayFromImage(resampler.Execute(sitk.GetImageFromArray(array)))
