"""Layers for the viewer: from a result folder of `adn predict`, and as the server's own worker writes them."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from adn.io import read_volume
from adn.report import save_prediction
from adn.report.folder import rebuilt_scan
from adn.server.app import create_app
from adn.server.cases import Cases
from adn.server.folders import result_folders
from adn.server.layers import LOOKS, make_view, write_views
from fake_prediction import make_prediction
from phantoms import centroid_mm
from server.stub_server import client_of


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """A prediction of an oblique head, and its result folder."""
    affine = np.array([[0, 0.6, -3.5, 9], [0, -3.4, -0.6, 30], [9, 0, 0, -60], [0, 0, 0, 1.0]])
    prediction = make_prediction("left", affine=affine)
    return prediction, save_prediction(prediction, tmp_path_factory.mktemp("out"))


def test_the_scan_is_rebuilt_from_the_maps(predicted):
    prediction, folder = predicted
    scan = rebuilt_scan(folder)
    inside = prediction.brain_mask.data > 0
    assert scan.grid.same_as(prediction.scan.volume.grid)
    assert np.abs(scan.data - prediction.scan.volume.data)[inside].max() < 1e-3


def test_layers_made_on_demand_equal_those_the_worker_writes(predicted, tmp_path):
    prediction, folder = predicted
    write_views(prediction, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"scan.nii.gz", *(f"aligned_{name}.nii.gz" for name in LOOKS)}
    for name in sorted(names):
        make_view(name, folder, tmp_path / "made.nii.gz")
        ours, made = read_volume(tmp_path / name), read_volume(tmp_path / "made.nii.gz")
        assert ours.grid.same_as(made.grid)
        np.testing.assert_allclose(ours.data, made.data, atol=0.01)


def test_aligned_layers_are_upright_and_keep_left_and_right(predicted, tmp_path):
    prediction, _ = predicted
    write_views(prediction, tmp_path)
    infarct, scan = (read_volume(tmp_path / f"aligned_{name}.nii.gz") for name in ("infarct", "scan"))
    assert infarct.grid.axes == "SPL"
    assert np.count_nonzero(infarct.grid.affine[:3, :3]) == 3  # no obliquity
    assert abs(infarct.grid.centre_mm[0]) < 1e-4  # the mid-sagittal plane is the middle
    assert centroid_mm(infarct)[0] == pytest.approx(-40.0, abs=2.0)  # RAS: left is negative
    assert infarct.data.sum() * infarct.grid.voxel_ml == pytest.approx(prediction.measurements.volume_ml, rel=0.1)
    assert scan.data.min() == -1024
    assert scan.data[scan.data > -1000].min() > 26
    assert scan.data.max() < 34  # of 33 HU with a lesion of 27: nothing of the skull's 900 has leaked in


def test_view_shows_layers_missing_from_the_folder_without_changing_it(predicted):
    _, folder = predicted
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with client_of(create_app(Cases(None, opened=result_folders([folder.parent])), None)) as client:
        (case,) = client.get("/api/cases").json()
        assert (case["name"], case["state"], case["read_only"]) == ("case", "done", True)
        assert [step["name"] for step in case["steps"]] == ["read", "align"]
        layers = {(layer["name"], layer["space"]): layer for layer in case["layers"]}
        assert list(layers) == [(name, space) for space in ("scan", "aligned") for name in LOOKS]
        assert "scan.nii.gz" not in {file["name"] for file in case["files"]}
        for layer in case["layers"]:
            content = client.get(f"/api/cases/{case['id']}/files/{layer['file']}").content
            assert nib.Nifti1Image.from_bytes(gzip.decompress(content)).ndim == 3
        report = client.get(f"/api/cases/{case['id']}/files/report.html")
        assert report.headers["content-type"].startswith("text/html")
        assert report.headers["content-security-policy"].startswith("sandbox")
        assert client.delete(f"/api/cases/{case['id']}").status_code == 403
        assert client.post(f"/api/cases/{case['id']}/cancel").json()["state"] == "done"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
