"""The result folder of one case: complete, or not there."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from adn.errors import InputError, OutputError
from adn.io.atomic import explain_write_error
from adn.io.nifti import write_volume
from adn.report.html import write_report
from adn.report.numbers import write_result
from adn.results import Prediction
from adn.volume import Volume


def save_prediction(prediction: Prediction, folder: Path, overwrite: bool = False) -> Path:
    """Write `folder/<case>/` (NIfTI files on the scan's grid, result.json, report.html) and return its path.

    All is written into a hidden folder beside it and renamed as a whole, so a result folder is always complete; on any
    failure or interruption nothing stays. `overwrite` replaces an earlier result of the same case, whole.
    Raises OutputError where the case is already there, or the disk is full or not writable.
    """
    case = prediction.case
    if case in ("", ".", "..") or Path(case).name != case:
        raise InputError(f"A case name must do as a folder name, but came as '{case}': leave out slashes.")
    target = Path(folder) / case
    _check_free(target, overwrite)
    partial = target.with_name(f".{case}.partial-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        try:
            _write_all(prediction, partial)
            _move_into_place(partial, target, overwrite)
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # gone already where all went well
    except OSError as error:
        # Files inside explain themselves by the hidden folder's name: say it again with the name the user gave.
        reason = error.__cause__ if isinstance(error, OutputError) else error
        if not isinstance(reason, OSError):
            raise
        raise OutputError(explain_write_error(reason, target)) from reason
    return target


def prediction_volumes(prediction: Prediction) -> dict[str, Volume]:
    """File name → volume, as written for this prediction: masks as uint8, maps as float32."""
    masks = ("infarct", "brain_mask")
    maps = (
        "infarct_probability",
        "asymmetry_total",
        "asymmetry_pathological",
        "asymmetry_intrinsic",
        "salient",
        "compensated",
    )
    volumes = {name: _as_type(getattr(prediction, name), np.uint8) for name in masks}
    volumes |= {name: _as_type(getattr(prediction, name), np.float32) for name in maps}
    if prediction.scan.source == "dicom":
        volumes["scan"] = _as_type(prediction.scan.volume, np.float32)
    return {f"{name}.nii.gz": volume for name, volume in volumes.items()}


def _write_all(prediction: Prediction, folder: Path) -> None:
    volumes = prediction_volumes(prediction)
    # Compression releases the interpreter's lock, so two files are packed while the report is drawn.
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = [pool.submit(write_volume, volume, folder / name) for name, volume in volumes.items()]
        try:
            write_report(prediction, folder / "report.html")
            write_result(prediction, folder / "result.json")
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _as_type(volume: Volume, dtype: type) -> Volume:
    return volume.with_data(np.asarray(volume.data, dtype))


def _check_free(target: Path, overwrite: bool) -> None:
    if not (target.exists() or target.is_symlink()):
        return
    if not overwrite:
        raise OutputError(
            f"{target} is already there and is not overwritten: "
            f"choose another output folder, remove it, or ask for overwriting."
        )
    if not (target / "result.json").is_file():
        raise OutputError(f"{target} is not a result of adn, so it is not overwritten: choose another output folder.")


def _move_into_place(partial: Path, target: Path, overwrite: bool) -> None:
    _check_free(target, overwrite)  # another run may have been quicker
    if not target.exists():
        partial.rename(target)
        return
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
