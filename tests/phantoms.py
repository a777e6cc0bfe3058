"""Heads made by code, and the DICOM series a scanner would write of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.charset import convert_encodings
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.ndimage import map_coordinates

from adn.space.geometry import RAS_FROM_LPS, Grid
from adn.space.volume import Volume

PATIENT_NAME = "Doe^Jane"
PATIENT_ID = "ID-4711"
BALL_CENTRE_MM = (-30.0, 35.0, 25.0)  # RAS, from the head's centre: left, in front, above
BALL_RADIUS_MM = 18.0
_OWN = (
    "SOPInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "PixelData",
)  # of each slice, in the order of a file


def head(
    shape: tuple[int, int, int] = (30, 96, 80),
    spacing_mm: tuple[float, float, float] = (5.0, 2.0, 2.0),
    axes: str = "SPL",
    centre_mm: tuple[float, float, float] = (3.0, -7.0, 20.0),
) -> Volume:
    """A head in HU without symmetry: air, scalp, skull, brain, and one dark ball left, in front and above.

    shape and spacing_mm are along S, P, L; the result's array axes grow towards `axes`.
    """
    made = _head(tuple(shape), tuple(spacing_mm), tuple(centre_mm))
    return made.with_data(made.data.copy()).reoriented(axes)


@lru_cache(maxsize=16)
def _head(shape: tuple[int, ...], spacing_mm: tuple[float, ...], centre_mm: tuple[float, ...]) -> Volume:
    """In SPL; made once a process, since tests ask for the same few again and again."""
    grid = Grid.centred(shape, spacing_mm, centre_mm)  # type: ignore[arg-type]
    x, y, z = _world(grid) - np.reshape(centre_mm, (3, 1, 1, 1))
    hu = np.full(shape, -1000.0, dtype=np.float32)
    for scale, value in ((1.0, 40.0), (0.94, 1100.0), (0.86, 32.0)):
        hu[(x / 70) ** 2 + (y / 88) ** 2 + (z / 68) ** 2 <= scale**2] = value
    hu[ball(grid, centre_mm)] = 6.0
    return Volume(hu, grid)


def ball(grid: Grid, centre_mm: Sequence[float] = (3.0, -7.0, 20.0)) -> np.ndarray:
    """True inside the dark ball of `head`, on any grid."""
    middle = np.reshape(np.add(BALL_CENTRE_MM, centre_mm), (3, 1, 1, 1))
    return np.linalg.norm(_world(grid) - middle, axis=0) <= BALL_RADIUS_MM


def centroid_mm(mask: Volume) -> np.ndarray:
    """Centre of mass of a mask, RAS mm."""
    index = np.argwhere(mask.data > 0).mean(axis=0)
    return (mask.grid.affine @ [*index, 1.0])[:3]


def _world(grid: Grid) -> np.ndarray:
    index = np.indices(grid.shape, dtype=np.float64).reshape(3, -1)
    return (grid.affine[:3, :3] @ index + grid.affine[:3, 3:]).reshape(3, *grid.shape)


def write_dicom_series(
    volume: Volume,
    folder: Path,
    *,
    tilt_deg: float = 0.0,
    gaps: Sequence[float] | None = None,
    signed: bool = True,
    slope: float = 1.0,
    intercept: float = 0.0,
    padding_hu: float | None = None,
    outside_hu: float = -1000.0,
    order: int = 1,
    prefix: str = "",
    tags: Mapping[str, object] | None = None,
) -> list[Path]:
    """Scan `volume` as a CT does and write one DICOM file per slice; return the files from bottom to top.

    tilt_deg: gantry tilt: slices are planes turned about the left-right axis while the table moves along z, so the
    stack is sheared. gaps: table movement from each slice to the next, mm (None: the volume's own step, with as many
    slices as cover the volume). signed, slope, intercept: how HU are stored. padding_hu: written outside a circle,
    with its tag. outside_hu: read where the volume ends. order: 1 interpolates linearly, 0 takes the nearest (labels).
    tags: DICOM keywords that replace the defaults, such as SeriesNumber, ImageType, ContrastBolusAgent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    upright = volume.reoriented("SPL")
    step, pixel, _ = upright.grid.spacing_mm
    height, depth, width = np.array(upright.grid.shape) * upright.grid.spacing_mm
    tilt = np.deg2rad(tilt_deg)
    right, down = np.array([1.0, 0.0, 0.0]), np.array([0.0, np.cos(tilt), -np.sin(tilt)])  # LPS
    if gaps is None:
        gaps = [step] * int(np.ceil((height - step + abs(np.tan(tilt)) * depth) / step - 1e-6))
    table = np.concatenate([[0.0], np.cumsum(gaps)])
    rows, columns = int(np.ceil(depth / np.cos(tilt) / pixel - 1e-6)), int(np.ceil(width / pixel - 1e-6))
    centre = (RAS_FROM_LPS @ [*upright.grid.centre_mm, 1.0])[:3]
    corner = centre - down * (rows - 1) / 2 * pixel - right * (columns - 1) / 2 * pixel
    series = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), **(tags or {})}
    files, writer = [], None
    for number, height_mm in enumerate(table - table[-1] / 2):
        position = np.add(corner, (0.0, 0.0, height_mm))
        hu = _slice(upright, position, down * pixel, right * pixel, (rows, columns), outside_hu, order)
        if padding_hu is not None:
            hu[_outside_circle(rows, columns)] = padding_hu
        stored = _stored(hu, signed, slope, intercept)
        if writer is None:
            data = _dataset(np.concatenate([right, down]), pixel, step, tilt_deg)
            _describe_pixels(data, hu, signed, slope, intercept, padding_hu)
            writer = _SliceWriter(data, series)
        files.append(folder / f"{prefix}{number + 1:04d}.dcm")
        files[-1].write_bytes(writer.file(number + 1, position, stored))
    return files


