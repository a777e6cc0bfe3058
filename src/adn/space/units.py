"""Units: Hounsfield units (HU) to the networks' unit interval and back, units of length, and the height of a brain."""

import numpy as np
from numpy.typing import NDArray

WindowHU = tuple[float, float]
MM_PER_UNIT = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 0.001}
WHOLE_BRAIN_MM = 110.0  # a shorter scan, or shorter brain in it, is a part of a head


def hu_to_unit(hu: NDArray, window_hu: WindowHU) -> NDArray[np.float32]:
    """Map HU to [0, 1] by a window (lower, upper); values outside are clipped. Any shape."""
    lower, upper = window_hu
    return np.clip((hu - lower) / (upper - lower), 0.0, 1.0).astype(np.float32, copy=False)


def unit_to_hu(difference: NDArray, window_hu: WindowHU) -> NDArray[np.float32]:
    """Map a difference of unit intensities (an asymmetry) to a difference in HU. Any shape."""
    lower, upper = window_hu
    return (difference * (upper - lower)).astype(np.float32, copy=False)
