"""Reads NRRD and MetaImage (.nrrd, .nhdr, .mha, .mhd) with SimpleITK. They use LPS coordinates; a `Volume` uses RAS.

Both formats may name another file that holds the voxels. An untrusted file must not choose what is read, so .nrrd and
.mha have to hold their own voxels, and .nhdr and .mhd may name one file in their own folder. ITK is told which reader
to use; it never chooses one by content.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.io.atomic import scratch_folder
from adn.io.nifti import MAX_VOXELS
from adn.remarks import Remark
from adn.space.geometry import RAS_FROM_LPS, Grid
from adn.space.units import MM_PER_UNIT
from adn.space.volume import Volume

NRRD_MAGIC = b"NRRD"
DETACHED_SUFFIXES = (".nhdr", ".mhd")
_META_LINE = re.compile(rb"[ \t]*(\w[\w|.\[\]-]{0,63})[ \t]*=([^\0\r\n]{0,400})\r?")
_DATA_FILE_KEYS = (b"datafile", b"elementdatafile")
_ATTACHED = (b"LOCAL", b"Local", b"local")
_ORIENTATION_KEYS = {b"transformmatrix", b"orientation", b"rotation"}  # of a MetaImage
_SIZE_KEYS = {b"elementspacing", b"elementsize"}
_SPACES = re.compile(
    rb"(ras|las|lps|right-anterior-superior|left-anterior-superior|left-posterior-superior)(-time|t)?", re.I
)
_LAS = re.compile(rb"(las|left-anterior-superior)(-time|t)?", re.I)
_UNITS = {
    "": "mm",
    "?": "mm",
    "millimeter": "mm",
    "millimetre": "mm",
    "meter": "m",
    "metre": "m",
    "micron": "um",
    "micrometer": "um",
    "micrometre": "um",
    "\N{MICRO SIGN}m": "um",
    "\N{GREEK SMALL LETTER MU}m": "um",
}
_UNITS |= {name: name for name in MM_PER_UNIT}
_UNIT_WORDS = {"m": "metres", "cm": "centimetres", "um": "micrometres"}
_HEADER_BYTES = 2**16
_NO_LETTERS = {chr(code) for code in range(0xDC80, 0xDD00)}  # surrogates by which Python keeps bytes that are not UTF-8
_META_BYTES = {
    b"MET_CHAR": 1, b"MET_UCHAR": 1, b"MET_SHORT": 2, b"MET_USHORT": 2, b"MET_INT": 4, b"MET_UINT": 4,
    b"MET_FLOAT": 4, b"MET_LONG": 8, b"MET_ULONG": 8, b"MET_LONG_LONG": 8, b"MET_ULONG_LONG": 8, b"MET_DOUBLE": 8,
}  # fmt: skip
_PLACE_KEYS = {b"offset", b"position", b"origin", b"transformmatrix", b"rotation", b"orientation"}
_PLACE_KEYS |= {b"spaceorigin", b"spacedirections", b"axismins", b"axismaxs"}
_MOST_BYTES = 8  # per voxel
MAX_DIMENSIONS = 10  # MetaImage's limit; those beyond the third must have size 1


def load(path: Path) -> tuple[Volume, list[Remark]]:
    """Read one 3D volume as float32 in the file's own axis order, with remarks on its orientation.

    Raises InputError, naming the file, for anything but one readable 3D volume of numbers, and if the voxels are stored
    anywhere other than in the file itself or, for .nhdr and .mhd, in a file of the same folder.
    """
    import SimpleITK as sitk

    with path.open("rb") as stream:
        head = stream.read(_HEADER_BYTES)
    nrrd = head[:4] == NRRD_MAGIC
    lines = _nrrd_lines(path, head) if nrrd else _meta_lines(path, head)
    _check_data_file(path, lines)
    if not nrrd:
        _check_sides(path, lines)
    _check_places(path, lines)
    _check_packed(path, dict(reversed(lines)), head)
    unit = _unit(path, lines)
    _check_voxel_size(path, lines, nrrd)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if nrrd else "MetaImageIO")
    with name_for_itk(path, [value for key, value in lines if key in _DATA_FILE_KEYS]) as name:
        reader.SetFileName(name)
        try:
            reader.ReadImageInformation()
            size = reader.GetSize()
            _check_size(path, size, reader.GetNumberOfComponents())
            image = reader.Execute()
        except RuntimeError as error:
            raise InputError(
                "needed a complete NRRD or MetaImage file, but it is damaged, or its data file is absent.", path
            ) from error
    if len(size) > 3:
        image = image[(slice(None),) * 3 + (0,) * (len(size) - 3)]
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    if nrrd:
        lps = _with_named_sides(lps, lines)
    lps[:3] *= MM_PER_UNIT[unit]
    data = np.ascontiguousarray(sitk.GetArrayViewFromImage(image).transpose(2, 1, 0), dtype=np.float32)
    try:
        grid = Grid((data.shape[0], data.shape[1], data.shape[2]), RAS_FROM_LPS @ lps)
    except InputError as error:
        raise InputError(error.what, path) from error
    remarks = [] if unit == "mm" else [Remark("unit_of_length", {"unit": _UNIT_WORDS[unit]})]
    if not _states_sides(lines, nrrd):
        values = {"format": "nrrd" if nrrd else "metaimage", "axes": grid.axes}
        remarks.append(Remark("orientation_unrecorded", values))
    return Volume(data, grid), remarks


@contextmanager
def name_for_itk(path: Path, beside: Iterable[bytes] = ()) -> Iterator[str]:
    """Yield a UTF-8 name for the file, a symbolic link if its own name is not UTF-8, which would make ITK abort.

    beside: names of files in the same folder that its header may refer to.
    """
    if not set(str(path)) & _NO_LETTERS:
        yield str(path)
        return
    with scratch_folder() as folder:
        link = folder / f"scan{path.suffix if path.suffix.isascii() else ''}"
        link.symlink_to(path.absolute())
        for name in {value.decode(errors="replace") for value in beside if value not in _ATTACHED} - {link.name}:
            (folder / name).symlink_to(path.absolute().parent / name)
        yield str(link)


def _check_sides(path: Path, lines: list[tuple[bytes, bytes]]) -> None:
    """Raise InputError if a MetaImage does not state a valid size: ITK would trust it and crash the process."""
    fields, keys = dict(lines), [key for key, _ in lines]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise InputError(f"needed a MetaImage file, but its header says {twice.decode()} twice; save it again.", path)
    try:
        count, sides = int(fields[b"ndims"]), [int(side) for side in fields[b"dimsize"].split()]
        channels = int(fields.get(b"elementnumberofchannels", b"1"))
    except (KeyError, ValueError):
        count, sides, channels = 0, [], 0
    if not 1 <= count <= MAX_DIMENSIONS or len(sides) != count or min(sides) < 1 or channels < 1:
        raise InputError("needed a MetaImage file, but NDims and DimSize do not give its size; save it again.", path)


def _check_places(path: Path, lines: list[tuple[bytes, bytes]]) -> None:
    """Raise InputError if a field that positions the voxels is not numeric: ITK would read it as 0."""
    fields = dict(reversed(lines))
    for key in _PLACE_KEYS & set(fields):
        text = re.sub(rb"[(),]", b" ", fields[key]).replace(b"none", b"")
        if not all(math.isfinite(number) for number in _numbers(text)):
            raise InputError(
                f"needed numbers that place the voxels, but the header's {key.decode()} holds something else; write "
                "the image again.",
                path,
            )


def _check_packed(path: Path, fields: dict[bytes, bytes], head: bytes) -> None:
    """Raise InputError if compressed voxels are incomplete.

    ITK verifies no checksum and leaves uninitialised memory where data is missing.
    """
    nrrd = head[:4] == NRRD_MAGIC
    if nrrd:
        packed = fields.get(b"encoding", b"").lower() in (b"gz", b"gzip")
    else:
        packed = fields.get(b"compresseddata", b"")[:1] in (b"T", b"t", b"1")
    if not packed:
        return
    named = fields.get(b"datafile", b"LOCAL") if nrrd else fields[b"elementdatafile"]
    attached = named in _ATTACHED
    file = path if attached else path.parent / named.decode()
    sides = fields.get(b"sizes", b"") if nrrd else fields[b"dimsize"]
    try:
        voxels = math.prod(int(side) for side in sides.split()) * int(fields.get(b"elementnumberofchannels", b"1"))
        size = int(fields.get(b"compresseddatasize", b"0"))
        unsaid = attached and not nrrd and size < 1  # ITK then decompresses nothing
        if int(fields.get(b"lineskip", b"0")) or voxels > MAX_VOXELS or unsaid:
            raise ValueError
        with file.open("rb") as stream:
            stream.seek(_data_at(head) if attached else 0)
            stream_bytes = stream.read(size if size > 0 else -1)
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)
        found = len(unpacking.decompress(stream_bytes, voxels * _MOST_BYTES + 1))
        whole = unpacking.eof and found >= voxels * (1 if nrrd else _META_BYTES[fields[b"elementtype"]])
    except (KeyError, ValueError, OSError, zlib.error):
        whole = False
    if not whole:
        raise InputError(
            "needed a complete NRRD or MetaImage file, but its compressed data is damaged; copy it again.", path
        )


def _data_at(head: bytes) -> int:
    """Where the voxels begin: after a NRRD's first empty line, or a MetaImage's ElementDataFile line."""
    if head[:4] == NRRD_MAGIC:
        found = re.search(rb"\n\r?\n", head)
        return found.end() if found else 0
    place = 0
    for line in head.split(b"\n"):
        place += len(line) + 1
        match = _META_LINE.fullmatch(line)
        if match is not None and match[1] == b"ElementDataFile":
            break
    return place


def _states_sides(lines: list[tuple[bytes, bytes]], nrrd: bool) -> bool:
    """Whether the header tells left from right. A NRRD does so by naming its space; otherwise ITK assumes LPS."""
    if not nrrd:
        return any(key in _ORIENTATION_KEYS for key, _ in lines)
    return any(key == b"space" and _SPACES.fullmatch(value) for key, value in lines) and any(
        key == b"spacedirections" for key, _ in lines
    )


def _with_named_sides(lps: NDArray[np.float64], lines: list[tuple[bytes, bytes]]) -> NDArray[np.float64]:
    """The affine as the header states it: for left-anterior-superior NRRD files, SimpleITK before 2.5.6 flipped left
    and right instead of front and back. Other spaces are kept as ITK reads them.
    """
    values = dict(reversed(lines))
    if not _LAS.fullmatch(values.get(b"space", b"")):
        return lps
    vectors = [_numbers(vector)[:3] for vector in re.findall(rb"\(([^)]*)\)", values.get(b"spacedirections", b""))[:3]]
    if [len(vector) for vector in vectors] != [3, 3, 3]:
        return lps
    left, anterior, _ = np.transpose(vectors)
    confused = lps[0, :3] @ left - lps[1, :3] @ anterior < 0
    return np.diag((-1.0, -1.0, 1.0, 1.0)) @ lps if confused else lps


def _check_voxel_size(path: Path, lines: list[tuple[bytes, bytes]], nrrd: bool) -> None:
    """Raise InputError if the voxel size is absent, 0 or not a number: ITK would assume 1 mm."""
    if nrrd:
        values = dict(reversed(lines))  # the first of duplicates wins: a later match may be voxel data
        vectors = re.findall(rb"\(([^)]*)\)", values.get(b"spacedirections", b""))
        steps = [_norm(vector) for vector in vectors] if vectors else _numbers(values.get(b"spacings", b""))
        known = sum(0 < abs(step) < math.inf for step in steps) >= 3
    else:
        found = [_numbers(value) for key, value in lines if key in _SIZE_KEYS]
        known = bool(found) and all(0 < abs(step) < math.inf for steps in found for step in steps[:3])
    if not known:
        raise InputError(
            "needed the size of a voxel, but the header does not give it, or gives 0, and adn does not guess. Write "
            "the image again with its voxel size.",
            path,
        )


def _norm(vector: bytes) -> float:
    return math.hypot(*_numbers(vector))


def _numbers(text: bytes) -> list[float]:
    """The numbers in a line; NaN for words."""
    found = []
    for word in text.replace(b",", b" ").split():
        try:
            found.append(float(word))
        except ValueError:
            found.append(math.nan)
    return found


def _unit(path: Path, lines: list[tuple[bytes, bytes]]) -> str:
    """The unit of length, which ITK does not read; mm if none is stated. Raises InputError if it is unknown."""
    said = b" ".join(value for key, value in lines if key in (b"spaceunits", b"units", b"distanceunits"))
    names = {word.strip('"').lower() for word in said.decode(errors="replace").split()} or {""}
    lengths = {_UNITS.get(name) or _UNITS.get(name.removesuffix("s"), name) for name in names}
    if len(lengths) == 1 and (unit := lengths.pop()) in MM_PER_UNIT:
        return unit
    raise InputError(
        "needed a voxel size in metres, centimetres, millimetres or micrometres, but the header's unit is unknown; "
        "write the image again in millimetres.",
        path,
    )


def _check_size(path: Path, size: tuple[int, ...], components: int) -> None:
    more = int(np.prod(size[3:], dtype=object)) * components
    if more != 1:
        raise InputError(f"needed one 3D volume, but the file holds {more}; save the non-contrast one alone.", path)
    if len(size) < 3 or int(np.prod(size, dtype=object)) > MAX_VOXELS:
        raise InputError(f"needed a 3D volume, but its shape is {'×'.join(map(str, size))}.", path)


def _nrrd_lines(path: Path, head: bytes) -> list[tuple[bytes, bytes]]:
    """(field, value) of each line that looks like a field; field names in lower case without spaces.

    The header ends at an empty line. The voxel data that follows is scanned too, since it should not look like fields:
    whatever another reader might take for header is then seen here as well.
    """
    if len(head) == _HEADER_BYTES and not re.search(rb"\n\r?\n", head):
        raise InputError(f"needed a NRRD file, but its header does not end within {_HEADER_BYTES} bytes.", path)
    fields = (line.partition(b":") for line in head.splitlines() if not line.startswith(b"#"))
    return [(b"".join(key.lower().split()), value.strip()) for key, colon, value in fields if colon]


def _meta_lines(path: Path, head: bytes) -> list[tuple[bytes, bytes]]:
    """(key, value) up to ElementDataFile, which ends the header; keys in lower case.

    Anything but short `key = value` lines is refused, since ITK might interpret it differently.
    """
    found = []
    for line in head.split(b"\n"):
        match = _META_LINE.fullmatch(line)
        if match is None:
            break
        found.append((match[1].lower(), match[2].strip()))
        if match[1] == b"ElementDataFile":
            return found
    raise InputError("needed a NRRD or MetaImage file, but the content is neither, or its header is damaged.", path)


def _check_data_file(path: Path, lines: list[tuple[bytes, bytes]]) -> None:
    """Refuse a header that points to voxels outside the file or, for the two-file formats, outside its folder."""
    for value in (value for key, value in lines if key in _DATA_FILE_KEYS and value not in _ATTACHED):
        if path.suffix.lower() not in DETACHED_SUFFIXES:
            raise InputError(
                "needed an image that holds its own voxels, but its header names another file, which was not "
                "read; save it as one .nii.gz, .nrrd or .mha.",
                path,
            )
        if not _in_same_folder(path, value):
            raise InputError(
                "its voxels must be in one file of the same folder, named without a path, but its header "
                "names others, which were not read; save it as one .nii.gz, .nrrd or .mha.",
                path,
            )


def _in_same_folder(path: Path, value: bytes) -> bool:
    """True for the plain name of a file beside `path`; not for lists, name patterns, or links to elsewhere."""
    name = value.decode(errors="replace")
    if not name or Path(name).name != name or name.upper().startswith("LIST") or set(name) & set("\\%\0\ufffd"):
        return False
    folder = path.absolute().parent  # where ITK searches, even if `path` is a link
    return (folder / name).resolve().parent == folder.resolve()
