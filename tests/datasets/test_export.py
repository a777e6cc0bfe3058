"""A data set written in another layout and read back holds the same patients, voxels and places."""

import json

import numpy as np
import pytest

from adn.datasets.export import export_cases
from adn.datasets.layouts import find_cases, layout_of
from adn.datasets.splits import make_split
from adn.errors import InputError, OutputError
from adn.io import read_volume
from damaged import patient, write_patient


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    for name in ("case_1", "sub-7_a", "sub-7_b", "x.1"):
        write_patient(folder / name)
    write_patient(folder / "unmarked", infarct=None)
    return find_cases(folder)


def same_voxels(path, name):
    read = read_volume(path, np.int16)
    assert read.grid.same_as(patient()[name].grid)
    return np.array_equal(read.data, patient()[name].data)


def test_cases_survive_export_to_nnunet(cases, tmp_path):
    out = tmp_path / "Dataset001_Infarct"
    assert export_cases(cases, "nnunet", out) == 4
    assert layout_of(out) == "nnunet"
    facts = json.loads((out / "dataset.json").read_text())
    assert (facts["channel_names"], facts["labels"]) == ({"0": "CT"}, {"background": 0, "infarct": 1})
    assert (facts["numTraining"], facts["file_ending"]) == (4, ".nii.gz")
    again = find_cases(out)
    assert [(c.name, c.subject) for c in again] == [(c.name, c.subject) for c in cases if c.infarct]
    assert same_voxels(out / "imagesTr/case_1_0000.nii.gz", "ct")
    assert same_voxels(out / "labelsTr/case_1.nii.gz", "infarct")


def test_nnunet_gets_the_test_part_and_the_folds_of_a_split(cases, tmp_path):
    split = make_split([(c.name, c.subject, 1.0) for c in cases if c.infarct], folds=2, test=0.34)
    out = tmp_path / "out"
    export_cases(cases, "nnunet", out, split)
    test = {row.case for row in split.rows if row.part == "test"}
    assert {path.name for path in (out / "labelsTs").iterdir()} == {f"{name}.nii.gz" for name in test}
    folds = json.loads((out / "splits_final.json").read_text())
    assert len(folds) == 2
    for fold in folds:
        assert set(fold["train"]) | set(fold["val"]) == {c.name for c in cases if c.infarct} - test


def test_cases_survive_export_to_bids(cases, tmp_path):
    out = tmp_path / "bids"
    assert export_cases(cases, "bids", out) == 5
    assert layout_of(out) == "bids"
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "raw"
    assert json.loads((out / "derivatives/masks/dataset_description.json").read_text())["DatasetType"] == "derivative"
    again = {case.name: case for case in find_cases(out)}
    assert set(again) == {"sub-case1", "sub-7_ses-01", "sub-7_ses-02", "sub-x1", "sub-unmarked"}
    assert again["sub-7_ses-01"].subject == "sub-7"
    assert again["sub-unmarked"].infarct is None
    one = again["sub-case1"]
    assert all(same_voxels(getattr(one, name), name) for name in ("ct", "infarct", "brain"))


def test_nothing_half_written_remains_and_nothing_is_replaced(cases, tmp_path):
    broken = patient()["infarct"]
    write_patient(tmp_path / "data/ok")
    write_patient(tmp_path / "data/z", infarct=broken.with_data(broken.data * 3))
    with pytest.raises(InputError, match="Case z"):
        export_cases(find_cases(tmp_path / "data"), "nnunet", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="already exists"):
        export_cases(cases, "bids", tmp_path / "out")
