"""Where a file's own header puts its landmarks, read without adn, and the verdict on what adn read."""

from __future__ import annotations

import gzip
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from fuzz_base import RING_HU, landmark_hu
from numpy.typing import NDArray

from adn.results import Scan

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])
ONE_VOXEL = 1.05  # rounding of headers
BRIGHT_HU = 200.0  # in the air about the head: what interpolation leaves of a landmark
STORED = {int(value) for value in landmark_hu()}
NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
NRRD_TYPES = {"short": "i2", "signed short": "i2", "int16": "i2", "unsigned short": "u2", "ushort": "u2",
              "uint16": "u2",
              "int": "i4", "float": "f4", "double": "f8", "uchar": "u1", "unsigned char": "u1", "char": "i1",
              "uint": "u4", "unsigned int": "u4", "int32": "i4", "uint8": "u1", "int8": "i1",
              "uint32": "u4"}  # fmt: skip
META_TYPES = {"MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4", "MET_FLOAT": "f4",
              "MET_DOUBLE": "f8", "MET_CHAR": "i1", "MET_UCHAR": "u1"}  # fmt: skip


class UnjudgedError(Exception):
    """The header cannot be read by these simple means, so positions are not judged."""


class DamagedError(Exception):
    """The compressed data do not match their checksum, so adn should not have read them."""


@dataclass(frozen=True)
class Landmark:
    """hu: as its own file's header scales it. lps_mm: where its own header puts it."""

    hu: float
    lps_mm: NDArray[np.float64]


def verdict(scan: Scan, landmarks: list[Landmark]) -> tuple[str, str]:
    """('right', 'wrong' or 'unjudged', words): every landmark found in the volume lies where a header puts it."""
    grid, data = scan.volume.grid, scan.volume.data
    index_from_ras = np.linalg.inv(grid.affine)
    kinds = {remark.kind for remark in scan.remarks}
    resampled, alone = bool(kinds & {"tilt_corrected", "gaps_uneven"}), "several_series" not in kinds
    places: dict[float, list[NDArray]] = {}
    for landmark in landmarks:
        ras = LPS_FROM_RAS @ landmark.lps_mm
        places.setdefault(landmark.hu, []).append(index_from_ras[:3, :3] @ ras + index_from_ras[:3, 3])
    right, wrong, missing = 0, [], 0
    for hu, where in places.items():
        if hu < BRIGHT_HU:  # a slope of the other sign: what lies below −1024 HU is filled
            continue
        found = np.argwhere(np.abs(data - hu) <= 0.51)
        around = [values for values in (_around(data, place) for place in where) if values.size]
        off = (
            min((float(np.abs(found - place).max(axis=1).min()) for place in where), default=0.0) if len(found) else 0.0
        )
        if len(found) and off <= ONE_VOXEL:
            right += 1
        elif any(values.max() > BRIGHT_HU for values in around):  # interpolated, or part of the others' ring
            right += not len(found) or resampled
            wrong += [] if not len(found) or resampled else [f"{hu:g} lies {off:.1f} voxels off"]
        elif len(found) and not resampled:
            wrong.append(f"{hu:g} lies {off:.1f} voxels off")
        elif around and resampled and alone:
            wrong.append(f"nothing bright where {hu:g} should be")
        else:
            missing += 1
    said = f"{right} right, {len(wrong)} wrong, {missing} not in the volume of {len(places)}"
    if wrong:
        return "wrong", f"{said}: {wrong[0]}"
    return ("right", said) if right else ("unjudged", said)


def _around(data: NDArray, place: NDArray) -> NDArray:
    if not ((place > -0.5) & (place < np.array(data.shape) - 0.5)).all():
        return np.empty(0)
    low = np.maximum(np.rint(place).astype(int) - 1, 0)
    return data[tuple(slice(a, a + 3) for a in low)]


def dicom_landmarks(files: list[Path]) -> list[Landmark]:
    """Landmarks of all slices that pydicom can read, whatever their series."""
    found = []
    for path in files:
        try:
            found += _slice_landmarks(pydicom.dcmread(path, force=True))
        except Exception:  # a damaged file: what adn makes of it shows in the others
            continue
    return found


