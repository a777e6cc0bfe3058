"""The import of CPAISD on replicas: heights, tilt, directions, core and penumbra, parts, twins, refusals."""

import csv
import json
import shutil

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from adn.cli.data import data as data_commands
from adn.datasets.cpaisd import importer
from adn.datasets.cpaisd.files import find_studies
from adn.datasets.cpaisd.importer import LICENCE, import_cpaisd
from adn.datasets.cpaisd.study import read_study
from adn.datasets.layouts import find_cases, read_licence
from adn.datasets.splits import read_split
from adn.errors import InputError
from adn.io import read_volume
from adn.results import DISCLAIMER
from replicas.cpaisd import AGE, NAME, head_of, labels_of, write_study

FILES = ("ct", "infarct", "core", "penumbra", "seen")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch, request):
    if "page" not in request.node.name:
        monkeypatch.setattr(importer, "draw_part", lambda path, *_: path.write_bytes(b"jpeg"))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """One study as published, to be copied and broken."""
    root = tmp_path_factory.mktemp("cpaisd")
    write_study(root)
    return root / "train" / "study-1"


@pytest.fixture
def study(published, tmp_path):
    return shutil.copytree(published, tmp_path / "src" / "dataset" / "train" / "study-1")


def slices(study):
    return sorted(path for path in study.iterdir() if path.is_dir())


def imported(study, **options):
    (line,) = import_cpaisd(study.parents[2], study.parents[3] / "out", **options)
    return line


def volumes(folder):
    return {name: read_volume(folder / f"{name}.nii.gz", np.int16).reoriented("SPL").data for name in FILES}


def test_a_study_is_imported_as_published(study, tmp_path):
    line = imported(study)
    head = head_of(0)
    labels = labels_of(head)
    assert (line.case, line.outcome, line.part, line.patient) == ("study-1", "imported", "train", "study-1")
    assert (line.slices, line.height, line.problems) == (len(head.data), len(head.data), ())
    assert line.spacing_mm == pytest.approx((5.0, 2.0, 2.0))
    found = volumes(tmp_path / "out" / "study-1")
    assert np.array_equal(found["ct"], head.data)
    assert np.array_equal(found["infarct"], labels == 1)
    assert np.array_equal(found["core"], labels == 1)
    assert np.array_equal(found["penumbra"], labels == 2)
    assert found["seen"].all()
    assert line.infarct_ml == line.core_ml == pytest.approx((labels == 1).sum() * 0.02)
    assert line.penumbra_ml == pytest.approx((labels == 2).sum() * 0.02)


def test_penumbra_is_included_on_request(study, tmp_path):
    line = imported(study, penumbra=True)
    found = volumes(tmp_path / "out" / "study-1")
    assert np.array_equal(found["infarct"], found["core"] | found["penumbra"])
    assert line.infarct_ml == pytest.approx(line.core_ml + line.penumbra_ml)


def test_unpublished_slices_are_marked_as_not_seen(tmp_path):
    kept = [2, 3, 4, 7, 8, 13]
    write_study(tmp_path / "src", kept=kept)
    (line,) = import_cpaisd(tmp_path / "src", tmp_path / "out")
    assert (line.slices, line.height) == (6, 12)
    found = volumes(tmp_path / "out" / "study-1")
    places = np.flatnonzero(found["seen"].any(axis=(1, 2)))
    assert (places - places[0]).tolist() == [0, 1, 2, 5, 6, 11]
    assert np.array_equal(found["ct"][places], head_of(0).data[kept])
    assert not (found["core"] & found["penumbra"]).any()
    assert line.core_ml == pytest.approx((labels_of(head_of(0)) == 1)[kept].sum() * 0.02)


