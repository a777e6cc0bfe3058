"""The SEG and SR as an independent reader (pydicom alone) finds them."""

import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from adn.answers import Answers, Aspects, Blood, MassEffect, MassLike, OldInfarct, VolumeLimit
from adn.errors import InputError
from adn.io import open_series
from adn.io.slices import thickness_mm
from adn.report import save_prediction, write_dicom_seg
from adn.report.dicom_seg import SEG_NAME, SR_NAME, check_dicom_seg, mask_on_slices
from adn.space.geometry import RAS_FROM_LPS
from fake_prediction import make_prediction
from given import loose
from phantoms import BALL_RADIUS_MM, PATIENT_ID, PATIENT_NAME, head, write_dicom_series, write_enhanced
from report.acquired import TAGS, UNEVEN, distance_mm, predict_ball

pytestmark = pytest.mark.usefixtures("taken_as_upright")

pytest.importorskip("highdicom")
BALL_ML = 4 / 3 * np.pi * BALL_RADIUS_MM**3 / 1000


def frames(seg, positions):
    """(slices, rows, columns) from the SEG's own tags: each frame at the slice whose place it states."""
    result = np.zeros((len(positions), seg.Rows, seg.Columns), np.uint8)
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for item, frame in zip(seg.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        place = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
        distances = np.linalg.norm(positions - place, axis=1)
        assert distances.min() < 1e-4
        result[distances.argmin()] = frame
    return result


def points_ras(seg, positions):
    """Where the SEG's tags place each voxel of those slices, RAS mm."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    rows, columns = np.meshgrid(np.arange(seg.Rows), np.arange(seg.Columns), indexing="ij")
    across = rows[..., None] * row_mm * orientation[3:] + columns[..., None] * column_mm * orientation[:3]
    return (positions[:, None, None] + across) @ RAS_FROM_LPS[:3, :3]


def read(folder):
    return dcmread(folder / SEG_NAME), dcmread(folder / SR_NAME)


def concepts(data):
    """Every content item of an SR as (name, value), whatever its depth."""
    for item in data.get("ContentSequence", []):
        name = item.ConceptNameCodeSequence[0].CodeMeaning
        if "MeasuredValueSequence" in item:
            measured = item.MeasuredValueSequence[0]
            yield name, (float(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue)
        elif "ConceptCodeSequence" in item:
            code = item.ConceptCodeSequence[0]
            yield name, (code.CodeValue, code.CodingSchemeDesignator)
        else:
            yield name, item.get("TextValue") or item.get("UID") or item.get("ReferencedSOPSequence")
        yield from concepts(item)


@pytest.mark.parametrize("gaps", [None, [5.0, 4.94] * 14])
def test_on_unresampled_slices_the_seg_is_the_mask_itself(gaps, tmp_path):
    write_dicom_series(head(), tmp_path / "in", gaps=gaps, tags=TAGS)
    prediction = predict_ball(tmp_path / "in")
    seg, _ = read(write_dicom_seg(prediction, tmp_path / "in", tmp_path)[0].parent)
    with open_series(tmp_path / "in") as series:
        found = frames(seg, series.positions)
    assert np.array_equal(found, prediction.infarct.reoriented("SPL").data)
    assert seg.NumberOfFrames == int(found.any(axis=(1, 2)).sum())  # slices without infarct are left out


@pytest.mark.parametrize(("tilt_deg", "gaps"), [(18.0, UNEVEN), (-18.0, None)])
def test_on_tilted_and_uneven_slices_the_seg_marks_the_same_place_in_the_patient(tilt_deg, gaps, tmp_path):
    files = write_dicom_series(head(), tmp_path / "in", tilt_deg=tilt_deg, gaps=gaps, tags=TAGS)
    prediction = predict_ball(tmp_path / "in")
    write_dicom_seg(prediction, tmp_path / "in", tmp_path)
    seg, _ = read(tmp_path)
    with open_series(tmp_path / "in") as series:
        found = frames(seg, series.positions)
        assert np.array_equal(found, mask_on_slices(prediction, series))
        volume_ml = (found.sum(axis=(1, 2)) * thickness_mm(series)).sum() * np.prod(series.first.spacing_mm) / 1000
        away_mm = distance_mm(points_ras(seg, series.positions))
    assert np.abs(away_mm[(away_mm <= 0) != (found > 0)]).max(initial=0) < 0.8  # half a pixel is 1 mm
    assert volume_ml == pytest.approx(BALL_ML, rel=0.02)
    source = [dcmread(file, stop_before_pixels=True) for file in files]
    places = {one.SOPInstanceUID: np.array(one.ImagePositionPatient, float) for one in source}
    for item in seg.PerFrameFunctionalGroupsSequence:  # each frame names the slice it lies on
        image = item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert np.allclose(places[image], np.array(item.PlanePositionSequence[0].ImagePositionPatient, float))


def test_seg_and_sr_name_the_finding_the_software_and_research_use(tmp_path):
    source = dcmread(write_dicom_series(head(), tmp_path / "in", tags=TAGS)[0])
    prediction = predict_ball(tmp_path / "in")
    seg, report = read(write_dicom_seg(prediction, tmp_path / "in", tmp_path)[0].parent)
    segment = seg.SegmentSequence[0]
    assert (seg.SegmentationType, segment.SegmentAlgorithmType, segment.SegmentLabel) == (
        "BINARY",
        "AUTOMATIC",
        "Infarct",
    )
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("55641003", "SCT")
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("adn", "0.1.0")
    for data in (seg, report):
        assert "research use only" in data.SeriesDescription
        for keyword in ("StudyInstanceUID", "StudyDate", "PatientName", "PatientID", "PatientBirthDate", *TAGS):
            if keyword in data or keyword != "FrameOfReferenceUID":
                assert data[keyword].value == source[keyword].value
        assert data.SeriesInstanceUID != source.SeriesInstanceUID
    said = list(concepts(report))
    assert ("Volume", (round(prediction.measurements.volume_ml, 3), "ml")) in said
    assert ("Laterality", ("7771000", "SCT")) in said  # left
    assert ("Finding", ("55641003", "SCT")) in said
    assert loose(dict(said)["Referenced Segment"][0]).ReferencedSOPInstanceUID == seg.SOPInstanceUID
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    template = report.ContentTemplateSequence[0]
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "1500")


def test_the_sr_holds_exactly_the_answered_questions(tmp_path):
    write_dicom_series(head(), tmp_path / "in", tags=TAGS)
    prediction = predict_ball(tmp_path / "in")
    shifted = MassEffect(None, -3.4, (10.0, 10.0), (3.0, 3.0), "none", "none")
    answers = Answers(aspects=Aspects(7, 10, ()), mass_effect=shifted, blood=Blood(False, 0.0, ()))
    answers = replace(answers, volume_limit=VolumeLimit(50.0, "below"), old_infarct=OldInfarct(3.0, True))
    answers = replace(answers, mass_like=MassLike(11.2, 22.0, 6.0, looks_so=True))
    write_dicom_seg(replace(prediction, answers=answers), tmp_path / "in", tmp_path)
    said = list(concepts(read(tmp_path)[1]))
    assert [value for name, value in said if name == "ASPECTS"] == [(7.0, "1"), (10.0, "1")]
    assert ("Midline shift at pineal level, to the left", (-3.4, "mm")) in said
    assert ("Infarct volume against 50 mL", ("BELOW-LIMIT", "99ADN")) in said
    assert ("Doubt of an infarct", ("BRIGHT-IN-DARK", "99ADN")) in said
    assert ("Volume that looks like an old infarct", (3.0, "ml")) in said
    assert ("Volume that may be blood", (0.0, "ml")) in said
    assert not {"Net water uptake", "Midline shift at septum, to the left"} & {name for name, _ in said}


def test_each_frame_names_its_segment_as_viewers_expect(tmp_path):
    write_dicom_series(head(), tmp_path / "in")
    seg, _ = read(write_dicom_seg(predict_ball(tmp_path / "in"), tmp_path / "in", tmp_path)[0].parent)
    frames_of = seg.PerFrameFunctionalGroupsSequence
    named = [frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber for frame in frames_of]
    assert named == [1] * seg.NumberOfFrames
    assert "SegmentIdentificationSequence" not in seg.SharedFunctionalGroupsSequence[0]


def test_without_infarct_there_is_an_empty_seg_and_a_volume_of_0_on_no_side(tmp_path):
    write_dicom_series(head(), tmp_path / "in", tags=TAGS)
    write_dicom_seg(predict_ball(tmp_path / "in", empty=True), tmp_path / "in", tmp_path)
    seg, report = read(tmp_path)
    assert not seg.pixel_array.any()
    said = dict(concepts(report))
    assert said["Volume"] == (0.0, "ml")
    assert "Laterality" not in said


def test_infarct_on_both_sides_gives_each_sides_volume_and_a_bright_lesion_is_not_called_infarct(tmp_path):
    write_dicom_series(head(), tmp_path / "in", tags=TAGS)
    prediction = predict_ball(tmp_path / "in")
    found = replace(prediction.measurements, volume_ml=30.0, side="both", left_ml=20.0, right_ml=10.0)
    write_dicom_seg(replace(prediction, measurements=found, polarity="bright"), tmp_path / "in", tmp_path)
    seg, report = read(tmp_path)
    said = [item for item in concepts(report) if item[0] in ("Volume", "Laterality")]
    both, left, right = (("Laterality", (code, "SCT")) for code in ("51440002", "7771000", "24028007"))
    whole, left_ml, right_ml = (("Volume", (ml, "ml")) for ml in (30.0, 20.0, 10.0))
    assert said == [both, whole, left_ml, left, right_ml, right]
    assert seg.SegmentSequence[0].SegmentLabel == "Lesion"
    assert "Infarct" not in f"{seg} {report}"


@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO 2022 IR 87"])
def test_unusual_character_sets_and_missing_tags_are_handled(charset, tmp_path):
    name = "Müller^Jürgen" if charset == "ISO_IR 192" else "Yamada^Tarou=山田^太郎"
    files = write_dicom_series(head(), tmp_path / "in", tags={"StudyDate": "spring", "PatientSex": "unknown"})
    for file in files:  # no frame of reference, no birth date
        data = dcmread(file)
        data.SpecificCharacterSet = charset if charset == "ISO_IR 192" else ["", charset]
        data.PatientName = name
        del data.PatientBirthDate
        data.save_as(file)
    write_dicom_seg(predict_ball(tmp_path / "in"), tmp_path / "in", tmp_path)
    for data in read(tmp_path):
        assert str(data.PatientName) == name
        assert (data.PatientSex, data.StudyDate, data.PatientBirthDate) == ("", "", "")
        assert data.PatientID == PATIENT_ID


def test_a_zip_with_the_requested_series(tmp_path):
    few = {"SeriesNumber": 3, "StudyInstanceUID": generate_uid()}
    files = write_dicom_series(head((20, 96, 80), (7.0, 2.0, 2.0)), tmp_path / "b", prefix="few", tags=few)
    files += write_dicom_series(head(), tmp_path / "a", prefix="many", tags={"SeriesNumber": 4})
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for file in files:
            archive.write(file, file.name)
    prediction = predict_ball(tmp_path / "both.zip", series="3")
    write_dicom_seg(prediction, tmp_path / "both.zip", tmp_path, series="3")
    assert read(tmp_path)[0].StudyInstanceUID == few["StudyInstanceUID"]


def test_one_multi_frame_file(tmp_path):
    write_enhanced(
        write_dicom_series(head(), tmp_path / "slices", tags=TAGS)[::-1], tmp_path / "in"
    )  # stored downwards
    prediction = predict_ball(tmp_path / "in")
    write_dicom_seg(prediction, tmp_path / "in", tmp_path)
    with open_series(tmp_path / "in") as series:
        found = frames(read(tmp_path)[0], series.positions)
    assert np.array_equal(found, prediction.infarct.reoriented("SPL").data)


def test_an_impossible_seg_is_explained_and_nothing_is_written(tmp_path):
    write_dicom_series(head(), tmp_path / "in", tags=TAGS)
    write_dicom_series(head(centre_mm=(3.0, -7.0, 300.0)), tmp_path / "other", tags=TAGS)
    with pytest.raises(InputError, match="needs the scan as DICOM"):
        check_dicom_seg([tmp_path / "in", "scan.nii.gz"])
    with pytest.raises(InputError, match="needs the scan as DICOM"):
        write_dicom_seg(make_prediction(), tmp_path / "in", tmp_path)
    prediction = predict_ball(tmp_path / "in")
    with pytest.raises(InputError, match="not the one that the prediction was made from"):
        write_dicom_seg(prediction, tmp_path / "other", tmp_path)
    other = make_prediction(source="dicom")
    with pytest.raises(InputError, match="not the one"):  # in a result folder: all or nothing
        save_prediction(other, tmp_path / "out", also=lambda folder: write_dicom_seg(other, tmp_path / "in", folder))
    assert sorted(path.name for path in tmp_path.rglob("*") if path.suffix != ".dcm") == ["in", "other", "out"]


def test_an_error_of_the_library_never_quotes_the_patient(tmp_path, monkeypatch):
    write_dicom_series(head(), tmp_path / "in", tags=TAGS)

    def fail(*_):
        raise ValueError(f"'{PATIENT_NAME}' is no good")

    monkeypatch.setattr("adn.report.dicom_objects.build", fail)
    with pytest.raises(InputError, match="no DICOM SEG could be made") as caught:
        write_dicom_seg(predict_ball(tmp_path / "in"), tmp_path / "in", tmp_path)
    assert PATIENT_NAME not in str(caught.value)
    assert caught.value.__suppress_context__
    assert not (tmp_path / SEG_NAME).exists()


@pytest.mark.parametrize("tool", ["dciodvfy", "dcmdump", "dsrdump"])
def test_independent_tools_find_nothing_wrong(tool, tmp_path):
    program = shutil.which(tool)
    if program is None:
        pytest.skip(f"{tool} is not installed (Debian: dicom3tools, dcmtk)")
    write_dicom_series(head(), tmp_path / "in", tilt_deg=12, gaps=UNEVEN, tags=TAGS)
    files = write_dicom_seg(predict_ball(tmp_path / "in"), tmp_path / "in", tmp_path)
    for file in files[1:] if tool == "dsrdump" else files:
        result = subprocess.run([program, str(file)], capture_output=True, text=True)
        assert result.returncode == 0
        assert "Error" not in result.stdout + result.stderr


HEADS = Path(__file__).parents[2] / ".." / "shared" / "data" / "head_ct"


@pytest.mark.real
@pytest.mark.skipif(not HEADS.is_dir(), reason="../shared/data is absent")
@pytest.mark.parametrize(("name", "slices"), [("ge_hispeed_tilt18", 28), ("aisd_0091454", 14)])
def test_real_series(name, slices, tmp_path):
    prediction = predict_ball(HEADS / name)
    write_dicom_seg(prediction, HEADS / name, tmp_path)
    with open_series(HEADS / name) as series:
        found = frames(read(tmp_path)[0], series.positions)
        assert len(found) == slices
        volume_ml = (found.sum(axis=(1, 2)) * thickness_mm(series)).sum() * np.prod(series.first.spacing_mm) / 1000
    assert volume_ml == pytest.approx(prediction.measurements.volume_ml, rel=0.02)


def test_key_images_join_the_study_and_show_the_slices_with_most_infarct(tmp_path):
    write_dicom_series(head(), tmp_path / "in", tags=TAGS)
    prediction = predict_ball(tmp_path / "in")
    scan = prediction.scan.volume
    brain = scan.with_data((scan.data > 0).astype(np.uint8), "label")
    prediction = replace(prediction, brain_mask=brain, relative_hypodensity=scan.with_data(0 * scan.data, "1"))
    write_dicom_seg(prediction, tmp_path / "in", tmp_path, pictures=True)
    source = dcmread(next(path for path in (tmp_path / "in").iterdir()))
    found = [dcmread(path) for path in sorted(tmp_path.glob("infarct_key_*.dcm"))]
    assert len(found) == 4
    assert len({one.SeriesInstanceUID for one in found}) == 1
    assert len({one.SOPInstanceUID for one in found}) == 4
    for number, one in enumerate(found, start=1):
        assert one.SOPClassUID.name == "Secondary Capture Image Storage"
        assert (one.StudyInstanceUID, one.PatientID, one.InstanceNumber) == (
            source.StudyInstanceUID,
            PATIENT_ID,
            number,
        )
        pixels = one.pixel_array
        assert pixels.shape == (one.Rows, one.Columns, 3)
        red = (pixels[..., 0] > 200) & (pixels[..., 1] < 120) & (pixels[..., 2] < 120)
        assert red.any()  # the contour
