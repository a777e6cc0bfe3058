from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import RLELossless

from adn.errors import InputError, OutputError
from adn.io import dicom, open_scan
from adn.io.series import read_headers
from adn.space.volume import Volume
from phantoms import PATIENT_ID, PATIENT_NAME, ball, centroid_mm, head, write_dicom_series, write_enhanced

UNEVEN = [4.0] * 16 + [1.2] + [7.0] * 16


def check_ball(scan) -> None:
    """The dark ball lies where it lay in the patient, whatever the scanner did."""
    inside = scan.volume.data[ball(scan.volume.grid)]
    assert np.median(inside) == pytest.approx(6.0, abs=3.0)
    dark = (np.abs(scan.volume.data - 6) < 13) & (scan.volume.data > -50)
    assert np.linalg.norm(scan.volume.grid.spacing_mm) < 8
    assert dark[ball(scan.volume.grid)].mean() > 0.7


def test_a_plain_series_is_read(tmp_path):
    write_dicom_series(head(), tmp_path)
    scan = open_scan(tmp_path)
    assert scan.volume.grid.axes == "LAS"
    assert scan.volume.data.dtype == np.float32
    assert np.array_equal(scan.volume.reoriented("SPL").data, head().data)
    assert scan.volume.reoriented("SPL").grid.same_as(head().grid)
    assert (scan.source, scan.padding, scan.warnings) == ("dicom", None, ())


@pytest.mark.parametrize(("signed", "slope", "intercept"), [(True, 1, 0), (False, 1, -1024), (False, 0.5, -1024)])
def test_rescale_slope_and_intercept_are_applied(signed, slope, intercept, tmp_path):
    write_dicom_series(head(), tmp_path, signed=signed, slope=slope, intercept=intercept)
    assert np.array_equal(open_scan(tmp_path).volume.reoriented("SPL").data, head().data)


@pytest.mark.parametrize("gaps", [None, UNEVEN])
@pytest.mark.parametrize("tilt_deg", [-18.0, -6.0, 6.0, 18.0])
def test_correcting_tilt_and_gaps_does_not_move_the_patient(tilt_deg, gaps, tmp_path):
    write_dicom_series(head(), tmp_path, tilt_deg=tilt_deg, gaps=gaps)
    scan = open_scan(tmp_path)
    check_ball(scan)
    seen, true = (v.with_data(v.data > -500) for v in (scan.volume, head()))
    assert np.linalg.norm(centroid_mm(seen) - centroid_mm(true)) < 0.5
    assert seen.data.sum() * seen.grid.voxel_ml == pytest.approx(true.data.sum() * true.grid.voxel_ml, rel=0.02)
    assert f"tilt of {abs(tilt_deg):.1f} degrees" in scan.remarks[0].sentence
    assert ("uneven" in " ".join(scan.warnings)) == (gaps is not None)
    columns = scan.volume.grid.affine[:3, :3] / np.array(scan.volume.grid.spacing_mm)
    assert np.allclose(columns.T @ columns, np.eye(3), atol=1e-4)  # not sheared any more


@pytest.mark.parametrize("tilt_deg", [0.55, -0.75])
def test_a_tilt_too_small_to_correct_is_reported(tilt_deg, tmp_path):
    write_dicom_series(head(), tmp_path, tilt_deg=tilt_deg)
    scan = open_scan(tmp_path)
    assert "left as it is" in scan.warnings[0]
    seen, true = (v.with_data(v.data > -500) for v in (scan.volume, head()))
    assert np.linalg.norm(centroid_mm(seen) - centroid_mm(true)) < 1.5


@pytest.mark.parametrize("tilt_deg", [-18.0, 18.0])
def test_a_mask_survives_tilted_dicom(tilt_deg, tmp_path):
    mask = head().with_data(ball(head().grid).astype(np.float32) * 1000, "label")
    write_dicom_series(mask, tmp_path, tilt_deg=tilt_deg, outside_hu=0.0)
    volume, _, _ = dicom.load(tmp_path)
    found = volume.with_data(volume.data > 500)
    truth = mask.with_data(mask.data > 500)
    assert found.data.sum() * found.grid.voxel_ml == pytest.approx(truth.data.sum() * truth.grid.voxel_ml, rel=0.02)
    assert np.linalg.norm(centroid_mm(found) - centroid_mm(truth)) < 0.5


@pytest.mark.parametrize("tilt_deg", [-15.0, 0.0, 15.0])
def test_padding_is_marked_and_filled(tilt_deg, tmp_path):
    write_dicom_series(head(), tmp_path, tilt_deg=tilt_deg, padding_hu=-2000.0)
    scan = open_scan(tmp_path)
    assert scan.padding is not None
    assert scan.padding.data.dtype == np.uint8
    assert scan.volume.data.min() >= -1024
    assert np.all(scan.volume.data[scan.padding.data > 0] == -1024)
    corner = scan.volume.data[0, 0]
    assert np.all(corner == -1024)
    assert not scan.padding.data[ball(scan.volume.grid)].any()


