"""DICOM headers of a folder and the series they form. Nothing that identifies a patient is kept."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.io import tags
from adn.io.frames import stack_headers
from adn.io.names import is_dicom

_TAGS = [
    "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesDescription", "PatientName", "PatientID",
    "ContrastBolusAgent", "BodyPartExamined", "ConvolutionKernel", "SeriesInstanceUID", "SeriesNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns", "PixelSpacing", "NumberOfFrames",
    "AcquisitionNumber", "AcquisitionTime", "ContentTime", "InstanceNumber", "PatientBirthDate",
    "PixelPaddingValue", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "BitsAllocated",
    "SamplesPerPixel", "ContrastBolusAgentSequence", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]  # fmt: skip
_PLANES = ("sagittal", "coronal", "axial")
_OTHER_BODY = re.compile(r"chest|thora|abdo|pelvi|lung|spine|neck|knee|hip\b|shoulder|cardiac|heart|liver", re.I)
_HEAD = re.compile(r"head|brain|skull|cereb|crani|kopf|neuro", re.I)
_WORDS = re.compile(r"[^\W_]+")
_SHARP_KERNEL = re.compile(r"bone|edge|sharp|lung|detail|^[HBJ][fr]?[67]\d|^Y[CE]$", re.I)
FEW_SLICES = 5  # a series with fewer is unlikely to be the intended one
_LOCALIZER = {"LOCALIZER", "SCOUT", "SCANOGRAM", "TOPOGRAM"}
_REFORMAT = {"MPR", "MIP", "MINIP", "REFORMATTED", "PROJECTION IMAGE", "AVERAGE", "VRT", "3D"}


@dataclass(frozen=True, eq=False)
class Header:
    """What adn needs from one DICOM file. positions: LPS mm of each frame's first voxel. orientation: row, column.

    spacing_mm: NaN if not recorded. seconds: acquisition time, in seconds since midnight. patient: tells patients apart
    within one run of adn and means nothing else. A multi-frame file may hold several stacks of slices, each with its
    own header. whole: False if the header covers only some of the file's frames. each: one header per frame; empty
    if their positions are not recorded. frame: number in the file, from 0. stack: the file's StackID.
    """

    path: Path
    uid: str
    instance: str
    modality: str
    number: int | None
    description: str
    kind: frozenset[str]
    body: str
    kernel: str
    contrast: bool
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    orientation: NDArray[np.float64] | None
    positions: NDArray[np.float64]
    padding_hu: float | None
    slope: float = 1.0
    intercept: float = 0.0
    frames: int = 1
    acquisition: int | None = None
    instance_number: int | None = None
    seconds: float | None = None
    patient: int = 0
    stack: str = ""
    frame: int = 0
    each: tuple[Header, ...] = ()
    whole: bool = True

    @property
    def multi_frame(self) -> bool:
        """Whether its file holds more than one frame."""
        return self.frames > 1 or not self.whole

    @property
    def numbers(self) -> list[int]:
        """The frames of the file that it covers, from 0, in the order of `positions`."""
        return list(range(self.frames)) if self.whole else [frame.frame for frame in self.each]

    @property
    def localizer(self) -> bool:
        """Whether it is a scout image, used for planning."""
        return bool(self.kind & _LOCALIZER)

    @property
    def derived(self) -> bool:
        """Whether it was computed from other images."""
        return bool(self.kind & (_REFORMAT | {"DERIVED", "SECONDARY"}))

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector perpendicular to the slices, LPS; zero without an orientation."""
        if self.orientation is None:
            return np.zeros(3)
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def plane(self) -> str:
        """The anatomical plane closest to that of the slices."""
        return "unknown" if self.orientation is None else _PLANES[int(np.argmax(np.abs(self.normal)))]


