"""NRRD and MetaImage (.nrrd, .mha, .mhd) through SimpleITK. Their world is LPS; a `Volume`'s is RAS."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adn.errors import InputError
from adn.geometry import RAS_FROM_LPS, Grid
from adn.volume import Volume

_ORIENTATION_KEYS = (b"\nspace", b"TransformMatrix", b"Orientation", b"Rotation")
_HEADER_BYTES = 8192


def load(path: Path) -> tuple[Volume, list[str]]:
    """Read one 3D volume as float32 in the file's own axis order, with plain warnings about its orientation.

    Raises InputError, naming the file, for anything that is not one readable 3D volume of numbers.
    """
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path}: needed a complete NRRD or MetaImage file, but it is damaged, or its data file is absent."
        ) from error
    size = image.GetSize()
    if len(size) > 3 and int(np.prod(size[3:])) == 1:
        image = image[(slice(None),) * 3 + (0,) * (len(size) - 3)]
    elif len(size) > 3 or image.GetNumberOfComponentsPerPixel() > 1:
        count = int(np.prod(size[3:])) * image.GetNumberOfComponentsPerPixel()
        raise InputError(f"{path}: needed one 3D volume, but the file holds {count}; save the non-contrast one alone.")
    if image.GetDimension() != 3:
        raise InputError(f"{path}: needed a 3D volume, but its shape is {'×'.join(map(str, size))}.")
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    data = np.ascontiguousarray(sitk.GetArrayViewFromImage(image).transpose(2, 1, 0), dtype=np.float32)
    try:
        grid = Grid((data.shape[0], data.shape[1], data.shape[2]), RAS_FROM_LPS @ lps)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Volume(data, grid), _remarks(path)


def _remarks(path: Path) -> list[str]:
    with path.open("rb") as stream:
        head = stream.read(_HEADER_BYTES)
    if any(key in head for key in _ORIENTATION_KEYS):
        return []
    return ["The file records no orientation: left and right are assumed."]
