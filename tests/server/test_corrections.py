"""A reader's mask becomes a new version beside the original, which stays as it was, and a case to train on."""

import gzip
import json

import numpy as np
import pytest

from adn.datasets.export import export_cases
from adn.datasets.layouts import find_cases
from adn.io import read_volume
from adn.report import save_prediction
from adn.server.app import create_app
from adn.server.cases import Cases
from adn.server.folders import result_folders
from fake_prediction import lay_on_atlas, make_prediction
from given import given
from server.stub_server import client_of


@pytest.fixture
def opened(tmp_path):
    """A client of `adn view` on one result, whose case id it is, and the folder."""
    folder = save_prediction(make_prediction("left", "LAS", "one"), tmp_path / "results")
    cases = Cases(None, opened=result_folders([folder]))
    (record,) = cases.records()
    with client_of(create_app(cases, None)) as client:
        yield client, f"/api/cases/{record.id}", folder


def packed(volume):
    """As the page sends it: RAS, x fastest."""
    return gzip.compress(volume.reoriented("RAS").data.transpose(2, 1, 0).astype(np.uint8).tobytes())


def test_a_corrected_version_is_saved_beside_the_original(opened):
    client, address, folder = opened
    before = (folder / "infarct.nii.gz").read_bytes()
    original = read_volume(folder / "infarct.nii.gz")
    half = original.with_data(original.data * (np.arange(original.data.shape[2]) % 2 == 0))
    for number in (1, 2):
        answer = client.post(f"{address}/corrections", content=packed(half))
        assert answer.status_code == 201
        assert answer.json()["number"] == number
    assert (folder / "infarct.nii.gz").read_bytes() == before
    kept = read_volume(folder / "corrected_2.nii.gz")
    assert kept.grid.same_as(original.grid)
    assert np.array_equal(kept.data, half.data)
    case = client.get(address).json()
    assert [one["file"] for one in case["corrections"]] == ["corrected_1.nii.gz", "corrected_2.nii.gz"]
    assert case["corrections"][0]["side"] == "left"
    assert case["corrections"][0]["volume_ml"] == pytest.approx(half.data.sum() * half.grid.voxel_ml, abs=1e-3)
    assert case["results"]["volume_ml"] > case["corrections"][0]["volume_ml"]
    assert client.get(f"{address}/files/corrected_2.nii.gz").status_code == 200


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no gzip", "is not gzip"),
        (gzip.compress(b"\0" * 10, mtime=0), "one byte for each"),
        (gzip.compress(b"\0" * 10**7, mtime=0), "one byte for"),
    ],
)
def test_an_invalid_mask_is_refused(opened, content, why):
    client, address, folder = opened
    answer = client.post(f"{address}/corrections", content=content)
    assert answer.status_code == 422
    assert why in answer.json()["detail"]
    assert not list(folder.glob("corrected_*"))


def test_values_other_than_0_and_1_are_refused(opened):
    client, address, folder = opened
    original = read_volume(folder / "infarct.nii.gz")
    answer = client.post(f"{address}/corrections", content=packed(original.with_data(2 * original.data)))
    assert "0 and 1" in answer.json()["detail"]


def test_corrected_results_can_be_trained_on(opened, tmp_path):
    client, address, folder = opened
    original = read_volume(folder / "infarct.nii.gz")
    client.post(f"{address}/corrections", content=packed(original.with_data(0 * original.data)))
    (case,) = find_cases(folder.parent)
    assert (case.name, case.ct.name, given(case.infarct).name) == ("one", "scan.nii.gz", "corrected_1.nii.gz")
    assert export_cases([case], "nnunet", tmp_path / "Dataset001_corrected") == 1
    label = read_volume(tmp_path / "Dataset001_corrected/labelsTr/one.nii.gz")
    assert not label.data.any()
    assert json.loads((tmp_path / "Dataset001_corrected/dataset.json").read_text())["numTraining"] == 1


def test_aspects_follows_the_corrected_mask(opened):
    client, address, folder = opened
    original = read_volume(folder / "infarct.nii.gz")
    assert client.post(f"{address}/corrections", content=packed(original)).json()["aspects"] is None  # no place in MNI
    lay_on_atlas(folder)
    emptied = client.post(f"{address}/corrections", content=packed(original.with_data(0 * original.data))).json()
    marked = client.post(f"{address}/corrections", content=packed(original)).json()
    assert emptied["aspects"] == [10, 10]
    assert marked["aspects"][0] < 10
    assert marked["aspects"][1] == 10


def test_a_painted_mask_scores_like_the_saved_mask_and_is_not_stored(opened):
    client, address, folder = opened
    original = read_volume(folder / "infarct.nii.gz")
    assert client.post(f"{address}/aspects", content=packed(original)).json() == {"aspects": None, "lost": []}
    lay_on_atlas(folder)
    half = original.with_data(original.data * (np.arange(original.data.shape[1])[:, None] % 2 == 0))
    for mask in (original, half, original.with_data(0 * original.data)):
        painted = client.post(f"{address}/aspects", content=packed(mask)).json()
        assert not list(folder.glob("corrected_*"))
        assert painted["aspects"][0] == 10 - sum(one["side"] == "left" for one in painted["lost"])
        kept = client.post(f"{address}/corrections", content=packed(mask)).json()
        assert painted["aspects"] == kept["aspects"]
        for path in folder.glob("corrected_*"):
            path.unlink()
    assert painted == {"aspects": [10, 10], "lost": []}
    refused = client.post(f"{address}/aspects", content=b"no gzip")
    assert refused.status_code == 422
