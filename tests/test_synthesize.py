"""Data sets of virtual patients: repeatable, resumable, whole or not there; label maps from files."""

import importlib
import json

import nibabel as nib
import numpy as np
import pytest

from adn.errors import InputError
from adn.io import read_volume
from adn.synth.anatomy import make_head
from adn.synth.plan import PatientPlan
from adn.synth.tissues import Tissue
from adn.synthesize import Library, synthesize

room = importlib.import_module("adn.synthesize")  # adn.synthesize itself is the function
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


def test_a_patient_does_not_depend_on_how_many_there_are(two, tmp_path):
    (again,) = synthesize(1, tmp_path, seed=3, matrix=56)
    assert all(np.array_equal(a, b) for a, b in zip(data(again).values(), data(two[0]).values(), strict=True))


def test_a_folder_with_other_patients_is_refused(two):
    with pytest.raises(InputError, match="another patient"):
        synthesize(1, two[0].parent, seed=99, matrix=32)


def test_a_stopped_run_goes_on_and_leaves_nothing_half_written(tmp_path, monkeypatch):
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


def label_map(extra=0):
    """A tiny FreeSurfer map with skull, array axes to right, anterior, superior."""
    x, y, z = np.ogrid[-20:21, -24:25, -18:19]
    distance = np.sqrt((x / 20) ** 2 + (y / 24) ** 2 + (z / 18) ** 2)
    labels = np.select([distance < 0.6, distance < 0.75, distance < 0.85, distance < 0.95], [2, 3, 24, 515], 0)
    labels[:20][labels[:20] == 2] = 41
    labels[20, 24, 18] = extra
    return labels.astype(np.int16)


@pytest.fixture
def no_registration(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(room, "_tissue_priors", lambda: None)
    monkeypatch.setattr(
        room, "head_from_codes", lambda name, codes, priors, labels: make_head(name, codes, np.eye(4), np.eye(4))
    )


def test_label_maps_are_read_in_any_orientation_and_type(no_registration, tmp_path):
    folder = tmp_path / "heads"
    folder.mkdir()
    labels = label_map()
    nib.save(nib.Nifti1Image(labels, np.eye(4)), folder / "a.nii.gz")
    lia = nib.Nifti1Image(labels.astype(np.float32), np.eye(4)).as_reoriented(
        nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt("LIA"))
    )
    nib.save(lia, folder / "b.nii.gz")
    library = Library.from_folders(folder)
    a, b = library.head("0"), library.head("1")
    assert np.array_equal(a.codes, b.codes)
    assert int((a.codes == Tissue.WM).sum()) == int(np.isin(labels, (2, 41)).sum())
    assert int((a.codes[1:-1, 1:-1, 1:-1][18] == Tissue.CSF).sum()) > 0


def test_an_unknown_label_is_refused_by_name(no_registration, tmp_path):
    nib.save(nib.Nifti1Image(label_map(extra=999), np.eye(4)), tmp_path / "odd.nii.gz")
    with pytest.raises(InputError, match=r"odd\.nii\.gz.*999"):
        Library.from_folders(tmp_path).head("0")


def test_an_empty_folder_of_label_maps_is_refused(tmp_path):
    with pytest.raises(InputError, match="label maps"):
        Library.from_folders(tmp_path)
