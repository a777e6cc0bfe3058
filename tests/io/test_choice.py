"""Of several series the non-contrast head CT is taken and named; the others are listed and can be told apart."""

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from adn.io import open_scan
from phantoms import head, with_vessels, write_dicom_series, write_enhanced

THIN = (60, 96, 80), (2.5, 2.0, 2.0)


def test_an_untagged_angiography_is_not_mistaken_for_the_plain_scan(tmp_path):
    write_dicom_series(head(), tmp_path / "a", tags={"SeriesNumber": 2, "SeriesDescription": "Head"})
    write_dicom_series(
        with_vessels(300.0, *THIN), tmp_path / "b", tags={"SeriesNumber": 3, "SeriesDescription": "Head 2.5"}
    )
    scan = open_scan(tmp_path)
    assert scan.volume.data.shape[2] == 30
    assert scan.warnings == (
        "Several CT series were found; series 2 'Head' (axial, 30 slices 5.0 mm apart) was read. Others (see "
        "`series`): #2 series 3 'Head 2.5' (axial, 60 slices 2.5 mm apart), vessels as bright as after contrast.",
    )
    chosen = open_scan(tmp_path, series="#2")
    assert chosen.volume.data.shape[2] == 60
    assert [remark.kind for remark in chosen.remarks] == ["contrast_seen"]


def test_perfusion_phases_are_not_mistaken_for_the_plain_scan(tmp_path):
    write_dicom_series(head((20, 96, 80), (7.0, 2.0, 2.0)), tmp_path / "a", tags={"SeriesNumber": 2})
    uid = generate_uid()
    for phase in range(5):
        tags = {"SeriesInstanceUID": uid, "SeriesNumber": 3, "AcquisitionNumber": phase + 1}
        moved = head()
        moved = moved.with_data(moved.data + 3.0 * phase * (moved.data > 0))
        for number, path in enumerate(write_dicom_series(moved, tmp_path / "b", prefix=f"{phase}-", tags=tags)):
            data = pydicom.dcmread(path)
            data.InstanceNumber = phase * 30 + number + 1
            data.save_as(path)
    scan = open_scan(tmp_path)
    assert scan.volume.data.shape[2] == 20
    (remark,) = scan.remarks
    others = str(remark.values["others"])
    assert str(remark.values["read"]).startswith("series 2")
    assert others.count("series 3") == 5
    assert "acquisition 5" in others


def test_a_named_file_selects_its_own_part(tmp_path):
    files = write_dicom_series(head(), tmp_path)
    for place, path in enumerate(files[15:]):
        data = pydicom.dcmread(path)
        data.SOPInstanceUID = generate_uid()
        data.AcquisitionNumber, data.InstanceNumber = 2, 31 + place
        data.PixelData = np.roll(data.pixel_array, 5, 0).tobytes()
        data.save_as(tmp_path / f"again{place}.dcm")
    assert open_scan(files[3]).volume.data.shape[2] == 30
    again = open_scan(tmp_path / "again3.dcm")
    assert again.volume.data.shape[2] in (14, 15)
    assert np.array_equal(again.volume.data, open_scan(tmp_path, series="#2").volume.data)


def test_similar_enhanced_files_are_numbered_by_their_image(tmp_path):
    write_enhanced(write_dicom_series(head(), tmp_path / "slices"), tmp_path / "in")
    for number, name in enumerate("ab", start=1):
        data = pydicom.dcmread(tmp_path / "in" / "enhanced.dcm")
        data.InstanceNumber = number
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.PixelData = np.roll(data.pixel_array, 9 * number, 1).tobytes()
        data.save_as(tmp_path / "in" / f"{name}.dcm")
    (tmp_path / "in" / "enhanced.dcm").unlink()
    (warning,) = (words for words in open_scan(tmp_path / "in").warnings if words.startswith("Several"))
    assert ", image 1 was read" in warning
    assert "#2 " in warning
    assert ", image 2." in warning


@pytest.mark.parametrize("number", ["#1", "#2"])
def test_list_numbers_count_ct_series_only(number, tmp_path):
    write_dicom_series(head(), tmp_path / "a", tags={"SeriesNumber": 2})
    write_dicom_series(head((20, 96, 80), (7.0, 2.0, 2.0)), tmp_path / "b", tags={"SeriesNumber": 3})
    write_dicom_series(head(*THIN), tmp_path / "c", tags={"SeriesNumber": 1, "Modality": "MR"})
    assert open_scan(tmp_path, series=number).volume.data.shape[2] == {"#1": 30, "#2": 20}[number]