def test_a_tilted_gantry_is_undone_in_whole_pixels(tmp_path):
    write_study(tmp_path / "src", tilt_deg=20)
    (line,) = import_cpaisd(tmp_path / "src", tmp_path / "out")
    assert line.tilt_deg == pytest.approx(20, abs=0.01)
    assert line.spacing_mm == pytest.approx((5 * np.cos(np.deg2rad(20)), 2.0, 2.0), abs=1e-3)
    found = volumes(tmp_path / "out" / "study-1")
    height, row, _ = np.argwhere((found["core"] | found["penumbra"]) > 0).T
    drift = np.polyfit(height, row, 1)[0]  # of a ball's slices: none; it was 0.9 pixels from slice to slice
    assert abs(drift) < 0.2
    volume_ml = line.core_ml + line.penumbra_ml
    assert volume_ml == pytest.approx((labels_of(head_of(0)) > 0).sum() * 0.02, rel=0.1)


@pytest.mark.parametrize("turn", ["upside down", "feet first", "on its side"])
def test_any_axial_orientation_is_brought_upright(turn, study, tmp_path):
    for one in slices(study):
        data = pydicom.dcmread(one / "raw.dcm")
        hu, mask = data.pixel_array, np.load(one / "mask.npz")["mask"]
        step, (x, y, z) = 2.0, (float(value) for value in data.ImagePositionPatient)
        rows, columns = hu.shape
        if turn == "upside down":  # the same place in the patient, written from the other corner
            hu, mask = hu[::-1, ::-1], mask[::-1, ::-1]
            data.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
            data.ImagePositionPatient = [x + (columns - 1) * step, y + (rows - 1) * step, z]
        elif turn == "feet first":
            hu, mask = hu[:, ::-1], mask[:, ::-1]
            data.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
            data.ImagePositionPatient = [x + (columns - 1) * step, y, z]
        else:
            hu, mask = hu.T, mask.T
            data.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
        data.Rows, data.Columns = hu.shape
        data.PixelData = np.ascontiguousarray(hu).tobytes()
        data.save_as(one / "raw.dcm")
        np.savez(one / "mask.npz", mask=mask)
    line = imported(study)
    assert line.outcome == "imported", line.problems
    found = volumes(tmp_path / "out" / "study-1")
    assert np.array_equal(found["ct"], head_of(0).data)
    assert np.array_equal(found["core"], labels_of(head_of(0)) == 1)


def _without_raw(study):
    (slices(study)[3] / "raw.dcm").unlink()


def _hu_alone(study):
    for one in slices(study):
        hu = np.rint(pydicom.dcmread(one / "raw.dcm").pixel_array)
        np.savez(one / "image.npz", image=hu.astype(np.int16))
        (one / "raw.dcm").unlink()


def _tag(keyword, value):
    def change(study):
        path = slices(study)[3] / "raw.dcm"
        data = pydicom.dcmread(path)
        setattr(data, keyword, value)
        data.save_as(path)

    return change


def _mask(change):
    def apply(study):
        path = slices(study)[3] / "mask.npz"
        np.savez(path, mask=change(np.load(path)["mask"]))

    return apply


def _uneven(study):
    for one in slices(study):
        data = pydicom.dcmread(one / "raw.dcm")
        x, y, z = (float(value) for value in data.ImagePositionPatient)
        data.ImagePositionPatient = [x, y, z + (data.InstanceNumber > 9) * 2.0]
        data.save_as(one / "raw.dcm")


def _same_place(study):
    first, second = (one / "raw.dcm" for one in slices(study)[:2])
    data = pydicom.dcmread(second)
    data.ImagePositionPatient = pydicom.dcmread(first).ImagePositionPatient
    data.save_as(second)


def _smaller(study):
    path = slices(study)[3] / "raw.dcm"
    data = pydicom.dcmread(path)
    data.Rows -= 2
    data.PixelData = data.PixelData[: data.Rows * data.Columns * 2]
    data.save_as(path)


