"""An enhanced file with several stacks of slices: each can be chosen, and reads as it would from separate files."""

from copy import deepcopy

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from adn.errors import InputError
from adn.io import open_scan
from adn.io.series import read_headers
from phantoms import head, write_dicom_series, write_enhanced

TIMES = ("20200229101010.00", "20200229101340.00")


@pytest.fixture(params=[0.0, 12.0], ids=["upright", "tilted"])
def scanned(request, tmp_path):
    """A head scanned whole, and a part of it again with fewer slices, moved pixels and 3.5 minutes later."""
    first = write_dicom_series(head(), tmp_path / "first", tilt_deg=request.param)
    again = write_dicom_series(head((20, 96, 80), (7.0, 2.0, 2.0)), tmp_path / "again", tilt_deg=request.param)
    for path in again:
        data = pydicom.dcmread(path)
        data.PixelData = np.roll(data.pixel_array, 9, 1).tobytes()
        data.save_as(path)
    return first, again


def write_stacks(parts, path, *, mixed=False, **values):
    """One enhanced file of several stacks; mixed: their frames by turns. values: of each frame's content, by stack."""
    files = [(path, number) for number, part in enumerate(parts) for path in part]
    if mixed:
        files = sorted(files, key=lambda one: (one[0].name, one[1]))
    write_enhanced([path for path, _ in files], path)
    data = pydicom.dcmread(path / "enhanced.dcm")
    for (file, number), frame in zip(files, data.PerFrameFunctionalGroupsSequence, strict=True):
        slice_ = pydicom.dcmread(file)
        content, plane, measures = Dataset(), Dataset(), Dataset()
        for keyword, given in values.items():
            setattr(content, keyword, given[number])
        plane.ImageOrientationPatient = slice_.ImageOrientationPatient
        measures.PixelSpacing, measures.SliceThickness = slice_.PixelSpacing, slice_.SliceThickness
        frame.FrameContentSequence, frame.PlaneOrientationSequence = [content], [plane]
        frame.PixelMeasuresSequence = [measures]
    data.save_as(path / "enhanced.dcm")
    return path / "enhanced.dcm"


@pytest.mark.parametrize(("scanned", "mixed"), [(0.0, True), (12.0, False)], indirect=["scanned"])
def test_each_stack_reads_as_from_files_of_its_own(scanned, mixed, tmp_path):
    file = write_stacks(scanned, tmp_path / "in", mixed=mixed, StackID="12", FrameAcquisitionDateTime=TIMES)
    chosen = open_scan(file)
    (warning,) = (words for words in chosen.warnings if words.startswith("Several"))
    assert "stack 1, frames from 1 was read" in warning
    assert "#2 " in warning
    assert "stack 2" in warning
    assert "taken 3.5 min after the first" in warning
    for place, part in enumerate(scanned, start=1):
        alone = open_scan(part[0].parent).volume
        for path in (file, file.parent):
            found = open_scan(path, series=f"#{place}").volume
            assert np.array_equal(found.data, alone.data)
            assert np.allclose(found.grid.affine, alone.grid.affine, atol=1e-4)


def test_unnamed_stacks_are_separated_by_position(scanned, tmp_path):
    file = write_stacks(scanned, tmp_path / "in")
    counts = [len(open_scan(part[0].parent).volume.data[0, 0]) for part in scanned]
    found = [open_scan(file, series=f"#{place}").volume.data.shape[2] for place in (1, 2)]
    assert found == counts


def test_a_file_with_one_stack_is_one_series(tmp_path):
    write_enhanced(write_dicom_series(head(), tmp_path / "slices"), tmp_path / "in")
    (header,) = read_headers([tmp_path / "in" / "enhanced.dcm"])
    assert header.whole
    assert len(header.each) == header.frames == len(header.positions)


@pytest.mark.parametrize(
    ("sequence", "keyword", "value", "tag"),
    [
        ("PixelMeasuresSequence", "PixelSpacing", [2.1, 2.1], "PixelSpacing"),
        ("PixelValueTransformationSequence", "RescaleIntercept", "-512", "RescaleIntercept"),
    ],
)
def test_frames_that_differ_within_a_stack_are_refused_by_the_tag(sequence, keyword, value, tag, tmp_path):
    write_enhanced(write_dicom_series(head(), tmp_path / "slices"), tmp_path / "in")
    data = pydicom.dcmread(tmp_path / "in" / "enhanced.dcm")
    item = deepcopy(data.SharedFunctionalGroupsSequence[0][sequence].value[0])
    setattr(item, keyword, value)
    setattr(data.PerFrameFunctionalGroupsSequence[4], sequence, [item])
    data.save_as(tmp_path / "in" / "enhanced.dcm")
    with pytest.raises(InputError, match=tag):
        open_scan(tmp_path / "in")
