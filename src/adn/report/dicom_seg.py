"""A prediction as DICOM for the archive: the infarct as a SEG on the acquired slices, its volume and side as an SR.

Both join the study of the scan, so they alone carry the patient's identity; nothing else that adn writes does.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adn.errors import AdnError, InputError
from adn.io import open_series
from adn.io.atomic import atomic_path
from adn.io.series import Series
from adn.io.slices import volume_on_slices
from adn.report import dicom_objects
from adn.results import Prediction, Scan
from adn.space.affine import Affine
from adn.space.geometry import RAS_FROM_LPS

SEG_NAME, SR_NAME, PICTURE_NAME = "infarct_seg.dcm", "infarct_sr.dcm", "infarct_key_{}.dcm"
_OUTSIDE = 0.6  # how far, in voxels, rounding may put a slice's centre outside the scan
_REFERENCE = [  # attributes of the source that a SEG refers to: never text
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
    "Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "LossyImageCompression",
]  # fmt: skip
_IDENTITY = [  # required of every object of a study, and the same in all of them
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
]  # fmt: skip
_ISSUER = "IssuerOfPatientID"  # optional; without it, equal ids from two hospitals would be taken for one patient

log = logging.getLogger(__name__)


def check_dicom_seg(sources: Sequence[Path | str] = ()) -> None:
    """Raise InputError before any work if highdicom is not installed, or a file's name says that it is not DICOM."""
    from importlib.util import find_spec

    if find_spec("highdicom") is None:
        raise InputError("`dicom_seg` needs the package highdicom, which is not installed: pip install highdicom.")
    for source in sources:
        if Path(source).name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")):
            raise InputError(_not_dicom(source))


def check_is_dicom(scan: Scan, source: Path | str) -> None:
    """Raise InputError if a scan turns out not to be DICOM once it has been read, as in a zip."""
    if scan.source != "dicom":
        raise InputError(_not_dicom(source))


def write_dicom_seg(
    prediction: Prediction, source: Path | str, folder: Path | str, *, series: str | None = None, pictures: bool = False
) -> tuple[Path, Path]:
    """Write the infarct as DICOM SEG and its volume and side as DICOM SR into `folder`; return the two files.

    pictures: also key images as Secondary Captures, for viewers that show no SEG.

    source: what the scan was opened from, a DICOM folder, file or zip; series: as in `open_scan`. The probability is
    carried onto the acquired slices (tilted and unevenly spaced as they are), interpolated once, and thresholded last.
    Raises InputError where the scan is not DICOM, the series is not the prediction's, or its headers do not suffice,
    and OutputError where the folder cannot be written. Both files are written, or none.
    """
    check_dicom_seg()
    check_is_dicom(prediction.scan, source)
    with open_series(source, series=series) as acquired:
        _check_same_series(prediction, acquired, source)
        images, identity = _read_sources(acquired)
        mask = mask_on_slices(prediction, acquired)
        if acquired.first.multi_frame:
            mask = _every_frame(mask, acquired, int(images[0].get("NumberOfFrames") or 1))
    try:
        seg, report = dicom_objects.build(prediction, mask, images)
        captures = dicom_objects.key_images(prediction, images) if pictures else []
        files = Path(folder, SEG_NAME), Path(folder, SR_NAME)
        with atomic_path(files[0]) as seg_path, atomic_path(files[1]) as report_path:
            for data, path in ((seg, seg_path), (report, report_path)):
                _save(data, identity, path)
            for number, data in enumerate(captures, start=1):
                with atomic_path(Path(folder, PICTURE_NAME.format(number))) as path:
                    _save(data, identity, path)
    except (AdnError, MemoryError, OSError):
        raise
    except Exception as error:  # highdicom raises many kinds, which may quote patient data from the headers
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.debug("%s at %s:%s", type(error).__name__, place.filename, place.lineno)
        raise InputError(
            f"no DICOM SEG could be made ({type(error).__name__}): the DICOM headers of the series lack what "
            "it needs; leave out `dicom_seg`.",
            source,
        ) from None
    return files