@dataclass(frozen=True, eq=False)
class Series:
    """Images that belong together: same series, plane and size, no localizers."""

    headers: tuple[Header, ...]

    @property
    def first(self) -> Header:
        """The first header, for values that all share."""
        return self.headers[0]

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """(slices, 3) LPS mm of the first voxel of each slice, sorted along the slice normal, without repeats."""
        return np.concatenate([header.positions for header in self.headers])[self.order]

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Indices, into the frames of all headers in sequence, of the slices, in the order of `positions`."""
        points = np.concatenate([header.positions for header in self.headers])
        along = np.round(points @ self.first.normal, 2)
        return np.unique(along, return_index=True)[1]

    @property
    def slices(self) -> int:
        """Number of slices at distinct positions."""
        return len(self.positions) or len(self.headers)

    @cached_property
    def shines(self) -> bool:
        """Whether vessels are as bright as with a contrast agent. Reads pixels of some slices on first use."""
        from adn.io.pixels import checked, pixels_hu
        from adn.io.vessels import ENHANCED_MM2, MOST_SLICES, bright_mm2_of

        count = len(self.order)
        some = np.unique(np.linspace(0, count - 1, min(count, MOST_SLICES)).round().astype(int))
        frames = [(header, frame) for header in self.headers for frame in range(header.frames)]
        chosen = [frames[self.order[place]] for place in some]
        try:
            read = {header.path: pixels_hu(header, checked(header, header.path), header.path) for header, _ in chosen}
        except InputError:
            return False  # the error is raised when the series is read
        step_mm = self.gap_mm * (count - 1) / max(len(some) - 1, 1)
        planes = [read[header.path][frame] for header, frame in chosen]
        bright = bright_mm2_of(planes, self.first.spacing_mm, step_mm)
        return bright is not None and bright > ENHANCED_MM2

    @property
    def gap_mm(self) -> float:
        """Median distance between slices; 0 if there is only one."""
        gaps = np.abs(np.diff(self.positions @ self.first.normal))
        return float(np.median(gaps)) if len(gaps) else 0.0

    def label(self) -> str:
        """The series as named in messages: number, description, plane, slices."""
        first = self.first
        words = [f"series {first.number}" if first.number is not None else "a series without number"]
        words += [f"'{first.description}'"] if first.description else []
        marks = [first.plane, f"{self.slices} slices" + (f" {self.gap_mm:.1f} mm apart" if self.gap_mm else "")]
        marks += ["derived"] * first.derived + ["contrast agent"] * first.contrast
        marks += [f"kernel {first.kernel}"] if first.kernel else []
        return f"{' '.join(words)} ({', '.join(marks)})"

    def grade(self) -> tuple[bool, ...]:
        """Larger is better: CT with an orientation, enough slices, axial, the head, not derived, no contrast agent."""
        first = self.first
        about = f"{first.body} {first.description}"
        elsewhere = bool(_OTHER_BODY.search(about)) and not _HEAD.search(about)
        return (
            first.modality == "CT" and first.orientation is not None,
            self.slices >= FEW_SLICES,
            first.plane == "axial",
            not elsewhere,
            not first.derived,
            not first.contrast,
        )

    def preference(self) -> tuple[float, ...]:
        """Larger is better, within a grade: soft kernel, then more slices, then the lower series number."""
        return not _SHARP_KERNEL.search(self.first.kernel), self.slices, -(self.first.number or 0)


def read_headers(paths: Iterable[Path]) -> list[Header]:
    """Headers of those files that are DICOM images; duplicates are dropped. Raises InputError for damaged ones."""
    headers: dict[tuple, Header] = {}
    for path in paths:
        for header in _read_header(path):
            headers.setdefault((header.instance or str(path), header.positions.tobytes(), *header.numbers), header)
    return list(headers.values())


def files_below(folder: Path, *, recursive: bool = True) -> list[Path]:
    """All regular files of a folder in a fixed order, without hidden ones."""
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(path for path in found if not path.name.startswith(".") and path.is_file())


def _read_header(path: Path) -> list[Header]:
    """One header per stack of slices; none if the file holds no image."""
    from pydicom import config, dcmread

    if not is_dicom(path) and not _old_style(path):
        if path.suffix.lower() in (".dcm", ".ima"):
            raise InputError("needed a DICOM file, but it is empty or damaged; copy the series again.", path)
        return []
    try:
        with config.disable_value_validation():  # validation warnings quote values, which may be personal
            data = dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
            if "Rows" in data:
                return stack_headers(_header(path, data), data)
        kind = str(getattr(data.file_meta.get("MediaStorageSOPClassUID"), "name", ""))
    except Exception as error:  # pydicom raises many kinds on damaged bytes
        raise InputError("the DICOM header is truncated or damaged; copy the series again.", path) from error
    if is_dicom(path) and (not kind or "Image" in kind):
        raise InputError("the DICOM header is truncated or damaged; copy the series again.", path)
    return []  # a report, a plan, a directory


def _old_style(path: Path) -> bool:
    """Whether it is DICOM without a preamble: starts with group 0008, little endian, and a small element number."""
    with path.open("rb") as stream:
        head = stream.read(8)
    return len(head) == 8 and head[:2] == b"\x08\x00" and head[3] == 0


def _header(path: Path, data: Any) -> Header:
    shared = tags.item(data, "SharedFunctionalGroupsSequence")
    frames = data.get("PerFrameFunctionalGroupsSequence") or []
    first = frames[0] if len(frames) else None
    orientation = tags.numbers(
        tags.nested(data, shared, first, "PlaneOrientationSequence", "ImageOrientationPatient"), 6
    )
    spacing = tags.numbers(tags.nested(data, shared, first, "PixelMeasuresSequence", "PixelSpacing"), 2)
    slope = tags.nested(data, shared, first, "PixelValueTransformationSequence", "RescaleSlope")
    intercept = tags.nested(data, shared, first, "PixelValueTransformationSequence", "RescaleIntercept")
    points = [tags.nested(data, None, frame, "PlanePositionSequence", "ImagePositionPatient") for frame in frames]
    points = [tags.numbers(point, 3) for point in points or [data.get("ImagePositionPatient")]]
    agent = str(data.get("ContrastBolusAgent") or "").strip().upper()
    padding = data.get("PixelPaddingValue")
    return Header(
        path=path,
        uid=str(data.get("SeriesInstanceUID") or ""),
        instance=str(data.get("SOPInstanceUID") or ""),
        modality=str(data.get("Modality") or ""),
        number=tags.whole(data.get("SeriesNumber")),
        description=_impersonal(data, data.get("SeriesDescription")),
        kind=frozenset(str(word).upper() for word in tags.several(data.get("ImageType"))),
        body=str(data.get("BodyPartExamined") or ""),
        kernel=_impersonal(data, next(iter(tags.several(data.get("ConvolutionKernel"))), "")),
        contrast=agent not in ("", "NO", "NONE", "N/A", "WITHOUT") or bool(data.get("ContrastBolusAgentSequence")),
        shape=(int(data.Rows), int(data.get("Columns") or 0)),
        spacing_mm=(math.nan, math.nan) if spacing is None else (float(spacing[0]), float(spacing[1])),
        orientation=tags.numbers(orientation, 6),
        positions=np.array([point for point in points if point is not None], dtype=np.float64).reshape(-1, 3),
        padding_hu=None if padding is None else float(padding) * float(slope or 1) + float(intercept or 0),
        slope=float(slope or 1),
        intercept=float(intercept or 0),
        frames=int(data.get("NumberOfFrames") or 1),
        acquisition=tags.whole(data.get("AcquisitionNumber")),
        instance_number=tags.whole(data.get("InstanceNumber")),
        seconds=tags.seconds(data.get("AcquisitionTime") or data.get("ContentTime")),
        patient=hash(tuple(str(data.get(tag) or "") for tag in ("PatientID", "PatientName", "PatientBirthDate"))),
    )


def _impersonal(data: Any, said: Any) -> str:
    """A free-text value; empty if someone typed the patient's name, ID or a date into it."""
    text = " ".join(str(said or "").split())
    personal = _WORDS.findall(f"{data.get('PatientName') or ''} {data.get('PatientID') or ''}".lower())
    words = _WORDS.findall(text.lower())
    named = any((len(word) > 2 and word in words) or (len(word) > 3 and word in text.lower()) for word in personal)
    dated = re.search(r"(19|20)\d{6}|\d{1,4}[./-]\d{1,2}[./-]\d{2,4}", text)
    return "" if named or dated else text[:64]


def folder_files(path: Path) -> list[Path]:
    """Candidate files of a series: all files in a folder and its subfolders, or a single file and its siblings."""
    return files_below(path) if path.is_dir() else files_below(Path(os.path.abspath(path)).parent, recursive=False)