BROKEN = {
    "no raw.dcm": (_without_raw, r"1 of 18 slices cannot be used: slice \d{5}: raw.dcm is absent, and .* no HU"),
    "HU alone": (_hu_alone, "18 of 18 slices .* image.npz holds HU, but no distances"),
    "damaged raw.dcm": (lambda study: (slices(study)[3] / "raw.dcm").write_bytes(b"nothing"), "empty or damaged"),
    "cut raw.dcm": (lambda s: (slices(s)[3] / "raw.dcm").write_bytes((slices(s)[3] / "raw.dcm").read_bytes()[:-999]),
                    "pixel data is incomplete"),
    "no mask": (lambda study: (slices(study)[3] / "mask.npz").unlink(), "mask.npz is absent"),
    "damaged mask": (lambda study: (slices(study)[3] / "mask.npz").write_bytes(b"PK\x03\x04"), "damaged"),
    "another key": (lambda study: np.savez(slices(study)[3] / "mask.npz", other=np.zeros(3)), "no array 'mask'"),
    "label 3": (_mask(lambda mask: mask + 3 * (mask == 0)), "slice .*: mask.npz holds 3; only 0, 1"),
    "objects": (_mask(lambda mask: mask.astype(object)), "damaged"),
    "mask size": (_mask(lambda mask: mask[1:]), "mask.npz has 95×80 pixels, its image 96×80"),
    "sizes": (_smaller, "different sizes"),
    "spacing": (_tag("PixelSpacing", [2.5, 2.5]), "PixelSpacing differs"),
    "orientation": (_tag("ImageOrientationPatient", [1, 0, 0, 0, 0.9, -0.4358899]), "ImageOrientationPatient differs"),
    "coronal": (_tag("ImageOrientationPatient", [1, 0, 0, 0, 0, -1]), "coronal"),
    "another modality": (_tag("Modality", "MR"), "modality MR"),
    "no position": (_tag("ImagePositionPatient", None), "ImagePositionPatient is absent"),
    "off the line": (_tag("ImagePositionPatient", [50.0, 0.0, 1.0]), "off the line"),
    "same place": (_same_place, "1 of 18 slices lie where another one does"),
    "uneven": (_uneven, "5.0 to 7.0 mm apart"),
    "no slices": (lambda study: [shutil.rmtree(one) for one in slices(study)], "There are no slices"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_unclean_studies_are_left_out_with_the_reason(kind, study):
    breaks, reason = BROKEN[kind]
    breaks(study)
    (files,) = find_studies(study.parents[1], study)
    with pytest.raises(InputError, match=reason) as refused:
        read_study(files)
    assert str(study) not in refused.value.what


def test_a_broken_study_is_listed_and_its_earlier_import_is_removed(study, tmp_path):
    write_study(tmp_path / "src" / "dataset", "study-2", "val", seed=1)
    assert [line.outcome for line in import_cpaisd(tmp_path / "src", tmp_path / "out")] == ["imported"] * 2
    (slices(study)[0] / "mask.npz").unlink()
    lines = import_cpaisd(tmp_path / "src", tmp_path / "out")
    assert [line.outcome for line in lines] == ["left out", "imported"]
    assert "mask.npz is absent" in lines[0].problems[0]
    assert not (tmp_path / "out" / "study-1").exists()
    assert [case.name for case in find_cases(tmp_path / "out")] == ["study-2"]


def test_a_study_without_core_is_reported(tmp_path):
    write_study(tmp_path / "src", core=False)
    (line,) = import_cpaisd(tmp_path / "src", tmp_path / "out")
    assert line.problems == ("No core is outlined, so the infarct's mask is empty.",)
    assert line.infarct_ml == 0 < line.penumbra_ml


def test_duplicates_in_two_parts_are_one_patient_outside_training(study, tmp_path):
    root = study.parents[1]
    shutil.copytree(study, root / "test" / "other-name")
    write_study(root, "study-1", "val", seed=1)  # another head of the same name
    lines = {line.case: line for line in import_cpaisd(tmp_path / "src", tmp_path / "out")}
    assert set(lines) == {"train-study-1", "validation-study-1", "other-name"}
    assert lines["train-study-1"].part == lines["other-name"].part == "test"
    assert "its twin is in test" in lines["train-study-1"].problems[0]
    assert "same slices as train-study-1" in lines["other-name"].problems[0]
    split = read_split(tmp_path / "out" / "split.csv")  # refuses a patient in two parts
    assert {row.case: row.part for row in split.rows} == {name: line.part for name, line in lines.items()}
    assert lines["validation-study-1"].part == "validation"
    subjects = {case.name: case.subject for case in find_cases(tmp_path / "out")}
    assert subjects["other-name"] == subjects["train-study-1"] != subjects["validation-study-1"]


def test_an_import_resumes_and_a_repeated_one_changes_nothing(study, tmp_path, monkeypatch):
    write_study(tmp_path / "src" / "dataset", "study-2", "test", seed=1)
    made, real = [], importer.read_study

    def stop(files):
        if made:
            raise KeyboardInterrupt
        made.append(files.case)
        return real(files)

    with monkeypatch.context() as patched:
        patched.setattr(importer, "read_study", stop)
        with pytest.raises(KeyboardInterrupt):
            import_cpaisd(tmp_path / "src", tmp_path / "out")
    monkeypatch.setattr(importer, "read_study", lambda files: made.append(files.case) or real(files))
    lines = import_cpaisd(tmp_path / "src", tmp_path / "out")
    assert made == ["study-1", "study-2"]
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert import_cpaisd(tmp_path / "src", tmp_path / "out") == lines
    assert made == ["study-1", "study-2"]
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    import_cpaisd(tmp_path / "src", tmp_path / "out", penumbra=True)
    assert made == ["study-1", "study-2"] * 2


def test_nothing_from_headers_and_metadata_is_stored(study, tmp_path):
    imported(study)
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert NAME.encode() not in path.read_bytes()
            assert str(AGE).encode() not in path.read_bytes()
            assert b"nihss" not in path.read_bytes()
    record = json.loads((tmp_path / "out" / "study-1" / "cpaisd.json").read_text())
    assert record.keys() == {"digest", "line", "pixels"}
    assert read_licence(tmp_path / "out") == LICENCE


def test_a_folder_without_parts_or_with_two_copies_is_refused(study, tmp_path):
    with pytest.raises(InputError, match="no folder train, val or test"):
        import_cpaisd(study, tmp_path / "none")
    with pytest.raises(InputError, match="check the name"):
        import_cpaisd(tmp_path / "absent", tmp_path / "none")
    shutil.copytree(tmp_path / "src" / "dataset", tmp_path / "src" / "again")
    with pytest.raises(InputError, match="one copy"):
        import_cpaisd(tmp_path / "src", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_command_writes_its_page(study, tmp_path):
    write_study(tmp_path / "src" / "dataset", "study-2", "test", seed=1, kept=[3, 4, 6, 7])
    broken = shutil.copytree(study, study.parents[1] / "val" / "study-3")
    (slices(broken)[0] / "raw.dcm").unlink()
    result = CliRunner().invoke(data_commands, ["import-cpaisd", str(tmp_path / "src"), str(tmp_path / "out")])
    assert result.exit_code == 3, result.output
    assert "2 of 3 studies imported" in result.output
    page = (tmp_path / "out" / "import.html").read_text()
    assert DISCLAIMER in page
    assert "CC BY 4.0" in page
    assert page.count("<figure") == 2
    assert "study-3" in page
    assert "http" not in page.replace("http-equiv", "")
    rows = list(csv.DictReader((tmp_path / "out" / "import.csv").open()))
    assert [row["outcome"] for row in rows].count("left out") == 1
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    assert all(case.ct.is_file() and case.seen and case.seen.is_file() for case in find_cases(moved))
