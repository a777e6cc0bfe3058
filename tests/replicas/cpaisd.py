"""Small replicas of CPAISD in its published layout: parts, studies, a folder for each slice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pydicom

from adn.space.volume import Volume
from phantoms import ball, write_dicom_series
from replicas.aisd import half_head

NAME = "SOMEBODY^SECRET"
AGE = 4711


@cache
def head_of(seed: int) -> Volume:
    """The phantom with noise of its own, as no two scans are equal."""
    head = half_head(seed)
    return head.with_data(head.data + np.random.default_rng(seed).integers(-1, 2, head.data.shape))


def write_study(
    root: Path,
    study: str = "study-1",
    part: str = "train",
    *,
    seed: int = 0,
    kept: Sequence[int] | None = None,
    tilt_deg: float = 0.0,
    core: bool = True,
) -> list[Path]:
    """Write a study and return its slices' folders, from below.

    kept: which slices are published. core: else all is penumbra.
    """
    volume = head_of(seed)
    truth = volume.with_data(labels_of(volume, core).astype(np.float32), "label")
    folder = root / part / study
    files = write_dicom_series(volume, folder / ".raw", tilt_deg=tilt_deg, tags={"PatientName": NAME})
    marks = write_dicom_series(truth, folder / ".marks", tilt_deg=tilt_deg, outside_hu=0.0, order=0)
    names = np.random.default_rng(seed).permutation(len(files))  # names say nothing of the order
    folders = []
    for place in range(len(files)) if kept is None else kept:
        data = pydicom.dcmread(files[place])
        slice_folder = folder / f"{int(names[place]):05d}"
        slice_folder.mkdir()
        data.save_as(slice_folder / "raw.dcm")
        hu = pydicom.dcmread(files[place]).pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
        np.savez_compressed(slice_folder / "image.npz", image=np.clip((hu + 40) / 120, 0, 1).astype(np.float32))
        mask = np.rint(pydicom.dcmread(marks[place]).pixel_array).astype(np.uint8)
        np.savez_compressed(slice_folder / "mask.npz", mask=mask)
        folders.append(slice_folder)
    for path in (*files, *marks):
        path.unlink()
    for name in (".raw", ".marks"):
        (folder / name).rmdir()
    (folder / "metadata.json").write_text(json.dumps({"nihss": 9, "age": AGE, "sex": "F", "time": "2 h", "dsa": False}))
    return folders


def labels_of(volume: Volume, core: bool = True) -> np.ndarray:
    """0, 1 core (one half of the phantom's ball), 2 penumbra (the other)."""
    inside = ball(volume.grid)
    half = np.arange(inside.shape[1])[None, :, None] < np.argwhere(inside)[:, 1].mean()
    return np.where(inside & half, 1 if core else 2, np.where(inside, 2, 0))
