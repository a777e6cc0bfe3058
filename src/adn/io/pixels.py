"""Reads the pixel data of a DICOM file: checked for completeness, and in HU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.io.itk import name_for_itk

if TYPE_CHECKING:
    from adn.io.series import Header

_BITS = (8, 16, 32)


def checked(header: Header, where: Path) -> Any:
    """The file's pydicom data set. Raises InputError unless its pixel data is complete."""
    from pydicom import config, dcmread

    if min(header.shape) < 1:
        raise InputError("Rows or Columns is absent or 0; copy the series again.", where)
    try:
        with config.disable_value_validation():
            data = dcmread(header.path, force=True)
        pixels = data.PixelData
        if int(data.BitsAllocated) not in _BITS:
            raise InputError(
                f"BitsAllocated is {data.BitsAllocated}, CT has 8, 16 or 32; copy the series again.", where
            )
        if int(data.get("PixelRepresentation") or 0) not in (0, 1):
            raise InputError(
                f"PixelRepresentation is {data.PixelRepresentation}, which says neither signed nor unsigned; copy the "
                "series again.",
                where,
            )
        bits = header.shape[0] * header.shape[1] * int(data.get("SamplesPerPixel") or 1) * int(data.BitsAllocated)
        needed = bits // 8 * int(data.get("NumberOfFrames") or 1)
        short = not _packed(data) and len(pixels) < needed
    except InputError:
        raise
    except Exception as error:  # pydicom raises many kinds on damaged bytes
        raise _truncated(header, where) from error
    if short or not pixels:
        raise _truncated(header, where)
    return data


def _packed(data: Any) -> bool:
    syntax = data.file_meta.get("TransferSyntaxUID")
    return bool(syntax and syntax.is_encapsulated)


def pixels_hu(header: Header, data: Any, where: Path) -> NDArray[np.float32]:
    """(frames, rows, columns) in HU, for the frames that the header covers."""
    if _packed(data):
        import SimpleITK as sitk  # decompresses what pydicom cannot without extra packages

        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        with name_for_itk(header.path) as name:
            reader.SetFileName(name)
            try:
                every = sitk.GetArrayFromImage(reader.Execute()).astype(np.float32).reshape(-1, *header.shape)
                return every[header.numbers]
            except (RuntimeError, ValueError, IndexError) as error:  # its shape differs from the header's
                raise _truncated(header, where) from error
    count = (max(header.numbers) + 1) * header.shape[0] * header.shape[1]
    stored = np.frombuffer(data.PixelData, _sample_type(data), count).reshape(-1, *header.shape)[header.numbers]
    return stored * np.float32(header.slope) + np.float32(header.intercept)


def _sample_type(data: Any) -> np.dtype:
    order = "<" if data.file_meta.get("TransferSyntaxUID", "") != "1.2.840.10008.1.2.2" else ">"
    return np.dtype(f"{order}{'i' if data.get('PixelRepresentation') else 'u'}{int(data.BitsAllocated) // 8}")


def _truncated(header: Header, where: Path) -> InputError:
    name = "" if header.path == where else f"{header.path.name}: "
    return InputError(
        f"{name}the DICOM file is truncated or damaged (its pixel data is incomplete); copy the series again.", where
    )


def damaged(header: Header, where: Path) -> InputError:
    """The InputError for a file whose header cannot be read."""
    name = "" if header.path == where else f"{header.path.name}: "
    return InputError(f"{name}the DICOM header is damaged; copy the series again.", where)
