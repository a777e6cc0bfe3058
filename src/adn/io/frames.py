"""Frames of a multi-frame (enhanced) image: groups them into stacks of slices, and turns each into a single image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.io import tags
from adn.io.stacks import apart

if TYPE_CHECKING:
    from adn.io.series import Header

_STORED = (np.int16, np.uint16, np.int32)


def stack_headers(header: Header, data: Any) -> list[Header]:
    """One header per stack of frames in a multi-frame image; unchanged if any frame's position is not recorded.

    header: of the whole file. data: the same file as read by pydicom, without pixels.
    """
    groups = data.get("PerFrameFunctionalGroupsSequence") or []
    if header.frames < 2 or len(groups) != header.frames or len(header.positions) != header.frames:
        return [header]
    shared = tags.item(data, "SharedFunctionalGroupsSequence")
    each = [_frame(header, data, shared, group, number) for number, group in enumerate(groups)]
    if any(frame.orientation is None for frame in each):
        return [header]
    found = apart(each)
    if len(found) == 1:
        return [replace(header, each=tuple(each))]
    return [_stack(sorted(frames, key=lambda one: one.frame)) for frames in found]


def _stack(frames: Sequence[Header]) -> Header:
    """One header for some of a file's frames."""
    return replace(
        frames[0],
        frames=len(frames),
        positions=np.concatenate([frame.positions for frame in frames]),
        contrast=any(frame.contrast for frame in frames),
        each=tuple(frames),
        whole=False,
    )


def _frame(header: Header, data: Any, shared: Any, group: Any, number: int) -> Header:
    """The header of a single frame, as if it were an image of its own."""

    def value(sequence: str, keyword: str, plain: Any = None) -> Any:
        return tags.nested(plain, shared, group, sequence, keyword)

    spacing = tags.numbers(value("PixelMeasuresSequence", "PixelSpacing", data), 2)
    content = "FrameContentSequence"
    when = tags.seconds(value(content, "FrameAcquisitionDateTime") or value(content, "FrameReferenceDateTime"))
    acquisition = tags.whole(value(content, "FrameAcquisitionNumber"))
    kind = frozenset(str(word).upper() for word in tags.several(value("CTImageFrameTypeSequence", "FrameType")))
    given = str(value("ContrastBolusUsageSequence", "ContrastBolusAgentAdministered") or "").upper()
    return replace(
        header,
        frames=1,
        frame=number,
        instance_number=number + 1,
        positions=header.positions[number : number + 1],
        orientation=tags.numbers(value("PlaneOrientationSequence", "ImageOrientationPatient", data), 6),
        spacing_mm=(math.nan, math.nan) if spacing is None else (float(spacing[0]), float(spacing[1])),
        slope=float(value("PixelValueTransformationSequence", "RescaleSlope", data) or 1),
        intercept=float(value("PixelValueTransformationSequence", "RescaleIntercept", data) or 0),
        stack=str(value(content, "StackID") or ""),
        acquisition=header.acquisition if acquisition is None else acquisition,
        seconds=header.seconds if when is None else when,
        kind=kind or header.kind,
        contrast={"YES": True, "NO": False}.get(given, header.contrast),
    )


def as_image(frame: Header, plane: NDArray[np.float32]) -> Any:
    """A frame as a classic CT image for the converter, with its geometry but nothing about the patient.

    plane: HU. Raises InputError if the values cannot be converted back to integers that fit.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    assert frame.orientation is not None
    stored = np.rint((plane - frame.intercept) / frame.slope)
    fits = [kind for kind in _STORED if np.iinfo(kind).min <= stored.min() and stored.max() <= np.iinfo(kind).max]
    if not fits:
        raise InputError("RescaleSlope and the values stored do not fit together; copy the series again.", frame.path)
    kind = fits[0]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = UID(f"2.25.{frame.frame + 1}")
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID, image.Modality = CTImageStorage, meta.MediaStorageSOPInstanceUID, "CT"
    image.StudyInstanceUID = image.FrameOfReferenceUID = "2.25.1"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.Rows, image.Columns = frame.shape
    image.PixelSpacing = _decimals(frame.spacing_mm)
    image.ImagePositionPatient = _decimals(frame.positions[0])
    image.ImageOrientationPatient = _decimals(frame.orientation)
    image.RescaleSlope, image.RescaleIntercept = _decimals((frame.slope, frame.intercept))
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = np.iinfo(kind).bits
    image.BitsAllocated, image.BitsStored, image.HighBit = bits, bits, bits - 1
    image.PixelRepresentation = int(np.iinfo(kind).min < 0)
    image.PixelData = stored.astype(kind).astype(f"<{'i' if np.iinfo(kind).min < 0 else 'u'}{bits // 8}").tobytes()
    return image


def _decimals(values: Sequence[float] | NDArray) -> list[Any]:
    from pydicom.valuerep import DSfloat

    return [DSfloat(float(value), auto_format=True) for value in values]
