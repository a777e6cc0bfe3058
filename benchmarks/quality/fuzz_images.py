"""Mutations of NIfTI, NRRD, MetaImage files and zips for `fuzz.py`."""

from __future__ import annotations

import gzip
import re
import struct
import zipfile
import zlib
from io import BytesIO

import numpy as np
from fuzz_base import Base
from fuzz_dicom import Files, dicom_files
from numpy.random import Generator

from adn.space.geometry import RAS_FROM_LPS

_FIELDS = {  # of NIfTI-1: offset and struct code of what is mutated
    "sizeof_hdr": (0, "i"), "dim_info": (39, "B"), "dim": (40, "8h"), "intent": (68, "h"), "datatype": (70, "h"),
    "bitpix": (72, "h"), "pixdim": (76, "8f"), "vox_offset": (108, "f"), "scl_slope": (112, "f"), "scl_inter": (116,
    "f"),
    "xyzt_units": (123, "B"), "qform_code": (252, "h"), "sform_code": (254, "h"), "quatern": (256, "3f"),
    "qoffset": (268, "3f"), "srow": (280, "12f"), "magic": (344, "4B"), "extension": (348, "4B"),
}  # fmt: skip
_ODD_FLOATS = (0.0, -1.0, 1.0, 1e-12, 1e9, float("nan"), float("inf"), 1e30, -3.75, 7.0)
_ODD_WHOLE = (0, 1, -1, 2, 3, 4, 7, 8, 16, 24, 64, 128, 256, 512, 1024, 32767)


def nifti(base: Base, random: Generator) -> tuple[Files, str]:
    """A NIfTI file with some header fields or bytes changed, packed or not."""
    content = bytearray(_nifti_bytes(base, random))
    done = []
    for _ in range(1 if random.random() < 0.6 else 2):
        kind = int(random.integers(5))
        if kind < 3:
            done.append(_field(content, random))
        else:
            done.append(_damaged(content, random, 352 if kind == 3 else len(content)))
    name = "scan.nii"
    if random.random() < 0.4:
        packed = bytearray(gzip.compress(bytes(content), 1))
        if random.random() < 0.3:
            done.append("packed " + _damaged(packed, random, len(packed)))
        content, name = packed, "scan.nii.gz"
    return {name: bytes(content)}, "; ".join(done)


def _nifti_bytes(base: Base, random: Generator) -> bytes:
    """Stored as x, y, z in a random axis order, with sform and qform, or one of them."""
    volume = base.volume.reoriented(("RAS", "LPS", "LAS", "PSR", "IRA", "SPL")[int(random.integers(6))])
    kind = ("i2", "i2", "f4", "i4", "f8")[int(random.integers(5))]
    order = "<>"[int(random.random() < 0.2)]
    code = {"i2": (4, 16), "f4": (16, 32), "i4": (8, 32), "f8": (64, 64)}[kind]
    header = bytearray(352)
    affine = volume.grid.affine

    def put(at: int, fmt: str, *values: float) -> None:
        struct.pack_into(order + fmt, header, at, *values)

    put(0, "i", 348)
    put(40, "8h", 3, *volume.grid.shape, 1, 1, 1, 1)
    put(70, "2h", *code)
    rotation = affine[:3, :3] / volume.grid.spacing_mm
    factor = -1.0 if np.linalg.det(rotation) < 0 else 1.0
    put(76, "8f", factor, *volume.grid.spacing_mm, 0, 0, 0, 0)
    put(108, "3f", 352, 1, 0)
    header[123] = 2
    which = int(random.integers(3))
    put(252, "2h", int(which != 1), int(which != 2))
    put(256, "6f", *_quaternion(rotation * [1, 1, factor]), *affine[:3, 3])
    if which != 2:
        put(280, "12f", *affine[:3].ravel())
    header[344:348] = b"n+1\0"
    return bytes(header) + np.asarray(volume.data, order + kind).tobytes(order="F")


def _quaternion(rotation: np.ndarray) -> tuple[float, float, float]:
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    return (x, y, z) if w >= 0 else (-x, -y, -z)