def _slice_landmarks(data: Any) -> list[Landmark]:
    if "LOCALIZER" in str(data.get("ImageType") or ""):
        return []  # no slice of the head
    rows, columns = int(data.Rows), int(data.Columns)
    order = ">" if data.file_meta.get("TransferSyntaxUID", "") == "1.2.840.10008.1.2.2" else "<"
    kind = f"{order}{'i' if data.get('PixelRepresentation') else 'u'}{int(data.BitsAllocated) // 8}"
    if data.file_meta.get("TransferSyntaxUID", "1.2").startswith("1.2.840.10008.1.2.5"):
        stored = data.pixel_array
    else:
        stored = np.frombuffer(data.PixelData, kind)[: rows * columns].reshape(rows, columns)
    slope, intercept = float(data.get("RescaleSlope") or 1), float(data.get("RescaleIntercept") or 0)
    position = np.array([float(v) for v in data.ImagePositionPatient])
    right, down = np.array([float(v) for v in data.ImageOrientationPatient]).reshape(2, 3)
    row_mm, column_mm = (float(v) for v in data.PixelSpacing)
    found = []
    for row, column in _centres(stored, {value + 1024 for value in STORED}, RING_HU + 1024):
        lps = position + column * column_mm * right + row * row_mm * down
        found.append(Landmark(float(stored[row, column]) * slope + intercept, lps))
    return found


def _centres(stored: NDArray, values: set[int], ring: int) -> list[tuple[int, ...]]:
    """Indices of landmarks: a value of theirs among at least three neighbours of the ring's."""
    found = []
    for index in np.argwhere(np.isin(stored, list(values))):
        around = tuple(slice(max(i - 1, 0), i + 2) for i in index)
        if (stored[around] == ring).sum() >= 3:
            found.append(tuple(int(i) for i in index))
    return found


def image_landmarks(content: bytes) -> list[Landmark]:
    """Landmarks of a NIfTI, NRRD or MetaImage file, by its content. Raises UnjudgedError where that is impossible."""
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        if content[:4] == b"NRRD":
            stored, lps = _nrrd(content)
        elif b"ElementDataFile" in content[:4096]:
            stored, lps = _meta(content)
        else:
            stored, lps = _nifti(content)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DamagedError(str(error)) from error
    except Exception as error:
        raise UnjudgedError(f"{type(error).__name__}: {error}") from error
    values, scale = stored
    found = []
    for index in _centres(values, STORED, RING_HU):
        place = lps[:3, :3] @ np.array(index[:3]) + lps[:3, 3]
        found.append(Landmark(float(values[index]) * scale[0] + scale[1], place))
    return found


def _nifti(content: bytes) -> tuple[Any, NDArray]:
    """Stored values (x, y, z), and LPS mm from index, by the text of the NIfTI-1 and -2 standards."""
    order = next(o for o in "<>" if struct.unpack(f"{o}i", content[:4])[0] in (348, 540))
    if struct.unpack(f"{order}i", content[:4])[0] == 540:
        raise UnjudgedError("NIfTI-2")

    def get(fmt: str, at: int) -> tuple:
        return struct.unpack(f"{order}{fmt}", content[at : at + struct.calcsize(f"{order}{fmt}")])

    dim, (kind,) = get("8h", 40), get("h", 70)
    pixdim, (offset, slope, inter) = get("8f", 76), get("3f", 108)
    units, (qcode, scode) = content[123] & 7, get("2h", 252)
    b, c, d, *shift = get("6f", 256)
    srow = np.array(get("12f", 280)).reshape(3, 4)
    shape = [max(n, 1) for n in dim[1 : 1 + dim[0]]][:3]
    to_mm = {1: 1000.0, 3: 0.001}.get(units, 1.0)
    count = int(np.prod(shape))
    stored = np.frombuffer(content, f"{order}{NIFTI_TYPES[kind]}", count, int(offset)).reshape(shape, order="F")
    scale = (slope, inter) if np.isfinite([slope, inter]).all() and slope else (1.0, 0.0)
    ras = np.eye(4)
    if max(qcode, scode) > 5 or min(qcode, scode) < 0:
        raise UnjudgedError("a code that the standard does not know")
    if scode > 0:
        ras[:3] = srow
    elif qcode > 0:
        a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
        rotation = np.array([
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ])  # fmt: skip
        ras[:3, :3] = rotation * np.array([pixdim[1], pixdim[2], pixdim[3] * (-1 if pixdim[0] < 0 else 1)])
        ras[:3, 3] = shift
    else:
        raise UnjudgedError("no orientation is recorded")
    ras[:3] *= to_mm
    lps = np.eye(4)
    lps[:3] = LPS_FROM_RAS @ ras[:3]
    return (stored, scale), lps