def mask_on_slices(prediction: Prediction, series: Series) -> NDArray[np.uint8]:
    """The infarct on the acquired slices, (slices, rows, columns), 0 or 1."""
    probability = volume_on_slices(prediction.infarct_probability, series)
    return (probability >= prediction.provenance.threshold).astype(np.uint8)


def _every_frame(mask: NDArray[np.uint8], series: Series, count: int) -> NDArray[np.uint8]:
    """Put the slices of a multi-frame file among all its frames, in the file's order, as a SEG needs them."""
    every = np.zeros((count, *mask.shape[1:]), np.uint8)
    every[np.array(series.first.numbers)[series.order]] = mask
    return every


def _not_dicom(source: Path | str) -> str:
    return (
        f"{source}: `dicom_seg` needs the scan as DICOM, but it came as an image file; give the DICOM series, or leave "
        "out `dicom_seg`."
    )


def _check_same_series(prediction: Prediction, series: Series, source: Path | str) -> None:
    """Check that every slice's centre lies inside the scan and that pixel sizes match."""
    grid, first = prediction.scan.volume.grid, series.first
    assert first.orientation is not None
    right, down = first.orientation[:3] * first.spacing_mm[1], first.orientation[3:] * first.spacing_mm[0]
    middles = series.positions + right * (first.shape[1] - 1) / 2 + down * (first.shape[0] - 1) / 2
    index_from_lps = Affine(RAS_FROM_LPS @ grid.affine).inverse()
    index = index_from_lps.apply(middles)
    inside = (index > -_OUTSIDE) & (index < np.array(grid.shape) - 1 + _OUTSIDE)
    steps = np.sort(np.linalg.norm(index_from_lps.linear @ np.stack([right, down], axis=1), axis=0))
    if not (inside.all() and np.allclose(steps, 1.0, atol=0.01)):
        raise InputError("the series is not the one that the prediction was made from; give that one.", source)


def _read_sources(series: Series) -> tuple[list[Any], Any]:
    """What a SEG needs from each image it refers to, in slice order, and the identity that all of them share."""
    from pydicom import Dataset, config, dcmread

    files = [header.path for header in series.headers for _ in header.positions]
    images: list[Any] = []
    identity = Dataset()
    with config.disable_value_validation():  # its warnings quote values
        for path in dict.fromkeys(files[i] for i in series.order):
            found = dcmread(path, stop_before_pixels=True, force=True, specific_tags=[*_REFERENCE, *_IDENTITY, _ISSUER])
            image = Dataset()
            for keyword in _REFERENCE:
                if keyword in found:
                    image[keyword] = found[keyword]
            for keyword in _IDENTITY:
                setattr(image, keyword, "")  # highdicom requires it, and would quote a value it finds wrong
            if "FrameOfReferenceUID" not in image:  # left out by some anonymisers
                image.FrameOfReferenceUID = dicom_objects.stable_uid(image.SeriesInstanceUID, "frame of reference")
            images.append(image)
            if path == files[series.order[0]]:
                identity = _identity(found)
    return images, identity


def _identity(found: Any) -> Any:
    """Name, id and dates as in the source; coded values that are not valid are left empty."""
    from pydicom import Dataset
    from pydicom.valuerep import DA, TM

    identity = Dataset()
    if "SpecificCharacterSet" in found:
        identity.SpecificCharacterSet = found.SpecificCharacterSet
    for keyword in (*_IDENTITY, _ISSUER):
        if keyword in found:
            identity[keyword] = found[keyword]
        elif keyword in _IDENTITY:
            setattr(identity, keyword, "")
    for keyword, valid in (("PatientBirthDate", DA), ("StudyDate", DA), ("StudyTime", TM)):
        try:
            valid(identity[keyword].value or "")
        except (TypeError, ValueError):
            setattr(identity, keyword, "")
    if identity.PatientSex not in ("M", "F", "O"):
        identity.PatientSex = ""
    return identity


def _save(data: Any, identity: Any, path: Path) -> None:
    from pydicom import config

    with config.disable_value_validation():
        for element in identity:
            data[element.tag] = element
        data.save_as(path, enforce_file_format=True)
