"""Small replicas of TEKNOFEST-2021's ischemia part, in exactly its layout: DICOM, PNG, OVERLAY, numbered files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from phantoms import ball
from replicas.aisd import grey, half_head

NAME = "SOMEBODY^SECRET"


def uid(maker: str, series: int, number: int) -> str:
    """An instance UID as the makers' scanners write them."""
    day = 2019061012000000 + series * 10_000
    return {
        "GE": f"1.2.840.113619.2.55.3.{1000 + series}.{number + 1}",
        "Siemens": f"1.3.12.2.1107.5.1.4.66032.300000{day}{number + 1:07d}",
        "Toshiba": f"1.2.392.200036.9116.2.6.1.48.121{series}.{1560000000 + series * 5000 + number}.{70000 + number}",
        "Philips": f"1.2.840.113704.1.111.4872.{1560000000 + series * 5000}.{number + 1}",
    }[maker]


@dataclass
class ReplicaSeries:
    """Slices of a head as acquired. hu, infarct: (n, rows, columns); from below unless reversed."""

    hu: np.ndarray
    infarct: np.ndarray


def head_slices(seed: int = 0, *, reverse: bool = False) -> ReplicaSeries:
    """The slices of the phantom that hold its ball, and a bony base in the lowest ones."""
    volume = half_head(seed)
    inside = ball(volume.grid)
    chosen = np.flatnonzero(inside.any(axis=(1, 2)))
    hu, infarct = volume.data[chosen].copy(), inside[chosen].astype(np.uint8)
    for height, plane in enumerate(hu[:3]):  # petrous bones between the soft tissue
        plane[44:52, 20 : 60 - 8 * height][plane[44:52, 20 : 60 - 8 * height] > 0] = 900
    return ReplicaSeries(hu[::-1].copy(), infarct[::-1].copy()) if reverse else ReplicaSeries(hu, infarct)


def write_series(
    root: Path,
    series: ReplicaSeries,
    maker: str = "GE",
    *,
    key: int = 0,
    first: int = 10000,
    numbers: Sequence[int] | None = None,
    kinds: tuple[str, ...] = ("PNG", "OVERLAY"),
    intercept: float = -1024.0,
    folder: str = "ISKEMI",
) -> list[Path]:
    """Write a series and return its DICOM files. numbers: of the instances; first: of the files."""
    files, order = [], np.random.default_rng(key).permutation(len(series.hu))  # names say nothing of the order
    for place, (plane, mask) in enumerate(zip(series.hu, series.infarct, strict=True)):
        number = place if numbers is None else numbers[place]
        name = f"{first + 7 * int(order[place])}"
        path = root / folder / "DICOM" / f"{name}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_dicom(path, plane, uid(maker, key, number), intercept)
        files.append(path)
        picture = np.repeat(grey(plane, (0.0, 80.0))[..., None], 3, axis=2)
        painted = picture.copy()
        painted[mask > 0] = painted[mask > 0] // 2 + np.array([110, 0, 0], np.uint8)
        images = {"PNG": picture, "OVERLAY": painted, "masks": mask * 255}
        for kind in kinds:
            (root / folder / kind).mkdir(exist_ok=True)
            Image.fromarray(images[kind]).save(root / folder / kind / f"{name}.png")
    return files


def _write_dicom(path: Path, hu: np.ndarray, instance: str, intercept: float) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, UID(instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.Modality, data.PatientName = CTImageStorage, "1.2.3", "CT", NAME
    data.SliceThickness, data.PixelSpacing = "5.0", ["2.0", "2.0"]
    data.Rows, data.Columns, data.SamplesPerPixel = *hu.shape, 1
    data.PhotometricInterpretation, data.PixelRepresentation = "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.RescaleSlope, data.RescaleIntercept = "1", str(intercept)
    data.PixelData = np.round(hu - intercept).astype(np.uint16).tobytes()
    data.save_as(path)  # not enforcing the format, which would make the two instance UIDs equal