def _nrrd(content: bytes) -> tuple[Any, NDArray]:
    head, _, rest = content.partition(b"\n\n")
    fields = {}
    for line in head.decode("latin-1").splitlines()[1:]:
        if not line.startswith("#") and ": " in line:
            key, value = line.split(": ", 1)
            fields[key.strip().lower()] = value.strip()
    sizes = [int(word) for word in fields["sizes"].split()]
    stored = _decoded(fields.get("encoding", "raw"), rest, fields.get("endian", "little") == "big",
                      NRRD_TYPES[fields["type"]], sizes)  # fmt: skip
    space = fields.get("space", "").lower()
    sides = {"left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1), "right-anterior-superior": (-1, -1, 1),
             "ras": (-1, -1, 1), "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1)}.get(space)  # fmt: skip
    if sides is None or set(fields) & {"spacings", "axis mins", "measurement frame"}:
        raise UnjudgedError(f"space '{space}'")
    vectors = re.findall(r"\(([^)]*)\)", fields["space directions"])
    lps = np.eye(4)
    for axis, vector in enumerate(vectors):
        lps[:3, axis] = np.array([float(v) for v in vector.split(",")]) * sides
    lps[:3, 3] = np.array([float(v) for v in fields["space origin"].strip("()").split(",")]) * sides
    return (stored, (1.0, 0.0)), lps


def _meta(content: bytes) -> tuple[Any, NDArray]:
    fields: dict[str, str] = {}
    at = 0
    while "ElementDataFile" not in fields:
        end = content.index(b"\n", at)
        key, value = content[at:end].decode("latin-1").split("=", 1)
        fields[key.strip()] = value.strip()
        at = end + 1
    known = {"ObjectType", "NDims", "BinaryData", "BinaryDataByteOrderMSB", "CompressedData", "TransformMatrix",
             "Offset",
             "CenterOfRotation", "AnatomicalOrientation", "ElementSpacing", "DimSize", "ElementType",
             "ElementDataFile", "CompressedDataSize"}  # fmt: skip
    if set(fields) - known or fields.get("BinaryData", "True") != "True":
        raise UnjudgedError(f"fields {sorted(set(fields) - known)}")
    sizes = [int(word) for word in fields["DimSize"].split()]
    packed = fields.get("CompressedData", "False") == "True"
    big = fields.get("BinaryDataByteOrderMSB", "False") == "True"
    stored = _decoded("zlib" if packed else "raw", content[at:], big, META_TYPES[fields["ElementType"]], sizes)
    matrix = np.array([float(v) for v in fields["TransformMatrix"].split()]).reshape(3, 3)
    lps = np.eye(4)
    lps[:3, :3] = matrix.T * np.array([float(v) for v in fields["ElementSpacing"].split()])
    lps[:3, 3] = [float(v) for v in fields["Offset"].split()]
    return (stored, (1.0, 0.0)), lps


def _decoded(encoding: str, data: bytes, big: bool, kind: str, sizes: list[int]) -> NDArray:
    if encoding in ("gzip", "gz"):
        data = zlib.decompressobj(31).decompress(data)
    elif encoding == "zlib":
        data = zlib.decompress(data)
    elif encoding != "raw":
        raise UnjudgedError(f"encoding {encoding}")
    count = int(np.prod(sizes))
    return np.frombuffer(data, f"{'>' if big else '<'}{kind}", count).reshape(sizes, order="F")


def landmarks_of(path: Path) -> list[Landmark]:
    """Landmarks of a DICOM folder, an image file, or a zip of either."""
    if path.is_dir():
        return dicom_landmarks([file for file in path.rglob("*") if file.is_file()])
    content = path.read_bytes()
    if content[:2] == b"PK":
        found: list[Landmark] = []
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    found += _of_content(archive.read(member))
        except (UnjudgedError, DamagedError):
            raise
        except Exception as error:
            raise DamagedError(f"zip: {type(error).__name__}") from error
        return found
    return _of_content(content)


def _of_content(content: bytes) -> list[Landmark]:
    if content[128:132] == b"DICM":
        from io import BytesIO

        try:
            return _slice_landmarks(pydicom.dcmread(BytesIO(content), force=True))
        except Exception:
            return []
    return image_landmarks(content)
