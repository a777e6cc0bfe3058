"""Mutations of a small DICOM series for `fuzz.py`: tags, pixels, bytes, and which files there are."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from fuzz_base import Base
from numpy.random import Generator
from pydicom import config, dcmread
from pydicom.uid import RLELossless, generate_uid

Files = dict[str, bytes]
NUMBERS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
           "SliceThickness", "SliceLocation", "GantryDetectorTilt", "SpacingBetweenSlices", "PixelAspectRatio",
           "WindowCenter", "KVP")  # fmt: skip
WHOLE = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
         "InstanceNumber", "SeriesNumber", "AcquisitionNumber", "NumberOfFrames", "PlanarConfiguration",
         "PixelPaddingValue", "SmallestImagePixelValue", "TemporalPositionIdentifier")  # fmt: skip
TEXTS = {
    "Modality": ("MR", "CT", "", "ct", "SR", "PT"),
    "ImageType": ("LOCALIZER", "DERIVED\\SECONDARY\\MPR", "", "ORIGINAL\\PRIMARY\\AXIAL\\x"),
    "PhotometricInterpretation": ("MONOCHROME1", "RGB", "PALETTE COLOR", ""),
    "PatientPosition": ("HFP", "FFS", "HFDR", "", "XXX"),
    "PatientID": ("other", "", "é\\n"),
    "SeriesInstanceUID": ("1.2.3", "", "not a uid"),
    "SOPInstanceUID": ("1.2.3", ""),
    "StudyInstanceUID": ("1.2.3", ""),
    "FrameOfReferenceUID": ("1.2.3", ""),
    "SOPClassUID": ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.7", ""),
    "AcquisitionTime": ("101010", "99", "10:10:10", ""),
    "SeriesTime": ("101010", ""),
    "StudyDate": ("20200101", "2020", ""),
    "Manufacturer": ("SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "TOSHIBA", "\x00"),
    "SpecificCharacterSet": ("ISO_IR 192", "ISO 2022 IR 87", "NONSENSE"),
    "SeriesDescription": ("bone", "\udcfcx".encode("utf-8", "replace").decode(), "MPR 3D", ""),
    "ConvolutionKernel": ("BONE", "H70h", ""),
    "ContrastBolusAgent": ("yes", "NO", ""),
    "BodyPartExamined": ("CHEST", ""),
}
ODD = (0.0, -1.0, 1.0, 1e-9, 1e9, 0.5, 2.0, -0.5, 7.0, 3.75, 1e30, 255.0)


def dicom_files(base: Base, random: Generator) -> tuple[Files, str]:
    """A mutated series as name → bytes, and what was done."""
    tilted = random.random() < 0.25
    slices = [dcmread(BytesIO(content)) for content in (base.tilted if tilted else base.plain)]
    done = ["tilted"] if tilted else []
    for _ in range(1 if random.random() < 0.6 else 2):
        change = CHANGES[int(random.integers(len(CHANGES)))]
        try:
            slices, what = change(slices, random)
        except Exception:  # an earlier change made this one impossible
            what = f"half of {change.__name__}"
        done.append(what)
    files = _saved(slices, random)
    if random.random() < 0.25:
        files, what = _bytes(files, random)
        done.append(what)
    return files, "; ".join(done)


def _saved(slices: list[Any], random: Generator) -> Files:
    order = random.permutation(len(slices)) if random.random() < 0.3 else np.arange(len(slices))
    ending = (".dcm", "", ".ima", ".img")[int(random.integers(4))]
    files = {}
    for number, place in enumerate(order):
        sink = BytesIO()
        data = slices[place]
        with config.disable_value_validation():
            try:
                data.save_as(sink, enforce_file_format=False)
            except Exception:  # a value that pydicom cannot write: leave the slice out
                continue
        files[f"IM{number:04d}{ending}"] = sink.getvalue()
    return files


def _chosen(slices: list[Any], random: Generator) -> list[Any]:
    """All slices, one, all from some slice on, or a random selection."""
    n, kind = len(slices), int(random.integers(4))
    if kind == 0:
        return slices
    if kind == 1:
        return [slices[int(random.integers(n))]]
    if kind == 2:
        return slices[int(random.integers(n)) :]
    return [one for one in slices if random.random() < 0.4] or slices[:1]


def _set(data: Any, tag: str, value: Any) -> None:
    with config.disable_value_validation():
        try:
            setattr(data, tag, value)
        except Exception:  # pydicom refuses it even so
            if tag in data:
                delattr(data, tag)


def _number(slices: list[Any], random: Generator) -> tuple[list[Any], str]:
    tag, kind = NUMBERS[int(random.integers(len(NUMBERS)))], int(random.integers(7))
    odd, place = ODD[int(random.integers(len(ODD)))], int(random.integers(6))
    factor, shift = float(np.exp(random.normal(0, 0.7))), float(random.normal(0, 12))
    for data in _chosen(slices, random):
        value = data.get(tag)
        numbers = [
            float(v) for v in (value if hasattr(value, "__len__") and not isinstance(value, str) else [value or 0])
        ]
        at = place % max(len(numbers), 1)
        if kind == 0 and tag in data:
            delattr(data, tag)
            continue
        if kind == 1:
            numbers[at] = odd
        elif kind == 2:
            numbers = [v * factor for v in numbers]
        elif kind == 3:
            numbers[at] += shift
        elif kind == 4:
            numbers = [-v for v in numbers]
        elif kind == 5:
            numbers = numbers[::-1]
        else:
            numbers = numbers[:-1] if place % 2 else [*numbers, odd]
        text = [f"{v:.9g}" for v in numbers]
        if tag == "PixelAspectRatio":
            text = [str(int(v)) if abs(v) < 1e6 else "1" for v in numbers]
        _set(data, tag, text if len(text) != 1 else text[0])
    return slices, f"{tag} kind {kind}"


def _whole(slices: list[Any], random: Generator) -> tuple[list[Any], str]:
    tag = WHOLE[int(random.integers(len(WHOLE)))]
    value = (0, 1, 2, 3, 8, 11, 12, 15, 16, 32, 63, 64, 128, 512, 65535)[int(random.integers(15))]
    for data in _chosen(slices, random):
        if random.random() < 0.1 and tag in data:
            delattr(data, tag)
        else:
            _set(data, tag, value)
    return slices, f"{tag} = {value}"


def _text(slices: list[Any], random: Generator) -> tuple[list[Any], str]:
    tag = tuple(TEXTS)[int(random.integers(len(TEXTS)))]
    value = TEXTS[tag][int(random.integers(len(TEXTS[tag])))]
    for data in _chosen(slices, random):
        _set(data, tag, value.split("\\") if "\\" in value else value)
    return slices, f"{tag} = {value!r}"


def _removed_tag(slices: list[Any], random: Generator) -> tuple[list[Any], str]:
    tags = [element.keyword for element in slices[0] if element.keyword]
    tag = tags[int(random.integers(len(tags)))] if tags else "Rows"
    for data in _chosen(slices, random):
        if tag in data:
            delattr(data, tag)
    return slices, f"without {tag}"


def _numbers_anew(slices: list[Any], random: Generator) -> tuple[list[Any], str]:
    n = len(slices)
    numbers = [random.permutation(n) + 1, np.ones(n, int), np.arange(n, 0, -1), np.arange(n) // 2 + 1][
        int(random.integers(4))
    ]
    for data, number in zip(slices, numbers, strict=True):
        data.InstanceNumber = int(number)
    return slices, "instance numbers anew"


def _copy(data: Any) -> Any:
    sink = BytesIO()
    data.save_as(sink, enforce_file_format=False)
    sink.seek(0)
    return dcmread(sink, force=True)


def _again(slices: list[Any], random: Generator) -> tuple[list[Any], str]:
    """Duplicate some slices: unchanged, moved, or of another view."""
    kind, copies = int(random.integers(4)), [_copy(data) for data in _chosen(slices, random)]
    shift = float(random.normal(0, 9))
    for data in copies:
        data.SOPInstanceUID = generate_uid()
        if kind == 1:
            data.InstanceNumber = int(data.InstanceNumber or 0) + 100
        if kind == 2 and "ImagePositionPatient" in data:
            data.ImagePositionPatient = [
                float(v) + shift * (axis == 2) for axis, v in enumerate(data.ImagePositionPatient)
            ]
        if kind == 3 and "PixelSpacing" in data:
            data.PixelSpacing = [float(v) * 1.5 for v in data.PixelSpacing]
    return slices + copies, f"{len(copies)} slices again, kind {kind}"


def _dropped(slices: list[Any], random: Generator) -> tuple[list[Any], str]:
    keep = [data for data in slices if random.random() > (0.05, 0.2, 0.6)[int(random.integers(3))]]
    return keep or slices[:1], f"{len(keep)} slices left"


def _moved(slices: list[Any], random: Generator) -> tuple[list[Any], str]:
    """Positions of some slices moved along one axis, or all stretched or sheared."""
    kind, axis, by = int(random.integers(4)), int(random.integers(3)), float(random.normal(0, 10))
    chosen = _chosen(slices, random) if kind < 2 else slices
    for data in chosen:
        position = [float(v) for v in data.get("ImagePositionPatient") or (0, 0, 0)]
        if kind == 0:
            position[axis] += by
        elif kind == 1:
            position[axis] += float(random.normal(0, 2))
        elif kind == 2:
            position[2] *= 1 + abs(by) / 10
        else:
            position[axis % 2] += position[2] * by / 40
        _set(data, "ImagePositionPatient", [f"{v:.6g}" for v in position])
    return slices, f"positions moved, kind {kind}, axis {axis}"


def _split(slices: list[Any], random: Generator) -> tuple[list[Any], str]:
    tag = ("SeriesInstanceUID", "AcquisitionNumber", "SeriesNumber", "PatientID", "StudyTime", "SeriesTime")[
        int(random.integers(6))
    ]
    parts = int(random.integers(2, 4))
    for number, data in enumerate(slices):
        part = number % parts if random.random() < 0.5 else number * parts // len(slices)
        _set(data, tag, {"SeriesInstanceUID": f"1.2.{part + 3}", "PatientID": f"P{part}"}.get(tag, str(100001 + part)))
    return slices, f"split by {tag}"


def _pixels(slices: list[Any], random: Generator) -> tuple[list[Any], str]:
    kind = int(random.integers(8))
    for data in _chosen(slices, random):
        stored = np.frombuffer(data.PixelData, "<u2").copy()
        if kind == 0:
            data.PixelData = bytes(data.PixelData[: int(random.integers(len(data.PixelData)))])
        elif kind == 1:
            places = random.integers(0, stored.size, 40)
            stored[places] ^= np.uint16(1) << random.integers(0, 16, 40).astype(np.uint16)
            data.PixelData = stored.tobytes()
        elif kind == 2:
            data.PixelData = stored.byteswap().tobytes()
        elif kind == 3:
            data.PixelData = np.full_like(stored, int(random.integers(65536))).tobytes()
        elif kind == 4:
            side = int(np.sqrt(stored.size))
            if side * side == stored.size:
                data.PixelData = np.rot90(stored.reshape(side, side), int(random.integers(1, 4))).tobytes()
        elif kind == 5:
            data.PixelData = bytes(data.PixelData) + bytes(int(random.integers(1, 500)) * 2)
        elif kind == 6 and not data.file_meta.TransferSyntaxUID.is_encapsulated:
            try:
                data.compress(RLELossless)
            except Exception:  # an earlier change made it impossible
                continue
        else:
            stored[:] = random.integers(0, 4096, stored.size)
            data.PixelData = stored.tobytes()
    return slices, f"pixels, kind {kind}"


def _bytes(files: Files, random: Generator) -> tuple[Files, str]:
    """Flip, cut or insert bytes in one file, some or all; or add files."""
    kind, names = int(random.integers(6)), list(files)
    if kind == 5 or not names:
        extra = {"notes.txt": b"x", "empty.dcm": b"", "DICOMDIR": bytes(128) + b"DICM" + b"\x02\x00", ".hid.dcm": b"x",
                 "zeros.dcm": bytes(2000), "mag.dcm": bytes(128) + b"DICM"}  # fmt: skip
        name = tuple(extra)[int(random.integers(len(extra)))]
        return files | {name: extra[name]}, f"beside it {name}"
    for name in names if random.random() < 0.3 else [names[int(random.integers(len(names)))]]:
        content = bytearray(files[name])
        at = int(random.integers(len(content) if kind == 4 else min(len(content), 1800)))
        if kind in (0, 4):
            for place in random.integers(0, min(len(content), 1800), int(random.integers(1, 12))):
                content[place] ^= 1 << int(random.integers(8))
        elif kind == 1:
            del content[at:]
        elif kind == 2:
            content[at:at] = bytes(random.integers(0, 256, int(random.integers(1, 9))).astype(np.uint8))
        else:
            content[at : at + 8] = bytes(random.integers(0, 256, 8).astype(np.uint8))
        files[name] = bytes(content)
    return files, f"bytes, kind {kind}"


CHANGES: tuple[Callable[[list[Any], Generator], tuple[list[Any], str]], ...] = (
    _number, _number, _number, _whole, _text, _removed_tag, _numbers_anew, _again, _dropped, _moved, _moved, _split,
    _pixels
)  # fmt: skip
