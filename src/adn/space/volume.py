"""`Volume`: an array that knows where its voxels lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        return replace(self, data=data, grid=self.grid.reoriented(axes))

    def view(self, axes: str) -> Volume:
        """As `reoriented`, without a copy: for those who look at a part of a large volume."""
        return replace(self, data=reorient_array(self.data, self.grid.axes, axes), grid=self.grid.reoriented(axes))

    def with_data(self, data: NDArray, unit: str | None = None) -> Volume:
        """Other values on the same grid."""
        return Volume(data, self.grid, self.unit if unit is None else unit)

    def __repr__(self) -> str:
        size = "×".join(str(n) for n in self.grid.shape)
        step = "×".join(f"{s:.4g}" for s in self.grid.spacing_mm)
        return f"Volume({self.unit}, {size}, {step} mm, {self.grid.axes})"