def test_tilt_correction_fills_are_padding_even_where_they_look_like_air(tmp_path):
    write_dicom_series(head(), tmp_path, tilt_deg=15.0)
    scan = open_scan(tmp_path)
    assert scan.padding is not None
    rows = scan.padding.data.any(axis=0) & ~scan.padding.data.all(axis=0)
    assert not rows.any()  # whole rows, as the shear adds them
    acquired = 1 - scan.padding.data[0].mean()
    assert acquired == pytest.approx(100 / scan.volume.data.shape[1], abs=0.02)


def test_a_padding_value_within_tissue_is_ignored(tmp_path):
    write_dicom_series(head(), tmp_path, tags={"PixelPaddingValue": 32})
    assert open_scan(tmp_path).padding is None


def test_a_missing_slice_is_resampled_and_reported(tmp_path):
    write_dicom_series(head(), tmp_path)[12].unlink()
    scan = open_scan(tmp_path)
    assert "uneven (5.0 to 10.0 mm)" in scan.warnings[0]
    check_ball(scan)


def test_slices_that_drift_sideways_are_refused(tmp_path):
    for i, path in enumerate(write_dicom_series(head(), tmp_path)):
        data = pydicom.dcmread(path)
        data.ImagePositionPatient[0] = float(data.ImagePositionPatient[0]) + i * 1.0
        data.save_as(path)
    with pytest.raises(InputError, match="could not be corrected"):
        open_scan(tmp_path)


def two_series(folder):
    few = {"SeriesNumber": 3, "SeriesDescription": "Brain thick"}
    write_dicom_series(head((20, 96, 80), (7.0, 2.0, 2.0)), folder / "b", tags=few)
    write_dicom_series(head(), folder / "a", tags={"SeriesNumber": 4, "SeriesDescription": "Brain routine"})


def test_the_series_with_most_slices_is_read_and_reported(tmp_path):
    two_series(tmp_path)
    scan = open_scan(tmp_path)
    assert scan.volume.data.shape[2] == 30
    assert "series 4 'Brain routine' (axial, 30 slices 5.0 mm apart)" in scan.warnings[0]
    assert "series 3 'Brain thick'" in scan.warnings[0]


@pytest.mark.parametrize("wanted", ["3", "thick", "BRAIN THICK", "uid"])
def test_a_series_is_chosen_by_number_description_or_uid(wanted, tmp_path):
    two_series(tmp_path)
    if wanted == "uid":
        wanted = str(pydicom.dcmread(tmp_path / "b" / "0001.dcm").SeriesInstanceUID)
    assert open_scan(tmp_path, series=wanted).volume.data.shape[2] == 20


def test_an_unknown_series_lists_the_available_ones(tmp_path):
    two_series(tmp_path)
    with pytest.raises(InputError, match=r"no series '9'.*series 3 'Brain thick'.*"):
        open_scan(tmp_path, series="9")


def test_a_single_file_stands_for_its_series(tmp_path):
    two_series(tmp_path)
    for path in (tmp_path / "a").iterdir():
        path.rename(tmp_path / "b" / f"x{path.name}")
    assert open_scan(tmp_path / "b" / "0002.dcm").volume.data.shape[2] == 20
    assert open_scan(tmp_path / "b" / "x0002.dcm").volume.data.shape[2] == 30


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
        {"BodyPartExamined": "CHEST", "SeriesDescription": "Thorax"},
        {"ContrastBolusAgent": "Iomeron"},
        {"ConvolutionKernel": "BONEPLUS"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"Modality": "MR"},
    ],
)
def test_series_other_than_the_plain_head_ct_are_skipped(tags, tmp_path):
    write_dicom_series(head((60, 96, 80), (2.6, 2.0, 2.0)), tmp_path, prefix="many", tags=tags)
    write_dicom_series(head(), tmp_path, prefix="few")
    assert open_scan(tmp_path).volume.data.shape[2] == 30


