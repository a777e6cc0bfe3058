"""A series is read with each slice where its own header puts it, or is refused with a message naming the fault."""

import re
import shutil

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid
from scipy.ndimage import map_coordinates

from adn.errors import InputError
from adn.io import open_scan
from adn.io.series import read_headers
from adn.io.stacks import stacks
from adn.space.geometry import RAS_FROM_LPS
from given import loose
from phantoms import head, write_dicom_series, write_enhanced

MARK_HU, MARK = 2500, 5  # a cube of so many pixels, at a place of its own in each slice


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """A small tilted series; in slice k a bright square stands where no other slice has one."""
    folder = tmp_path_factory.mktemp("marked")
    for number, path in enumerate(write_dicom_series(head((14, 50, 44), (7.0, 3.8, 3.8)), folder, tilt_deg=9.0)):
        data = pydicom.dcmread(path)
        pixels = data.pixel_array.copy()
        row, column = place_of_mark(number)
        pixels[row : row + MARK, column : column + MARK] = MARK_HU
        data.PixelData = pixels.tobytes()
        data.save_as(path)
    return sorted(folder.iterdir())


def place_of_mark(number):
    return 8 + 7 * (number // 4 % 5), 8 + 7 * (number % 4)


def mark_of(data):
    """(row, column) of the middle of a slice's mark, from its pixels."""
    inside = np.argwhere(data.pixel_array >= MARK_HU / 2)
    return inside.mean(axis=0)


def misplaced(folder, volume):
    """Heights in the volume at which no image has its mark within a voxel of where its own header puts it."""
    index_from_ras = np.linalg.inv(volume.grid.affine)
    found = {}
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        if abs(float(data.PixelSpacing[0]) - volume.grid.spacing_mm[0]) > 0.01:
            continue  # another field of view, so another series
        row, column = mark_of(data)
        corner, turn = np.array(data.ImagePositionPatient, float), np.array(data.ImageOrientationPatient, float)
        down_mm, right_mm = (float(step) for step in data.PixelSpacing)
        point = corner + turn[:3] * column * right_mm + turn[3:] * row * down_mm
        height = round(float(corner @ np.cross(turn[:3], turn[3:])), 1)
        index = index_from_ras @ np.append(point * np.diag(RAS_FROM_LPS)[:3], 1.0)
        around = np.stack(np.meshgrid(*([np.linspace(-1, 1, 5)] * 3), indexing="ij"), axis=-1).reshape(-1, 3)
        values = map_coordinates(volume.data, (index[:3] + around).T, order=1, mode="constant", cval=-1000.0)
        found[height] = found.get(height, False) or bool(values.max() > MARK_HU / 5)
    heights = index_range_mm(folder, volume)
    return [height for height, there in found.items() if not there and heights[0] < height < heights[1]]


def index_range_mm(folder, volume):
    """Heights along the slices' normal that the volume covers, LPS mm, less half a slice."""
    data = pydicom.dcmread(next(folder.iterdir()))
    turn = np.array(data.ImageOrientationPatient, float)
    normal = np.cross(turn[:3], turn[3:])
    middle = (np.array(volume.grid.shape) - 1) / 2
    ends = [[middle[0], middle[1], -0.5], [middle[0], middle[1], volume.grid.shape[2] - 0.5]]
    places = [(RAS_FROM_LPS @ volume.grid.affine @ [*end, 1.0])[:3] @ normal for end in ends]
    return min(places), max(places)


def permuted(files, draw):
    names = draw(st.permutations(range(len(files))))
    for file, name in zip(list(files), names, strict=True):
        file.rename(file.with_name(f"IM{name:04d}"))


def renumbered(files, draw):
    numbers = draw(st.permutations(range(1, len(files) + 1)))
    change(files, InstanceNumber=lambda place, _: numbers[place])


def repeated(files, draw):
    for place in draw(st.sets(st.integers(0, len(files) - 1), min_size=1, max_size=4)):
        data = pydicom.dcmread(files[place])
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.save_as(files[place].with_name(f"copy{place:04d}"))


def dropped(files, draw):
    for place in draw(st.sets(st.integers(0, len(files) - 1), min_size=1, max_size=4)):
        files[place].unlink()


def shifted(files, draw):
    places, axis = draw(st.sets(st.integers(0, len(files) - 1), min_size=1)), draw(st.integers(0, 2))
    step = draw(st.sampled_from([-20.0, -3.0, -0.02, 0.02, 4.0, 15.0]))

    def moved(place, data):
        position = [float(value) for value in data.ImagePositionPatient]
        position[axis] += step if place in places else 0.0
        return position

    change(files, ImagePositionPatient=moved)


def respaced(files, draw):
    places, factor = draw(st.sets(st.integers(0, len(files) - 1), min_size=1)), draw(st.sampled_from([0.5, 1.2]))
    change(
        files,
        PixelSpacing=lambda place, data: [
            float(step) * (factor if place in places else 1) for step in data.PixelSpacing
        ],
    )


def split(files, draw):
    tag = draw(st.sampled_from(["AcquisitionNumber", "SeriesNumber", "StudyTime", "AcquisitionTime", "Manufacturer"]))
    border = draw(st.integers(1, len(files) - 1))
    values = {"Manufacturer": ("SIEMENS", "TOSHIBA")}.get(tag, ("1", "2") if "Number" in tag else ("101010", "111111"))
    change(files, **{tag: lambda place, _: values[place >= border]})


def change(files, **tags):
    for place, path in enumerate(files):
        data = pydicom.dcmread(path)
        for tag, value in tags.items():
            setattr(data, tag, value(place, data))
        data.save_as(path)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=loose(list(HealthCheck)))
