"""Writes a virtual patient's volume in HU as an axial CT series like a scanner's, including gantry tilt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

from adn.io.digest import sha256
from adn.space.geometry import RAS_FROM_LPS, Grid
from adn.space.volume import Volume

LOWEST_HU, HIGHEST_HU = -1024, 3071  # what 12 bits hold with an intercept of −1024
BRAIN_WINDOW_HU = (40.0, 80.0)  # centre, width
TUBE_KV = 120.0


def write_ct_series(volume: Volume, folder: Path, *, name: str, seed: str, comment: str) -> list[Path]:
    """Write one file per axial slice, `0001.dcm` the lowest, into a new `folder`; return the files.

    volume: HU, any axis order; values are rounded and clipped to −1024…3071. Its grid may be sheared as by a tilted
    gantry (rectangular slices, each offset along its columns); otherwise slices are stacked along their normal. name:
    becomes the patient name, VIRTUAL^name. seed: source of the UIDs, so that the same seed and volume give the same
    bytes. comment: stored in every file. Raises OSError if the folder exists or cannot be written.
    """
    upright = volume.reoriented("SPL")
    folder.mkdir()
    template = _template(upright.grid, name, seed, comment)
    affine = RAS_FROM_LPS @ upright.grid.affine
    normal = np.cross(affine[:3, 2], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    files = []
    for number, hu in enumerate(upright.data, start=1):
        position = affine[:3, 3] + affine[:3, 0] * (number - 1)
        uid = generate_uid(entropy_srcs=[seed, "instance", str(number)])
        template.file_meta.MediaStorageSOPInstanceUID = template.SOPInstanceUID = uid
        template.InstanceNumber = number
        template.ImagePositionPatient = _decimals(position)
        template.SliceLocation = _decimals([position @ normal])[0]
        stored = np.rint(hu).clip(LOWEST_HU, HIGHEST_HU).astype(np.int32) - LOWEST_HU
        template.PixelData = stored.astype("<u2").tobytes()
        files.append(folder / f"{number:04d}.dcm")
        template.save_as(files[-1], enforce_file_format=True)
    return files


def gantry_tilt_deg(grid: Grid) -> float:
    """Angle by which the slices of a grid deviate from being perpendicular to the stacking direction, degrees.

    Positive if the front of a slice is higher than its back, with slices ordered upwards.
    """
    affine = RAS_FROM_LPS @ grid.reoriented("SPL").affine
    up, down = (affine[:3, axis] / np.linalg.norm(affine[:3, axis]) for axis in (0, 1))
    return float(-np.rad2deg(np.arcsin(np.clip(up @ down, -1, 1))))


def _template(grid: Grid, name: str, seed: str, comment: str) -> FileDataset:
    """Tags that all slices share. grid: SPL."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = CTImageStorage
    data.SpecificCharacterSet = "ISO_IR 100"
    data.PatientName, data.PatientBirthDate, data.PatientSex = f"VIRTUAL^{name}", "", "O"
    data.PatientID = f"VIRTUAL-{sha256(seed)[:12]}"  # archives merge studies that share it
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = (
        generate_uid(entropy_srcs=[seed, level]) for level in ("study", "series", "frame of reference")
    )
    data.StudyDate = data.StudyTime = data.ReferringPhysicianName = data.AccessionNumber = data.StudyID = ""
    data.PositionReferenceIndicator = ""
    data.Manufacturer, data.ManufacturerModelName = "adn", "virtual scanner"
    data.Modality, data.SeriesNumber, data.AcquisitionNumber = "CT", 1, 1
    data.StudyDescription, data.SeriesDescription = "Virtual patient, research use only", "Head CT, made up"
    data.ImageType, data.BodyPartExamined, data.PatientPosition = ["ORIGINAL", "PRIMARY", "AXIAL"], "HEAD", "HFS"
    data.ImageComments, data.BurnedInAnnotation = comment, "NO"
    data.KVP, data.ConvolutionKernel = _decimals([TUBE_KV])[0], "STANDARD"
    _describe_plane(data, grid)
    _describe_pixels(data, grid.shape)
    return data


def _describe_plane(data: FileDataset, grid: Grid) -> None:
    affine = RAS_FROM_LPS @ grid.affine
    step, row_mm, column_mm = grid.spacing_mm
    down, right = affine[:3, 1] / row_mm, affine[:3, 2] / column_mm
    tilt_deg = gantry_tilt_deg(grid)
    data.GantryDetectorTilt = _decimals([tilt_deg])[0]
    data.SliceThickness = _decimals([step * np.cos(np.deg2rad(tilt_deg))])[0]
    data.PixelSpacing = _decimals([row_mm, column_mm])
    data.ImageOrientationPatient = _decimals([*right, *down])


def _describe_pixels(data: FileDataset, shape: tuple[int, int, int]) -> None:
    _, data.Rows, data.Columns = shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = _decimals([LOWEST_HU])[0], _decimals([1])[0], "HU"
    data.WindowCenter, data.WindowWidth = _decimals(BRAIN_WINDOW_HU)


def _decimals(values: NDArray | tuple | list) -> list[Any]:
    """Decimal strings, limited to 16 characters; −0.0 and 1e-17 become plain zeros."""
    return [DSfloat(round(float(value), 9) + 0.0, auto_format=True) for value in values]
