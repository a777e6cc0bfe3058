"""Every slice of the brain as a small JPEG with vector contours over it, so that these can be switched off."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.figures.display import (
    Crop,
    axial_slab,
    axial_slice,
    crop_to,
    even_slices,
    slice_areas_cm2,
    stack_spacing_mm,
    stroke_window_hu,
)
from adn.results import Prediction
from adn.space.geometry import bounding_box
from adn.space.volume import Volume

WIDTH_PX = 400
MOST = 40  # of more slices, evenly spaced ones are shown: pictures of thin slices are means over 5 mm anyway
_QUALITY = 78


class SlicePicture(NamedTuple):
    """One slice: a data URI, its size, contours as SVG path data in pixels, and the infarct's area in it."""

    index: int
    uri: str
    width: int
    height: int
    brain: str
    infarct: str
    area_cm2: float


def all_slices(prediction: Prediction) -> list[SlicePicture]:
    """The brain's slices from the skull base up, at most 40, on the stroke window, patient left on image right."""
    return slice_pictures(prediction.scan.volume, prediction.brain_mask, prediction.infarct, prediction.brain_mask)


def slice_pictures(scan: Volume, brain: Volume, infarct: Volume, shown: Volume) -> list[SlicePicture]:
    """As `all_slices`, for any scan with its masks. shown: the mask that determines the slices and the crop."""
    areas = slice_areas_cm2(infarct)
    crop, window_hu = crop_to(shown, margin_mm=10.0), stroke_window_hu(scan, brain)
    _, row_mm, column_mm = stack_spacing_mm(scan)
    rows, columns = axial_slice(scan, 0)[crop].shape
    size = WIDTH_PX, round(WIDTH_PX * rows * row_mm / (columns * column_mm))
    step = size[0] / columns, size[1] / rows
    return [
        SlicePicture(
            index,
            _jpeg(axial_slab(scan, index)[crop], window_hu, size),
            *size,
            _path(brain, index, crop, step, every=3),
            _path(infarct, index, crop, step, every=1),
            float(areas[index]),
        )
        for index in even_slices(shown, MOST)
    ]


def _jpeg(hu: NDArray[np.float32], window_hu: tuple[float, float], size: tuple[int, int]) -> str:
    from PIL import Image

    lower, upper = window_hu
    grey = np.clip((hu - lower) / (upper - lower) * 255.0, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _path(mask: Volume, index: int, crop: Crop, step: tuple[float, float], every: int) -> str:
    """Outlines of a mask as SVG path data; every: keep only every n-th point."""
    from contourpy import contour_generator

    picture = axial_slice(mask, index)[crop] > 0
    if not picture.any():
        return ""
    rows, columns = bounding_box(picture, margins=(0, 0))
    lines = contour_generator(z=np.pad(picture[rows, columns], 1).astype(np.float32)).lines(0.5)
    corner = np.array([columns.start, rows.start]) - 0.5  # a voxel's middle is half a voxel from the edge
    parts = []
    for line in lines:
        points = (np.asarray(line) + corner)[::every] * step
        text = "L".join(f"{x:.0f} {y:.0f}" for x, y in points)
        parts.append(f"M{text}Z")
    return "".join(parts)