@given(st.data())
def test_a_manipulated_series_is_read_to_the_same_place_or_refused(marked, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("series")
    for path in marked:
        shutil.copy(path, folder)
    ways = [permuted, renumbered, repeated, dropped, shifted, respaced, split]
    for way in data.draw(st.lists(st.sampled_from(ways), min_size=1, max_size=3)):
        way(sorted(folder.iterdir()), data.draw)
    try:
        scan = open_scan(folder)
    except InputError:
        return
    assert misplaced(folder, scan.volume) == []


def test_positions_take_precedence_over_instance_numbers(marked, tmp_path):
    plain = open_scan(copied(marked, tmp_path / "plain")).volume
    numbers = np.random.default_rng(3).permutation(len(marked))
    for maker in ("SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "TOSHIBA"):
        folder = copied(marked, tmp_path / maker)
        change(sorted(folder.iterdir()), Manufacturer=lambda place, _, maker=maker: maker)
        change(sorted(folder.iterdir()), InstanceNumber=lambda place, _: int(numbers[place]))
        assert np.array_equal(open_scan(folder).volume.data, plain.data)


def copied(files, folder):
    folder.mkdir()
    for path in files:
        shutil.copy(path, folder)
    return folder


@pytest.mark.parametrize("rise_mm", [0.0, 0.004, 2.0])
def test_a_rescanned_part_is_a_separate_choice(rise_mm, tmp_path):
    files = write_dicom_series(head(), tmp_path)
    for place, path in enumerate(files[15:]):
        data = pydicom.dcmread(path)
        data.SOPInstanceUID = generate_uid()
        data.AcquisitionNumber, data.InstanceNumber = 2, 31 + place
        data.ImagePositionPatient[2] = float(data.ImagePositionPatient[2]) + rise_mm
        data.PixelData = np.roll(data.pixel_array, 5, 0).tobytes()
        data.save_as(tmp_path / f"again{place}.dcm")
    scan = open_scan(tmp_path)
    assert np.array_equal(scan.volume.reoriented("SPL").data, head().data)
    assert re.search(r"1[45] slices 5.0 mm apart\), acquisition 2", scan.warnings[0])  # a slice of air alone is a copy
    assert open_scan(tmp_path, series="#2").volume.data.shape[2] in (14, 15)


@pytest.mark.parametrize(
    ("tag", "value", "says"),
    [
        ("ImagePositionPatient", None, "ImagePositionPatient is absent"),
        ("ImagePositionPatient", [0, 0, 0], "is the same for all 30"),
        ("ImageOrientationPatient", None, "ImageOrientationPatient is absent"),
        ("PixelSpacing", None, "PixelSpacing is absent"),
        ("SeriesInstanceUID", "each", "SeriesInstanceUID of its own"),
    ],
)
def test_a_refusal_names_the_tag(tag, value, says, tmp_path):
    for place, path in enumerate(write_dicom_series(head(), tmp_path)):
        data = pydicom.dcmread(path)
        if value is None:
            delattr(data, tag)
        else:
            setattr(data, tag, f"1.2.{place + 1}" if value == "each" else value)
        data.save_as(path)
    with pytest.raises(InputError, match=says):
        open_scan(tmp_path)


def test_slices_that_move_within_their_plane_or_change_their_spacing_are_refused(tmp_path):
    for name, tag, values in (
        (
            "moved",
            "ImagePositionPatient",
            lambda data: [float(data.ImagePositionPatient[0]) + 9, *data.ImagePositionPatient[1:]],
        ),
        ("zoomed", "PixelSpacing", lambda data: [2.5, 2.5]),
        ("turned", "ImageOrientationPatient", lambda data: [1, 0, 0, 0, 0.9998477, 0.0174524]),
    ):
        for path in write_dicom_series(head(), tmp_path / name)[10:20]:
            data = pydicom.dcmread(path)
            setattr(data, tag, values(data))
            data.save_as(path)
        with pytest.raises(InputError, match=tag):
            open_scan(tmp_path / name)


def test_two_patients_are_separated_and_can_be_chosen(tmp_path):
    write_dicom_series(head(), tmp_path / "a")
    write_dicom_series(head((20, 96, 80), (7.0, 2.0, 2.0)), tmp_path / "b", tags={"PatientID": "another"})
    with pytest.raises(
        InputError, match=r"one patient, but there are several: #1 .*30 slices.*; #2 .*20 slices"
    ) as error:
        open_scan(tmp_path)
    assert "another" not in str(error.value)
    assert open_scan(tmp_path, series="#2").volume.data.shape[2] == 20


def test_a_named_enhanced_file_is_the_one_read(tmp_path):
    files = write_dicom_series(head(), tmp_path / "slices")
    for name, turn in (("a", 0), ("b", 9)):
        change(files, PixelData=lambda place, data, turn=turn: np.roll(data.pixel_array, turn, 0).tobytes())
        write_enhanced(files, tmp_path / name)
        (tmp_path / name / "enhanced.dcm").rename(tmp_path / f"{name}.dcm")
    a, b = (open_scan(tmp_path / f"{name}.dcm").volume.data for name in "ab")
    assert np.array_equal(np.roll(a, -9, 1), b) or np.array_equal(np.roll(a, 9, 1), b)


def test_rotations_with_separate_numbers_stay_one_stack(tmp_path):
    files = write_dicom_series(head(), tmp_path)
    change(files, AcquisitionNumber=lambda place, _: place // 4 + 1)
    assert [len(stack) for stack in stacks(read_headers(files))] == [30]
