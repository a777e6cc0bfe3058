"""Builds a head CT from AISD's PNGs alone if DICOM is missing: HU from a window, up and down from the head's shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from adn.errors import InputError
from adn.space.geometry import Grid
from adn.space.volume import Volume

NOMINAL_SPACING_MM = (5.0, 0.45, 0.45)  # slices, rows, columns: AISD's stated thickness, and 230 mm over 512 pixels
AIR_HU, BONE_HU = -1000.0, 1500.0  # dense bone, so that it is not taken for the commonest tissue when the case is read
_AIR_ML, _BONE_ML = 20.0, 1.0  # clipped regions of at least this size are the room and the skull
_TAPER = 0.8  # the end slices' areas must differ by this much to tell the vertex from the base


class PngScan(NamedTuple):
    """volume: HU on an SPL grid. reversed: the PNGs ran from the vertex down."""

    volume: Volume
    reversed: bool


def png_volume(
    pictures: NDArray[np.uint8], window_hu: tuple[float, float], spacing_mm: tuple[float, float, float]
) -> PngScan:
    """Make a head CT from pictures (n, rows, columns), front up and patient left on image right, as in AISD.

    window_hu: HU of grey levels 0 and 255. Large regions clipped by the window are restored as air and bone, so that
    the skull can be found; specks keep the window's limit. Raises InputError if neither end of the stack is clearly
    smaller than the other, since top and bottom cannot then be told apart.
    """
    area = (pictures > 0).mean(axis=(1, 2))
    lesser, larger = sorted((float(area[0]), float(area[-1])))
    if lesser > _TAPER * larger:
        raise InputError(
            "Without DICOM, top and bottom cannot be distinguished: both end PNGs show about as much of the head. "
            "Give the case's DICOM."
        )
    backwards = bool(area[0] < area[-1])
    upright = pictures[::-1] if backwards else pictures
    grid = Grid.centred((upright.shape[0], upright.shape[1], upright.shape[2]), spacing_mm)
    low, high = window_hu
    hu = (low + upright.astype(np.float32) * np.float32((high - low) / 255.0)).astype(np.float32)
    hu[_large(upright == 0, _AIR_ML / grid.voxel_ml)] = AIR_HU
    hu[_large(upright == 255, _BONE_ML / grid.voxel_ml)] = BONE_HU
    return PngScan(Volume(hu, grid), backwards)


def _large(mask: NDArray[np.bool_], voxels: float) -> NDArray[np.bool_]:
    """The face-connected parts of at least `voxels` voxels."""
    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), False)
    return sitk.GetArrayFromImage(sitk.RelabelComponent(parts, minimumObjectSize=max(int(voxels), 1))) > 0
