"""`Volume`: an array that knows where its voxels lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.space.geometry import Grid, reorient_array


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image in patient space.

    data: (n0, n1, n2), any dtype. grid: same shape. unit: what a value means, such as 'HU', '1' or 'label'.
    """

    data: NDArray
    grid: Grid
    unit: str = "HU"

    def __post_init__(self) -> None:
        if self.data.shape != self.grid.shape:
            raise InputError(f"Data of shape {self.data.shape} cannot lie on {self.grid}: the shapes must be equal.")

    def reoriented(self, axes: str) -> Volume:
        """The same voxels with axes growing towards `axes` (such as 'SPL'); nothing is interpolated."""
        data = np.ascontiguousarray(reorient_array(self.data, self.grid.axes, axes))
        return Volume(data, self.grid.reoriented(axes), self.unit)

    def view(self, axes: str) -> Volume:
        """As `reoriented`, without a copy: for those who look at a part of a large volume."""
        return Volume(reorient_array(self.data, self.grid.axes, axes), self.grid.reoriented(axes), self.unit)

    def with_data(self, data: NDArray, unit: str | None = None) -> Volume:
        """Other values on the same grid."""
        return Volume(data, self.grid, self.unit if unit is None else unit)

    def __repr__(self) -> str:
        size = "×".join(str(n) for n in self.grid.shape)
        step = "×".join(f"{s:.4g}" for s in self.grid.spacing_mm)
        return f"Volume({self.unit}, {size}, {step} mm, {self.grid.axes})"


class BoxVolume(Volume):
    """A volume of which only a box is kept, float32; elsewhere it is 0, or as the scan that it lies on.

    Most of a head scan lies outside the brain. `data` is laid out anew whenever it is asked for: take it once.
    """

    _values: NDArray[np.float32]
    _box: tuple[slice, ...]
    _scan: NDArray
    _scan_around: bool

    def __init__(
        self, values: NDArray[np.float32], box: tuple[slice, ...], scan: Volume, unit: str, *, scan_around: bool = False
    ) -> None:
        """values: of the box on the scan's axes. scan_around: whether the scan's own values lie around it."""
        own = {"_values": values, "_box": box, "_scan": scan.data, "_scan_around": scan_around}
        for name, value in {**own, "grid": scan.grid, "unit": unit}.items():
            object.__setattr__(self, name, value)

    @property
    def data(self) -> NDArray[np.float32]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The whole volume, in the scan's order of memory."""
        laid = self._scan.astype(np.float32) if self._scan_around else np.zeros_like(self._scan, np.float32)
        laid[self._box] = self._values
        return laid