class _SliceWriter:
    """Writes slices of one series: what all have in common is encoded once, which takes most of the time."""

    def __init__(self, data: Dataset, tags: Mapping[str, object]) -> None:
        """data: what all slices have in common. tags: what to replace, in each slice."""
        for keyword, value in tags.items():
            setattr(data, keyword, value)
        self.tags, self.encoding = tags, convert_encodings(data.get("SpecificCharacterSet", "ISO_IR 6"))
        own = [tag_for_keyword(keyword) for keyword in _OWN]
        for keyword in _OWN:
            if keyword in data:
                delattr(data, keyword)
        self.common = [self._encoded(data[low:high]) for low, high in zip([None, *own], [*own, None], strict=True)]

    def file(self, number: int, position: np.ndarray, pixels: bytes) -> bytes:
        """The bytes of one slice."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        begin = DicomBytesIO()
        write_file_meta_info(begin, meta)
        place = [f"{value:.7f}" for value in position]
        values = (meta.MediaStorageSOPInstanceUID, number, place, pixels)
        parts = [b"\0" * 128, b"DICM", begin.getvalue(), self.common[0]]
        for keyword, value, after in zip(_OWN, values, self.common[1:], strict=True):
            one = Dataset()
            setattr(one, keyword, self.tags.get(keyword, value))
            parts += [self._encoded(one), after]
        return b"".join(parts)

    def _encoded(self, data: Dataset) -> bytes:
        content = DicomBytesIO()
        content.is_little_endian, content.is_implicit_VR = True, False
        if "PixelData" in data:
            data["PixelData"].VR = "OW"
        write_dataset(content, data, self.encoding)
        return content.getvalue()


def _slice(volume, position, down, right, shape, outside, order) -> np.ndarray:
    rows, columns = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    points = position[:, None, None] + down[:, None, None] * rows + right[:, None, None] * columns
    index_from_lps = np.linalg.inv(volume.grid.affine) @ RAS_FROM_LPS
    index = np.tensordot(index_from_lps[:3, :3], points, axes=1) + index_from_lps[:3, 3, None, None]
    return map_coordinates(volume.data.astype(np.float32), index, order=order, mode="constant", cval=outside)


def _outside_circle(rows: int, columns: int) -> np.ndarray:
    y, x = np.ogrid[:rows, :columns]
    radius = max(rows, columns) / 2
    return (y - (rows - 1) / 2) ** 2 + (x - (columns - 1) / 2) ** 2 > radius**2


def _dataset(orientation, pixel, step, tilt_deg) -> Dataset:
    data = Dataset()
    data.SOPClassUID = CTImageStorage
    data.PatientName, data.PatientID, data.PatientBirthDate = PATIENT_NAME, PATIENT_ID, "19501224"
    data.StudyDate = data.SeriesDate = "20200229"
    data.Modality, data.Manufacturer, data.SeriesDescription = "CT", "GE MEDICAL SYSTEMS", "Head 5.0"
    data.ImageType, data.BodyPartExamined = ["ORIGINAL", "PRIMARY", "AXIAL"], "HEAD"
    data.SeriesNumber, data.AcquisitionNumber = 2, 1
    data.PatientPosition, data.GantryDetectorTilt = "HFS", f"{tilt_deg:.4f}"
    data.SliceThickness, data.PixelSpacing = f"{step:.4f}", [f"{pixel:.6f}"] * 2
    data.ImageOrientationPatient = [f"{value:.9f}" for value in orientation]
    return data


def _stored(hu, signed, slope, intercept) -> bytes:
    kind = np.int16 if signed else np.uint16
    return np.clip(np.round((hu - intercept) / slope), np.iinfo(kind).min, np.iinfo(kind).max).astype(kind).tobytes()


def _describe_pixels(data, hu, signed, slope, intercept, padding_hu) -> None:
    data.Rows, data.Columns, data.SamplesPerPixel = *hu.shape, 1
    data.PhotometricInterpretation, data.PixelRepresentation = "MONOCHROME2", int(signed)
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.RescaleSlope, data.RescaleIntercept = str(slope), str(intercept)
    if padding_hu is not None:
        data.PixelPaddingValue = round((padding_hu - intercept) / slope)


def write_enhanced(files: Sequence[Path], folder: Path) -> None:
    """One multi-frame file of the same slices, in the order of `files`."""
    slices = [dcmread(path) for path in files]
    whole, shared, frames = slices[0], Dataset(), []
    parts = {
        "PlaneOrientationSequence": ["ImageOrientationPatient"],
        "PixelMeasuresSequence": ["PixelSpacing", "SliceThickness"],
        "PixelValueTransformationSequence": ["RescaleSlope", "RescaleIntercept"],
    }
    for name, keywords in parts.items():
        item = Dataset()
        for keyword in keywords:
            setattr(item, keyword, whole.get(keyword))
            delattr(whole, keyword)
        setattr(shared, name, [item])
    for one in slices:
        place, frame = Dataset(), Dataset()
        place.ImagePositionPatient = one.ImagePositionPatient
        frame.PlanePositionSequence = [place]
        frames.append(frame)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    whole.NumberOfFrames, whole.PixelData = len(slices), b"".join(one.PixelData for one in slices)
    whole.SharedFunctionalGroupsSequence, whole.PerFrameFunctionalGroupsSequence = [shared], frames
    del whole.ImagePositionPatient
    folder.mkdir()
    whole.save_as(folder / "enhanced.dcm")


def with_vessels(hu=250.0, shape=(30, 96, 80), spacing_mm=(5.0, 2.0, 2.0)):
    """A head with eight vessels of 4 × 4 mm that run upwards through the brain: 128 mm² in a slice."""
    volume = head(shape, spacing_mm)
    data = volume.data.copy()
    for row in range(36, 60, 6):
        for column in (30, 48):
            tube = data[:, row : row + 2, column : column + 2]
            tube[tube == 32.0] = hu
    return volume.with_data(data)
