"""Groups slices into series and orders them by their UIDs; no names are read from the headers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from adn.datasets.teknofest.files import SliceFiles
from adn.datasets.teknofest.uids import SERIES_PAUSE, Instance, read_uid
from adn.errors import InputError

_TALLEST_MM = 220.0  # height of a head; numbers that span more are not slice numbers
_LARGEST_STEP = 60


@dataclass(frozen=True)
class Slice:
    """One slice's files and the few header values that are used. spacing_mm: of rows and columns."""

    files: SliceFiles
    instance: Instance
    spacing_mm: tuple[float, float]
    thickness_mm: float
    rows: int


@dataclass(frozen=True)
class FoundSeries:
    """Slices of one series in the order of their numbers.

    places: their numbers from 0; None if these do not reveal the gaps. problems: sentences.
    """

    slices: tuple[Slice, ...]
    places: tuple[int, ...] | None
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The case's name, from the lowest number of its files."""
        lowest = min((one.files.name for one in self.slices), key=lambda name: (len(name), name))
        return f"case_{lowest}"


def read_headers(files: Sequence[SliceFiles]) -> tuple[list[Slice], dict[str, str]]:
    """Read the slices' headers; return the usable slices, and by name the reason why others are not.

    Raises DecoderError if nothing installed can decompress the pixels.
    """
    slices, refused = [], {}
    for one in files:
        try:
            slices.append(_read_header(one))
        except InputError as error:
            refused[one.name] = str(error)
    return slices, refused


def _read_header(files: SliceFiles) -> Slice:
    try:
        header = pydicom.dcmread(files.dicom, stop_before_pixels=True)
        syntax = UID(header.file_meta.TransferSyntaxUID)
        uid = str(header.file_meta.MediaStorageSOPInstanceUID)
        down, across = (float(value) for value in header.PixelSpacing)
        thickness, rows = float(header.SliceThickness), int(header.Rows)
    except (OSError, InvalidDicomError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"its DICOM is damaged or lacks a tag ({error})") from error
    if syntax.is_compressed:
        _require_decoder(syntax)
    instance = read_uid(uid)
    if instance is None:
        raise InputError("its instance UID has no known form, so its series is unknown")
    if min(down, across, thickness) <= 0:
        raise InputError(f"its voxels would be {thickness} × {down} × {across} mm")
    return Slice(files, instance, (down, across), thickness, rows)


class DecoderError(Exception):
    """Nothing installed can decompress these pixels."""


def _require_decoder(syntax: UID) -> None:
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise DecoderError(
            f"The DICOM files are packed as {syntax.name}, which needs a decoder: install adn with its extra 'import' "
            "(pip install 'adn-stroke[import]') and run again."
        )


def group(slices: Sequence[Slice]) -> list[FoundSeries]:
    """Series sorted by name: same maker, series, pixel spacing, thickness and rows, without a long pause in time."""
    alike: dict[tuple, list[Slice]] = defaultdict(list)
    for one in slices:
        instance = one.instance
        alike[instance.maker, instance.series, one.spacing_mm, one.thickness_mm, one.rows].append(one)
    found = []
    for members in alike.values():
        members.sort(key=lambda one: (one.instance.time, one.instance.number, one.files.name))
        cuts = [
            place
            for place, (a, b) in enumerate(pairwise(members), start=1)
            if b.instance.time - a.instance.time > SERIES_PAUSE
        ]
        found += [_ordered(members[a:b]) for a, b in pairwise([0, *cuts, len(members)])]
    return sorted(found, key=lambda one: (len(one.name), one.name))


def _ordered(members: list[Slice]) -> FoundSeries:
    """Order one series by number; a number that occurs twice counts once."""
    problems = []
    by_number: dict[tuple[int, int], Slice] = {}
    for one in members:
        key = (one.instance.time if not one.instance.counts else 0, one.instance.number)
        if key in by_number:
            problems.append(
                f"Slices {by_number[key].files.name} and {one.files.name} lie at the same place; the first is used."
            )
        by_number.setdefault(key, one)
    slices = tuple(by_number[key] for key in sorted(by_number))
    places = None
    if len(slices) == 1:
        places = (0,)
    elif slices[0].instance.counts:
        places = tuple(one.instance.number - slices[0].instance.number for one in slices)
        tall = places[-1] * slices[0].thickness_mm > _TALLEST_MM
        if tall or max(b - a for a, b in pairwise(places)) > _LARGEST_STEP:
            problems.append("The slices' numbers are not slice numbers.")
            places = None
    if places is None:
        problems.append("Gaps between slices are not known: they were stacked without gaps.")
    return FoundSeries(slices, places, tuple(problems))


def read_hu(files: SliceFiles) -> NDArray[np.float32]:
    """HU of a slice. Raises InputError if it cannot be decompressed."""
    try:
        data = pydicom.dcmread(files.dicom)
        pixels = data.pixel_array.astype(np.float32)
    except Exception as error:  # decoders raise errors of any kind
        raise InputError(f"the pixels of slice {files.name} cannot be read ({error}); copy the file again.") from error
    if pixels.ndim != 2:
        raise InputError(f"slice {files.name} has {pixels.ndim} dimensions, needed 2.")
    return pixels * np.float32(data.get("RescaleSlope", 1)) + np.float32(data.get("RescaleIntercept", 0))
