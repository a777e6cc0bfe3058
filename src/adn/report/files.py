"""The result folder of one case: complete or absent."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from adn.errors import InputError
from adn.io.atomic import atomic_folder
from adn.io.nifti import write_volume
from adn.lang import ENGLISH
from adn.report.html import write_report
from adn.report.numbers import write_result
from adn.results import RESULT_FILE, Prediction
from adn.space.volume import BoxVolume, Volume


def save_prediction(
    prediction: Prediction,
    folder: Path,
    overwrite: bool = False,
    also: Callable[[Path], object] | None = None,
    language: str = ENGLISH,
) -> Path:
    """Write `folder/<case>/` (NIfTI files on the scan's grid, result.json, report.html) and return its path.

    All is written into a hidden folder beside it and renamed as a whole, so a result folder is always complete; a
    failure or interruption leaves nothing behind. `overwrite` replaces an earlier result of the same case entirely.
    also: writes more files into the folder that it is given, before the folder is complete.
    language: of the report and of sentences in result.json, one of `adn.lang.languages()`.
    Raises OutputError where the case exists already, or the disk is full or not writable.
    """
    case = prediction.case
    if case in ("", ".", "..") or Path(case).name != case:
        raise InputError(f"A case name must be usable as a folder name, but '{case}' is not: leave out slashes.")
    target = Path(folder) / case
    with atomic_folder(target, marker=RESULT_FILE, overwrite=overwrite) as partial:
        _write_all(prediction, partial, language)
        if also is not None:
            also(partial)
    return target


def prediction_volumes(prediction: Prediction) -> dict[str, Volume]:
    """File name → volume, as written for this prediction: masks as uint8, maps as float32.

    Maps are laid out when they are read (`BoxVolume`), so that not all are in memory at once.
    """
    masks = ("infarct", "brain_mask")
    maps = (
        "infarct_probability",
        "asymmetry_total",
        "asymmetry_pathological",
        "asymmetry_intrinsic",
        "relative_hypodensity",
        "salient",
        "compensated",
    )
    volumes = {name: _as_type(getattr(prediction, name), np.uint8) for name in masks}
    volumes |= {name: _as_type(getattr(prediction, name), np.float32) for name in maps}
    if prediction.scan.source == "dicom":
        volumes["scan"] = _as_type(prediction.scan.volume, np.float32)
    return {f"{name}.nii.gz": volume for name, volume in volumes.items()}


def _write_all(prediction: Prediction, folder: Path, language: str) -> None:
    volumes = prediction_volumes(prediction)
    # Compression releases the interpreter's lock, so two files are packed while the report is drawn.
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = [pool.submit(write_volume, volume, folder / name) for name, volume in volumes.items()]
        try:
            write_report(prediction, folder / "report.html", language)
            write_result(prediction, folder / RESULT_FILE, language)
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _as_type(volume: Volume, dtype: type) -> Volume:
    return volume if isinstance(volume, BoxVolume) else volume.with_data(np.asarray(volume.data, dtype))
