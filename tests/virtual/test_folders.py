"""Data sets of virtual patients: repeatable, resumable, complete or absent; NIfTI or DICOM, tilted or not."""

import importlib
import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from adn.errors import InputError
from adn.io import open_scan, read_volume
from adn.remarks import notes
from adn.virtual.folders import synthesize
from adn.virtual.library import Library
from adn.virtual.plan import PatientPlan
from given import given

room = importlib.import_module("adn.virtual.folders")  # adn.synthesize itself is the function
NAMES = {"brain.nii.gz", "ct.nii.gz", "infarct.nii.gz", "plan.json", "tissue.nii.gz"}


def data(folder):
    return {name: read_volume(folder / name).data for name in sorted(NAMES) if name.endswith(".gz")}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return synthesize(2, tmp_path_factory.mktemp("two"), seed=3, matrix=56)


def test_a_case_is_a_folder_that_can_be_replayed(two):
    assert [case.name for case in two] == ["vp-0000", "vp-0001"]
    assert {path.name for path in two[1].iterdir()} == NAMES
    plan = PatientPlan.from_dict(json.loads((two[1] / "plan.json").read_text())["plan"])
    assert plan == room.draw_patient(room.patient_generator(3, 1), Library().choices())
    brain_ml = data(two[1])["brain.nii.gz"].sum() * read_volume(two[1] / "brain.nii.gz").grid.voxel_ml
    assert 1000 < brain_ml < 2000


def test_a_patient_does_not_depend_on_the_number_of_patients(two, tmp_path):
    (again,) = synthesize(1, tmp_path, seed=3, matrix=56)
    assert all(np.array_equal(a, b) for a, b in zip(data(again).values(), data(two[0]).values(), strict=True))


def test_a_folder_with_other_patients_is_refused(two):
    with pytest.raises(InputError, match="another patient"):
        synthesize(1, two[0].parent, seed=99, matrix=32)


def test_a_stopped_run_resumes_and_leaves_nothing_half_written(tmp_path, monkeypatch):
    write, calls = room.write_volume, []

    def stop_in_the_second_case(volume, path):
        calls.append(path)
        if len(calls) == 6:
            raise KeyboardInterrupt
        write(volume, path)

    monkeypatch.setattr(room, "write_volume", stop_in_the_second_case)
    with pytest.raises(KeyboardInterrupt):
        synthesize(2, tmp_path, matrix=32)
    assert [path.name for path in tmp_path.iterdir()] == ["vp-0000"]
    first = (tmp_path / "vp-0000").stat().st_mtime_ns
    done = []
    synthesize(2, tmp_path, matrix=32, progress=lambda *state: done.append(state))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vp-0000", "vp-0001"]
    assert (tmp_path / "vp-0000").stat().st_mtime_ns == first
    assert done == [(1, 2), (2, 2)]


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def as_dicom(tmp_path_factory):
    return synthesize(1, tmp_path_factory.mktemp("dicom"), seed=3, matrix=56, format="dicom")[0]


def test_dicom_holds_the_same_voxels_and_truth_as_nifti(two, as_dicom):
    if json.loads((two[0] / "plan.json").read_text())["plan"]["scanner"]["tilt_deg"] == 0:
        assert not open_scan(as_dicom / "dicom").warnings
    scan, nifti = open_scan(as_dicom / "dicom").volume, read_volume(two[0] / "ct.nii.gz")
    assert scan.grid.same_as(nifti.grid)
    assert np.array_equal(scan.data, nifti.data)
    for name in ("infarct", "tissue", "brain"):
        mask, other = (read_volume(case / f"{name}.nii.gz", np.uint8) for case in (as_dicom, two[0]))
        assert mask.grid.same_as(scan.grid)
        assert np.array_equal(mask.data, other.data)


def test_dicom_headers_are_valid_and_say_that_the_patient_is_virtual(as_dicom):
    slices = [pydicom.dcmread(path) for path in sorted((as_dicom / "dicom").iterdir())]
    first = slices[0]
    assert str(first.PatientName) == "VIRTUAL^vp-0000"
    assert str(first.PatientID).startswith("VIRTUAL-")
    assert (first.Modality, first.SOPClassUID.name, float(first.KVP)) == ("CT", "CT Image Storage", 120)
    assert "research use only" in first.ImageComments.lower()
    assert (float(first.RescaleIntercept), float(first.WindowCenter), float(first.WindowWidth)) == (-1024, 40, 80)
    assert len({str(data.SOPInstanceUID) for data in slices}) == len(slices)
    assert len({str(data.SeriesInstanceUID) for data in slices}) == 1
    assert all(uid.is_valid for uid in (first.SOPInstanceUID, first.StudyInstanceUID, first.FrameOfReferenceUID))
    heights = [float(data.ImagePositionPatient[2]) for data in slices]
    assert heights == sorted(heights)


