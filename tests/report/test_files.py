import errno
import json
import os
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from adn.errors import InputError, OutputError
from adn.report import files, save_prediction
from fake_prediction import make_prediction
from given import loose

VOLUMES = {
    "infarct",
    "infarct_probability",
    "brain_mask",
    "asymmetry_total",
    "asymmetry_pathological",
    "asymmetry_intrinsic",
    "relative_hypodensity",
    "salient",
    "compensated",
}


@pytest.fixture
def plain_report(monkeypatch):
    """A page without pictures, which take most of the time."""
    monkeypatch.setattr(files, "write_report", lambda prediction, path, language: path.write_text(prediction.case))


@pytest.mark.parametrize("axes", ["LAS", "PIR"])
@pytest.mark.parametrize("source", ["nifti", "dicom"])
def test_files_are_on_the_scans_grid(tmp_path, axes, source):
    prediction = make_prediction(axes=axes, source=source)
    folder = save_prediction(prediction, tmp_path / "out")
    names = VOLUMES | ({"scan"} if source == "dicom" else set())
    assert folder == tmp_path / "out" / "case"
    assert {path.name for path in folder.iterdir()} == {f"{n}.nii.gz" for n in names} | {"result.json", "report.html"}
    for name in names:
        image = loose(nib.load(folder / f"{name}.nii.gz"))
        volume = prediction.scan.volume if name == "scan" else getattr(prediction, name)
        assert np.allclose(image.affine, prediction.scan.volume.grid.affine, atol=1e-5)
        assert image.get_data_dtype() == (np.uint8 if name in ("infarct", "brain_mask") else np.float32)
        assert np.array_equal(np.asarray(image.dataobj), volume.data)
    assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["case"] == "case"
    assert os.listdir(tmp_path / "out") == ["case"]


@pytest.mark.parametrize("step", ["write_volume", "write_report", "write_result"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("bug"), OSError(errno.ENOSPC, "No space left")])
def test_a_failure_leaves_nothing_behind(plain_report, tmp_path, monkeypatch, step, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(files, step, fail)
    expected = OutputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        save_prediction(make_prediction(), tmp_path)
    assert os.listdir(tmp_path) == []
    if expected is OutputError:
        assert "disk is full" in str(caught.value)
        assert "partial" not in str(caught.value)


def test_another_case_is_never_overwritten(plain_report, tmp_path):
    prediction = make_prediction()
    folder = save_prediction(prediction, tmp_path)
    (folder / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="already exists"):
        save_prediction(prediction, tmp_path)
    assert (folder / "mine.txt").exists()


def test_overwriting_replaces_the_whole_result_or_nothing(plain_report, tmp_path, monkeypatch):
    folder = save_prediction(make_prediction(source="dicom"), tmp_path)
    save_prediction(make_prediction("right"), tmp_path, overwrite=True)
    assert json.loads((folder / "result.json").read_text())["side"] == "right"
    assert not (folder / "scan.nii.gz").exists()
    monkeypatch.setattr(files, "write_result", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_prediction(make_prediction("left"), tmp_path, overwrite=True)
    assert json.loads((folder / "result.json").read_text())["side"] == "right"
    assert os.listdir(tmp_path) == ["case"]


def test_overwriting_leaves_other_files_alone(tmp_path):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "thesis.txt").write_text("years")
    with pytest.raises(OutputError, match="not a result"):
        save_prediction(make_prediction(), tmp_path, overwrite=True)
    assert (tmp_path / "case" / "thesis.txt").exists()


@pytest.mark.parametrize("case", ["", "..", "a/b", "/etc"])
def test_case_names_stay_inside_the_folder(tmp_path, case):
    with pytest.raises(InputError, match="folder name"):
        save_prediction(replace(make_prediction(), case=case), tmp_path)


def test_output_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="out"):
        save_prediction(make_prediction(), tmp_path / "out")


def test_folder_without_write_permission(tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(files.Path, "mkdir", refuse)
    with pytest.raises(OutputError, match="not writable"):
        save_prediction(make_prediction(), tmp_path)
