"""The bundle in `deploy/monai` is complete, and gives the same masks as `adn.predict`."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from nibabel.nifti1 import Nifti1Image

import adn
from adn.io.nifti import write_volume
from adn.io.weights import save_weights
from adn.nn.adn import build_adn
from adn.recipes import load_recipe
from given import loose
from phantoms import head

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "deploy" / "monai" / "adn_stroke"
METADATA = json.loads((BUNDLE / "configs" / "metadata.json").read_text(encoding="utf-8"))
FIELDS = {  # that MONAI's schema of 2024-07-25 requires
    "schema": str,
    "version": str,
    "monai_version": str,
    "pytorch_version": str,
    "numpy_version": str,
    "required_packages_version": dict,
    "task": str,
    "description": str,
    "authors": str,
    "copyright": str,
    "network_data_format": dict,
}
TENSOR_FIELDS = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}

pytestmark = [
    pytest.mark.filterwarnings("ignore:parsing config_file"),
    pytest.mark.filterwarnings("ignore:NvImgCodec"),
]


def test_metadata_satisfies_the_schema():
    assert {name: type(METADATA[name]) for name in FIELDS} == FIELDS
    formats = METADATA["network_data_format"]
    for tensor in (*formats["inputs"].values(), *formats["outputs"].values()):
        assert tensor.keys() >= TENSOR_FIELDS
    assert METADATA["intended_use"].startswith("For research use only.")


def test_versions_match_the_package_and_its_tested_dependencies():
    pins = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert METADATA["version"] == adn.__version__
    assert next(iter(METADATA["changelog"])) == adn.__version__
    assert METADATA["required_packages_version"] == {"adn-stroke": adn.__version__}
    versions = [METADATA[name] for name in ("monai_version", "pytorch_version", "numpy_version")]
    assert versions == [pins["monai"], pins["torch"], pins["numpy"]]


def test_the_licence_is_that_of_the_project():
    assert (BUNDLE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (BUNDLE / "docs" / "README.md").is_file()


@pytest.fixture
def scan(tmp_path, taken_as_upright):
    """A phantom in a folder of its own."""
    path = tmp_path / "scans" / "head.nii.gz"
    path.parent.mkdir()
    write_volume(head(axes="LAS"), path)
    return path


@pytest.fixture
def weights(tmp_path):
    recipe = load_recipe("tiny")
    save_weights(build_adn(recipe).state_dict(), recipe.model_dump(), tmp_path / "tiny.safetensors")
    return str(tmp_path / "tiny.safetensors")


@pytest.fixture
def workflow(scan, weights, tmp_path, monkeypatch):
    """The bundle as MONAI makes it, from anywhere; what it puts on Python's path is taken away again."""
    bundle = pytest.importorskip("monai.bundle", reason="MONAI is not installed")
    monkeypatch.setattr(sys, "path", list(sys.path))
    settings = {"dataset_dir": str(scan.parent), "output_dir": str(tmp_path / "out"), "weights": weights}
    yield bundle.create_workflow(
        config_file=str(BUNDLE / "configs" / "inference.json"),
        workflow_type="infer",
        logging_file=False,
        bundle_root=str(BUNDLE),
        device="cpu",
        **settings,
    )
    for name in [name for name in sys.modules if name.startswith("adn_bundle")]:
        del sys.modules[name]


def expected(scan, weights):
    return adn.predict(adn.open_scan(scan), adn.load_model(weights, "cpu")).infarct


def test_the_bundle_marks_what_adn_marks(workflow, scan, weights, tmp_path, caplog):
    caplog.set_level("INFO")
    assert workflow.check_properties() == []
    workflow.run()
    written = Nifti1Image.from_filename(tmp_path / "out" / "head" / "infarct.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), expected(scan, weights).data)
    said = [record.getMessage() for record in caplog.records if record.name == "adn_stroke"]
    result = json.loads((tmp_path / "out" / "head" / "result.json").read_text(encoding="utf-8"))
    assert len(said) == len(result["warnings"]) + 2
    assert result["verdict"].rstrip(".") in said[-2]
    assert said[-1].startswith("For research use only.")


def test_its_network_marks_what_adn_marks(workflow, scan, weights):
    from monai.data.meta_tensor import MetaTensor
    from monai.transforms.compose import Compose
    from monai.transforms.io.dictionary import LoadImaged
    from monai.transforms.utility.dictionary import EnsureChannelFirstd

    network = workflow.network_def
    read = loose(Compose([LoadImaged("image"), EnsureChannelFirstd("image")]))
    image = read({"image": str(scan)})["image"][None]
    mask = loose(workflow.inferer(image, network))
    assert np.array_equal(np.asarray(mask[0, 0]), expected(scan, weights).data)
    assert np.allclose(mask.affine, image.affine)
    assert mask.meta["adn"]["volume_ml"] >= 0

    lps = torch.diag(torch.tensor((-1.0, -1.0, 1.0, 1.0), dtype=torch.float64)) @ image.affine
    again = network(MetaTensor(image.as_tensor(), affine=lps, meta={"space": "LPS"}))
    assert np.array_equal(np.asarray(again), np.asarray(mask))
    with pytest.raises(ValueError, match="One scan"):
        network(image[0])


def test_an_unreadable_scan_is_named_and_the_others_are_marked(workflow, scan, tmp_path, caplog):
    (scan.parent / "broken.nii").write_bytes(b"no scan")
    caplog.set_level("ERROR", logger="adn_stroke")  # whatever tests before have made of the root's level
    with pytest.raises(RuntimeError) as caught:
        workflow.run()
    assert str(caught.value.__cause__).startswith("1 of 2 scans failed")
    assert (tmp_path / "out" / "head" / "infarct.nii.gz").is_file()
    assert any("broken" in record.getMessage() for record in caplog.records if record.levelname == "ERROR")


def test_an_empty_folder_is_refused(workflow, scan):
    scan.unlink()
    with pytest.raises(RuntimeError) as caught:
        workflow.run()
    assert "There is no scan to mark" in str(caught.value.__cause__)