def test_copies_of_the_same_images_count_once(tmp_path):
    for path in write_dicom_series(head(), tmp_path / "a"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert open_scan(tmp_path).volume.data.shape[2] == 30


def test_order_of_files_does_not_matter(tmp_path):
    for path, i in zip(write_dicom_series(head(), tmp_path), np.random.default_rng(0).permutation(30), strict=True):
        path.rename(tmp_path / f"IM{i:03d}")
    assert np.array_equal(open_scan(tmp_path).volume.reoriented("SPL").data, head().data)


def test_compressed_pixels_are_read(tmp_path):
    for path in write_dicom_series(head(), tmp_path):
        data = pydicom.dcmread(path)
        data.compress(RLELossless)
        data.save_as(path)
    assert np.array_equal(open_scan(tmp_path).volume.reoriented("SPL").data, head().data)


def test_files_without_preamble_are_read(tmp_path):
    for path in write_dicom_series(head(), tmp_path):
        data = pydicom.dcmread(path)
        data.preamble, data.file_meta = None, FileMetaDataset()
        pydicom.dcmwrite(path.with_suffix(""), data, implicit_vr=True, little_endian=True)
        path.unlink()
    assert np.array_equal(open_scan(tmp_path).volume.reoriented("SPL").data, head().data)
    assert open_scan(tmp_path / "0003").volume.data.shape[2] == 30


@pytest.mark.parametrize("kept", [1, 4])
def test_a_partial_head_is_read(kept, tmp_path):
    files = write_dicom_series(head(), tmp_path)
    for path in files[:15] + files[15 + kept :]:
        path.unlink()
    part = open_scan(tmp_path).volume.reoriented("SPL")
    assert np.array_equal(part.data, head().data[15 : 15 + kept])
    assert part.grid.spacing_mm[0] == pytest.approx(head().grid.spacing_mm[0])


def test_contrast_is_a_warning(tmp_path):
    write_dicom_series(head(), tmp_path, tags={"ContrastBolusAgent": "Iomeron 400"})
    warnings = " ".join(open_scan(tmp_path).warnings)
    assert "records a contrast agent" in warnings
    assert "Iomeron" not in warnings


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(share, tmp_path):
    path = write_dicom_series(head(), tmp_path)[7]
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"0008\.dcm.*(truncated|damaged)"):
        open_scan(tmp_path)


def test_an_empty_dcm_file_is_refused(tmp_path):
    write_dicom_series(head(), tmp_path)[7].write_bytes(b"")
    with pytest.raises(InputError, match=r"0008\.dcm.*empty or damaged"):
        open_scan(tmp_path)


@pytest.mark.parametrize(
    ("tag", "value"),
    [("Columns", None), ("Rows", 0), ("BitsAllocated", 1), ("BitsAllocated", 12), ("PixelRepresentation", 3)],
)
def test_impossible_pixel_formats_are_refused_by_name(tag, value, tmp_path):
    for file in write_dicom_series(head(), tmp_path):
        data = pydicom.dcmread(file)
        setattr(data, tag, value)
        data.save_as(file)
    with pytest.raises(InputError, match=tag):
        open_scan(tmp_path)


@pytest.mark.parametrize("change", ["syntax", "group 2", "unknown kind of value"])
def test_headers_that_pydicom_cannot_handle_are_refused_in_a_sentence(change, tmp_path):
    file = write_dicom_series(head(), tmp_path)[3]
    content = file.read_bytes()
    data = pydicom.dcmread(file)
    if change == "syntax":
        content = content.replace(b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.x")
    elif change == "group 2":
        content = content.replace(b"\x28\x00\x10\x00US", b"\x02\x00\xee\xeeUS", 1).replace(
            b"\x28\x00\x02\x00US", b"\x02\x00\xee\xeeUS", 1
        )
    else:
        kind = f"{data['PatientName'].VR}".encode()
        content = content.replace(b"\x10\x00\x10\x00" + kind, b"\x10\x00\x10\x00BS", 1)
    assert content != file.read_bytes()
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"0004\.dcm.*damaged"):
        open_scan(tmp_path)


def test_a_trailing_byte_after_the_pixels_is_ignored(tmp_path):
    file = write_dicom_series(head(), tmp_path)[3]
    data = pydicom.dcmread(file)
    data.PixelData = bytes(data.PixelData) + b"\0\0\0"
    data.save_as(file)
    assert np.array_equal(open_scan(tmp_path).volume.reoriented("SPL").data, head().data)


@pytest.mark.parametrize("tag", ["SeriesDescription", "ProtocolName"])
def test_a_slice_of_another_description_is_not_interpolated_over(tag, tmp_path):
    """dcm2niix leaves it out and fills its place from its neighbours."""
    files = write_dicom_series(head(), tmp_path)
    for file in files:
        data = pydicom.dcmread(file)
        setattr(data, tag, "head" if file != files[12] else "MPR 3D")
        data.save_as(file)
    scan = open_scan(tmp_path)
    assert np.array_equal(scan.volume.reoriented("SPL").data, head().data)
    assert scan.warnings == ()