def _field(content: bytearray, random: Generator) -> str:
    order = "<" if content[0] == 92 else ">"
    name = tuple(_FIELDS)[int(random.integers(len(_FIELDS)))]
    at, fmt = _FIELDS[name]
    if len(content) < 352:
        return "cut before"
    values = list(struct.unpack_from(order + fmt, content, at))
    place, kind = int(random.integers(len(values))), int(random.integers(4))
    if fmt[-1] == "f":
        odd = _ODD_FLOATS[int(random.integers(len(_ODD_FLOATS)))]
        values[place] = (odd, -values[place], values[place] * float(np.exp(random.normal(0, 0.7))), values[place] + 5)[
            kind
        ]
    elif fmt[-1] == "B":
        values[place] = int(random.integers(256))
    else:
        values[place] = _ODD_WHOLE[int(random.integers(len(_ODD_WHOLE)))]
    if kind == 3 and len(values) > 2:
        values = values[::-1]
    struct.pack_into(order + fmt, content, at, *values)
    return f"{name} kind {kind}"


def _damaged(content: bytearray, random: Generator, within: int) -> str:
    kind, within = int(random.integers(4)), max(min(within, len(content)), 1)
    at = int(random.integers(within))
    if kind == 0:
        for place in random.integers(0, within, int(random.integers(1, 8))):
            content[place] ^= 1 << int(random.integers(8))
        return "bits flipped"
    if kind == 1:
        del content[at:]
        return "cut"
    if kind == 2:
        content[at:at] = bytes(random.integers(0, 256, int(random.integers(1, 9))).astype(np.uint8))
        return "bytes put in"
    del content[at : at + int(random.integers(1, 40))]
    return "bytes left out"


def nrrd(base: Base, random: Generator) -> tuple[Files, str]:
    """A NRRD file with numbers, words, lines or bytes changed."""
    volume = base.volume.reoriented(("LPS", "RAS", "SPL", "LAS")[int(random.integers(4))])
    lps = RAS_FROM_LPS @ volume.grid.affine
    data = np.asarray(volume.data, "<i2").tobytes(order="F")
    packed = random.random() < 0.4
    lines = ["NRRD0004", "# made up", "type: short", "dimension: 3", "space: left-posterior-superior",
             f"sizes: {' '.join(map(str, volume.grid.shape))}",
             "space directions: " + " ".join(f"({','.join(f'{v:.6g}' for v in lps[:3, axis])})" for axis in range(3)),
             "kinds: domain domain domain", "endian: little", f"encoding: {'gzip' if packed else 'raw'}",
             f"space origin: ({','.join(f'{v:.6g}' for v in lps[:3, 3])})"]  # fmt: skip
    words = ("RAS", "right-anterior-superior", "left-anterior-superior", "scanner-xyz", "big", "float", "double",
             "uchar",
             "unsigned short", "none", "hex", "ascii", "bzip2", "gz", "raw", "3D-right-handed", "(0,0,0)", "nan", "4",
             "2",
             "/etc/passwd", "data file: /etc/passwd", "spacings: 3 3 7", "LIST")  # fmt: skip
    lines, done = _lines(lines, words, random)
    body = zlib.compressobj(1, zlib.DEFLATED, 31)
    content = bytearray("\n".join(lines).encode("latin-1", "replace") + b"\n\n")
    content += body.compress(data) + body.flush() if packed else data
    if random.random() < 0.25:
        done += "; " + _damaged(content, random, 400 if random.random() < 0.5 else len(content))
    return {"scan.nrrd": bytes(content)}, done


