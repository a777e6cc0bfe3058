"""Reads a case's label images from any format, reorients them to their CT, and measures them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adn.errors import InputError
from adn.io import itk, read_volume
from adn.space.volume import Volume


def read_label_image(path: Path) -> Volume:
    """Read a label image as stored (float32, so that fractions and odd values are noticed). Raises InputError."""
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return read_volume(path, np.float32, "label")
    try:
        volume, _ = itk.load(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror}); check the file.", path) from error
    return volume.with_data(volume.data, "label")


def read_labels(path: Path, scan: Volume) -> Volume:
    """Read a label image as uint8 in the axis order of its scan. Raises InputError if it is on another grid.

    The axis order may differ (such as left to right or right to left), and the result gets the scan's affine, in case
    the file's own is rounded.
    """
    labels = read_label_image(path).reoriented(scan.grid.axes)
    if not labels.grid.same_as(scan.grid):
        raise InputError(
            f"must be on the grid of its CT, {scan.grid}, but is on {labels.grid}; resample it (nearest).", path
        )
    return Volume(np.rint(labels.data).astype(np.uint8), scan.grid, labels.unit)


def read_infarct(path: Path, scan: Volume) -> Volume:
    """Read an infarct mask, uint8 0 or 1. Raises InputError for another grid or other values."""
    labels = read_labels(path, scan)
    if labels.data.max(initial=0) > 1:
        values = ", ".join(str(value) for value in np.unique(labels.data)[:6])
        raise InputError(f"an infarct mask holds 0 and 1 only, but this holds {values}; save the infarct as 1.", path)
    return labels


def infarct_ml(path: Path) -> float:
    """Volume of a mask file, mL, counting every voxel above one half."""
    mask = read_label_image(path)
    return float(np.count_nonzero(mask.data > 0.5)) * mask.grid.voxel_ml