def test_slices_that_dcm2niix_left_out_are_noticed(tmp_path, monkeypatch):
    write_dicom_series(head(), tmp_path)
    real = dicom.subprocess.run

    def run(*given, **settings):
        ended = real(*given, **settings)
        ended.stdout = ended.stdout.replace(b"Convert 30 DICOM", b"Convert 29 DICOM")
        return ended

    monkeypatch.setattr(dicom.subprocess, "run", run)
    with pytest.raises(InputError, match="only 29 of 30 slices together"):
        open_scan(tmp_path)


def test_several_series_without_columns_are_refused_before_their_pixels_are_compared(tmp_path):
    for number, name in enumerate(("a", "b")):
        for file in write_dicom_series(head(), tmp_path / name, tags={"SeriesNumber": number}):
            data = pydicom.dcmread(file)
            del data.Columns
            data.save_as(file)
    with pytest.raises(InputError, match="Columns"):
        open_scan(tmp_path)


def test_a_full_temporary_folder_is_named(tmp_path, monkeypatch):
    write_dicom_series(head(), tmp_path)
    monkeypatch.setattr(dicom.nifti, "load", Mock(side_effect=InputError("truncated")))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(OutputError, match=r"temporary folder .*TMPDIR.*disk is full"):
        open_scan(tmp_path)


def test_resampling_by_dcm2niix_is_reported_even_if_heights_are_even(tmp_path, monkeypatch):
    """It takes a slice that moved within its plane, by less than half a pixel, for one farther away."""
    write_dicom_series(head(), tmp_path)
    real = dicom._converted

    def resampled(series, where):
        volume, _, planes = real(series, where)
        return volume, "scan_Eq_1.nii", planes

    monkeypatch.setattr(dicom, "_converted", resampled)
    (remark,) = open_scan(tmp_path).remarks
    assert (remark.kind, remark.values["least_mm"], remark.values["most_mm"]) == ("gaps_uneven", 5.0, 5.0)


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="found no images"):
        open_scan(tmp_path)


@pytest.mark.parametrize("tags", [{"Modality": "MR"}, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}])
def test_a_folder_without_a_ct_series_is_refused(tags, tmp_path):
    write_dicom_series(head(), tmp_path, tags=tags)
    with pytest.raises(InputError, match=r"modality MR|only localizers"):
        open_scan(tmp_path)


def test_messages_contain_nothing_personal(tmp_path):
    two_series(tmp_path)
    tags = {"SeriesNumber": 5, "SeriesDescription": f"{PATIENT_NAME.split('^')[0]} 2020-02-29 {PATIENT_ID}"}
    write_dicom_series(head(), tmp_path / "c", tilt_deg=12, gaps=UNEVEN, tags=tags)
    scan = open_scan(tmp_path)
    with pytest.raises(InputError) as caught:
        open_scan(tmp_path, series="77")
    uid = str(pydicom.dcmread(tmp_path / "b" / "0001.dcm").SeriesInstanceUID)
    text = " ".join(scan.warnings) + str(caught.value).replace(str(tmp_path), "")
    for secret in ("Doe", "Jane", PATIENT_ID, "1950", "2020", uid):
        assert secret not in text


@pytest.mark.parametrize("said", ["ID-4711", "Head id4711", "DOE", "jane-doe", "DoeJane 5.0", "Head_Jane", "19501224"])
def test_a_description_with_a_name_an_id_or_a_date_is_dropped(said, tmp_path):
    assert read_headers(write_dicom_series(head(), tmp_path, tags={"SeriesDescription": said})[:1])[0].description == ""


def test_the_dicom_writer_tilts_slices_and_moves_the_table_straight(tmp_path):
    volume: Volume = head()
    files = write_dicom_series(volume, tmp_path, tilt_deg=20.0)
    first, last = (pydicom.dcmread(path) for path in (files[0], files[-1]))
    moved = np.subtract(last.ImagePositionPatient, first.ImagePositionPatient).astype(float)
    assert moved[:2] == pytest.approx([0, 0])  # the table moves along z, whatever the gantry does
    assert moved[2] == pytest.approx(5.0 * (len(files) - 1), abs=1e-3)
    assert float(first.ImageOrientationPatient[5]) == pytest.approx(-np.sin(np.deg2rad(20)), abs=1e-6)


def test_enhanced_ct_is_read_and_refused_if_dcm2niix_would_make_it_too_tall(tmp_path):
    write_enhanced(write_dicom_series(head(), tmp_path / "a"), tmp_path / "flat")
    assert np.array_equal(open_scan(tmp_path / "flat").volume.reoriented("SPL").data, head().data)
    write_enhanced(write_dicom_series(head(), tmp_path / "b", tilt_deg=12), tmp_path / "tilted")
    with pytest.raises(InputError, match="geometry would be wrong"):
        open_scan(tmp_path / "tilted")
