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

    data: (n0, n1, n2), any dtype. grid: of the same shape. unit: of the values, such as 'HU', '1' or 'label'.
    """

    data: NDArray
    grid: Grid
    unit: str = "HU"

    def __post_init__(self) -> None:
        if self.data.shape != self.grid.shape:
            raise InputError(f"Data of shape {self.data.shape} cannot lie on {self.grid}: the shapes must be equal.")

    def reoriented(self, axes: str) -> Volume:
        """The same voxels with axes pointing towards `axes` (such as 'SPL'); nothing is interpolated."""
        data = np.ascontiguousarray(reorient_array(self.data, self.grid.axes, axes))
        return Volume(data, self.grid.reoriented(axes), self.unit)

    def view(self, axes: str) -> Volume:
        """The same as `reoriented`, without a copy: for reading a part of a large volume."""
        return Volume(reorient_array(self.data, self.grid.axes, axes), self.grid.reoriented(axes), self.unit)

    def part(self, axis: int, indices: slice) -> NDArray:
        """Consecutive slices along an array axis. A view if the whole array is in memory."""
        return self.data[tuple(indices if a == axis else slice(None) for a in range(3))]

    def with_data(self, data: NDArray, unit: str | None = None) -> Volume:
        """Other values on the same grid."""
        return Volume(data, self.grid, self.unit if unit is None else unit)

    def __repr__(self) -> str:
        size = "×".join(str(n) for n in self.grid.shape)
        step = "×".join(f"{s:.4g}" for s in self.grid.spacing_mm)
        return f"Volume({self.unit}, {size}, {step} mm, {self.grid.axes})"


class BoxVolume(Volume):
    """A volume of which only a box is stored, float32; elsewhere it is 0, or equal to the scan it belongs to.

    Most of a head scan lies outside the brain. `data` and parts of it are rebuilt at each access, so access them once.
    """

    _values: NDArray[np.float32]
    _box: tuple[slice, ...]
    _scan: NDArray
    _scan_around: bool

    def __init__(
        self, values: NDArray[np.float32], box: tuple[slice, ...], scan: Volume, unit: str, *, scan_around: bool = False
    ) -> None:
        """values: in the box, in the scan's axis order. scan_around: fill the rest with the scan's values, not 0."""
        own = {"_values": values, "_box": box, "_scan": scan.data, "_scan_around": scan_around}
        for name, value in {**own, "grid": scan.grid, "unit": unit}.items():
            object.__setattr__(self, name, value)

    @property
    def data(self) -> NDArray[np.float32]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The whole volume, in the scan's memory order."""
        return self.part(0, slice(None))

    def part(self, axis: int, indices: slice) -> NDArray[np.float32]:
        """The same as `Volume.part`, without building the rest."""
        scan = self._scan[tuple(indices if a == axis else slice(None) for a in range(3))]
        laid = scan.astype(np.float32) if self._scan_around else np.zeros_like(scan, np.float32)
        start, stop, _ = indices.indices(self.grid.shape[axis])
        low, high = max(start, self._box[axis].start), min(stop, self._box[axis].stop)
        if low < high:
            place, own = list(self._box), [slice(None)] * 3
            place[axis] = slice(low - start, high - start)
            own[axis] = slice(low - self._box[axis].start, high - self._box[axis].start)
            laid[tuple(place)] = self._values[tuple(own)]
        return laid