def test_the_same_seed_gives_the_same_bytes(as_dicom, tmp_path):
    (again,) = synthesize(1, tmp_path, seed=3, matrix=56, format="dicom")
    assert files(again) == files(as_dicom)
    (other,) = synthesize(1, tmp_path / "other", seed=4, matrix=56, format="dicom")
    uids = [pydicom.dcmread(case / "dicom" / "0001.dcm").SeriesInstanceUID for case in (again, other)]
    assert uids[0] != uids[1]


def test_a_patient_written_in_the_other_format_is_refused(as_dicom):
    with pytest.raises(InputError, match="its CT is not nifti"):
        synthesize(1, as_dicom.parent, seed=3, matrix=56)
    assert synthesize(1, as_dicom.parent, seed=3, matrix=56, format="dicom") == [as_dicom]


@pytest.fixture(scope="module", params=[-16.0, 16.0])
def tilted(request, tmp_path_factory):
    """One patient of a tilted gantry, as DICOM and as NIfTI."""
    folder, library = tmp_path_factory.mktemp("tilted"), Library()
    plan = room.draw_patient(room.patient_generator(3, 0), library.choices())
    plan = replace(plan, scanner=replace(plan.scanner, tilt_deg=request.param, slice_mm=8.0, step_mm=8.0))
    room.write_case(plan, library, folder / "dicom", 64, "dicom")
    room.write_case(plan, library, folder / "nifti", 64)
    return folder, plan, library


def test_slices_of_a_tilted_gantry_are_oblique_and_the_table_moves_straight(tilted):
    folder, plan, _ = tilted
    paths = sorted((folder / "dicom" / "dicom").iterdir())
    first, last = pydicom.dcmread(paths[0]), pydicom.dcmread(paths[-1])
    assert float(first.GantryDetectorTilt) == pytest.approx(-plan.scanner.tilt_deg)
    step = np.subtract(last.ImagePositionPatient, first.ImagePositionPatient)
    assert np.allclose(step, [0, 0, 8.0 * (len(paths) - 1)], atol=1e-6)
    tilt = np.deg2rad(plan.scanner.tilt_deg)
    assert np.allclose(first.ImageOrientationPatient, [1, 0, 0, 0, np.cos(tilt), np.sin(tilt)], atol=1e-6)
    assert float(first.PixelSpacing[0]) == pytest.approx(float(first.PixelSpacing[1]))


def test_a_tilted_gantry_leaves_the_patient_where_it_was(tilted):
    folder, plan, library = tilted
    scan = open_scan(folder / "dicom" / "dicom")
    assert "gantry tilt of 16.0 degrees" in notes(scan.remarks)[0]
    nifti = read_volume(folder / "nifti" / "ct.nii.gz")
    assert nifti.grid.same_as(scan.volume.grid)
    assert np.array_equal(nifti.data, scan.volume.data)
    lattice = room.scanner_lattice(plan, 64, sheared=True)
    truth = room.render_plan(plan, library, lattice).brain.numpy()
    for case in ("dicom", "nifti"):
        brain = read_volume(folder / case / "brain.nii.gz", np.uint8)
        assert brain.grid.same_as(scan.volume.grid)
        assert brain.data.sum() == truth.sum()
        assert np.allclose(centre(brain.data, brain.grid), centre(truth, room.scanner_grid(lattice)), atol=0.3)
        assert not brain.data[given(scan.padding).data > 0].any()


def centre(mask, grid):
    return (grid.affine @ [*np.argwhere(mask).mean(0), 1.0])[:3]


def test_the_recorded_midplane_bisects_the_brain(two):
    plane = json.loads((two[0] / "plan.json").read_text())["midplane"]
    brain = read_volume(two[0] / "brain.nii.gz", np.uint8)
    points = np.argwhere(brain.data) @ brain.grid.affine[:3, :3].T + brain.grid.affine[:3, 3]
    left_share = (points @ plane["normal_ras"] > plane["offset_mm"]).mean()
    assert left_share == pytest.approx(0.5, abs=0.03)
    assert plane["normal_ras"][0] < 0  # RAS: the normal points to the left