def meta(base: Base, random: Generator) -> tuple[Files, str]:
    """A MetaImage file, likewise."""
    volume = base.volume.reoriented(("LPS", "RAS", "SPL", "LAS")[int(random.integers(4))])
    lps, spacing = RAS_FROM_LPS @ volume.grid.affine, np.array(volume.grid.spacing_mm)
    data, packed = np.asarray(volume.data, "<i2").tobytes(order="F"), random.random() < 0.4
    data = zlib.compress(data, 1) if packed else data
    lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False",
             f"CompressedData = {packed}", *([f"CompressedDataSize = {len(data)}"] if packed else []),
             "TransformMatrix = " + " ".join(f"{v:.8g}" for v in (lps[:3, :3] / spacing).T.ravel()),
             "Offset = " + " ".join(f"{v:.8g}" for v in lps[:3, 3]), "CenterOfRotation = 0 0 0",
             "AnatomicalOrientation = RAI", "ElementSpacing = " + " ".join(f"{v:.8g}" for v in spacing),
             f"DimSize = {' '.join(map(str, volume.grid.shape))}", "ElementType = MET_SHORT"]  # fmt: skip
    words = ("MET_FLOAT", "MET_USHORT", "MET_UCHAR", "MET_DOUBLE", "True", "False", "4", "2", "nan", "inf",
             "ElementDataFile = /etc/passwd", "HeaderSize = 12", "ElementNumberOfChannels = 2", "ElementSize = 1 1 1",
             "Position = 0 0 0", "Mesh", "-1", "0")  # fmt: skip
    lines, done = _lines(lines, words, random)
    content = bytearray("\n".join([*lines, "ElementDataFile = LOCAL"]).encode("latin-1", "replace") + b"\n" + data)
    if random.random() < 0.25:
        done += "; " + _damaged(content, random, 400 if random.random() < 0.5 else len(content))
    return {"scan.mha": bytes(content)}, done


def _lines(lines: list[str], words: tuple[str, ...], random: Generator) -> tuple[list[str], str]:
    done = []
    for _ in range(1 if random.random() < 0.7 else 2):
        at, kind = int(random.integers(1, len(lines))), int(random.choice(7, p=(0.1, 0.1, 0.2, 0.15, 0.15, 0.15, 0.15)))
        done.append(f"line '{lines[at].split(':')[0].split('=')[0].strip()}' kind {kind}")
        numbers = re.findall(r"-?\d+\.?\d*(?:e[+-]?\d+)?", lines[at])
        word = words[int(random.integers(len(words)))]
        if kind == 0 and len(lines) > 3:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[int(random.integers(1, len(lines)))])
        elif kind == 2 and ": " not in word and " = " not in word:
            lines[at] = re.sub(r"[^:= ]+$", lambda _: word, lines[at])  # noqa: B023 - used at once
        elif kind == 2:
            lines.insert(at, word)
        elif numbers:
            old = numbers[int(random.integers(len(numbers)))]
            value = float(old)
            odd = (f"{-value:g}", f"{value * float(np.exp(random.normal(0, 0.7))):.5g}", f"{value + 1:g}",
                   ("0", "1e30", "nan", "65536", "-1", "999999999")[int(random.integers(6))])[kind - 3]  # fmt: skip
            lines[at] = lines[at].replace(old, odd, 1)
        elif kind == 6:
            lines[at] = lines[at][: int(random.integers(len(lines[at])))]
    return lines, "; ".join(done)


def zipped(base: Base, random: Generator) -> tuple[Files, str]:
    """A zip of an image file, or of a DICOM series in one of four, with odd names or damaged bytes."""
    makers = (nifti, nrrd, meta, dicom_files)
    make = makers[int(random.integers(len(makers)))]
    files, done = make(base, random)
    if random.random() < 0.3:  # the content whole, the zip not
        files, done = {"scan.nii": _nifti_bytes(base, random)}, "whole"
    sink = BytesIO()
    kind = int(random.integers(20))
    method = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[int(random.integers(4))]
    with zipfile.ZipFile(sink, "w", method, compresslevel=1) as archive:
        for name, content in files.items():
            prefix = ("", "a/b/", "../", "/", "C:\\", "ü/", "__MACOSX/", "a\\..\\")[kind] if kind < 8 else ""
            archive.writestr(prefix + name, content)
            if kind > 17 and random.random() < 0.5:
                archive.writestr("x/" + name, content)
    content = bytearray(sink.getvalue())
    if random.random() < 0.4:
        done += "; zip " + _damaged(content, random, len(content))
    return {"scan.zip": bytes(content)}, f"zip kind {kind}: {done}"
