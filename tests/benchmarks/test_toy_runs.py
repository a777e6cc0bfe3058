"""Scripts in benchmarks/ run to their end, on one small virtual patient and networks that were never trained."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

from adn.io import weights
from adn.nn.adn import build_adn
from adn.recipes import load_recipe
from adn.virtual.folders import synthesize

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """cases/, results/ and results2/ of it, series/, run/ with a log, and tiny.safetensors."""
    folder = tmp_path_factory.mktemp("toys")
    synthesize(1, folder / "cases", seed=1, matrix=96)
    recipe = load_recipe("tiny")
    torch.manual_seed(0)
    weights.save_weights(build_adn(recipe).state_dict(), recipe.model_dump(), folder / "tiny.safetensors")
    return folder


RUNS = {
    "speed/install_size": "--of packaging --without numpy",
    "speed/operations": "--recipe tiny --rows resunet --samples 10",
    "speed/synth_speed": "-n 1",
    "quality/assessable_heads": "cases -n 1",
    "quality/tissue_levels": "cases -n 1 --painted cases --heads 1",
    "quality/skull_stripping": "-n 1",
    "quality/alignment": "-n 2 --matrix 64 --weights tiny.safetensors",
    "quality/tissue": "-n 1 --matrix 64",
    "quality/disentanglement": "tiny.safetensors -n 1 --split all",
    "quality/weights": "cases -o scores --weights tiny.safetensors",
    "quality/turned": "cases -o turned.csv",
    "quality/contrast": "--plain cases -o contrast.csv",
    "quality/fuzz": "fuzz.csv --count 6",
    "quality/hostile": "hostile --count 6",
    "quality/no_heads": "cases/vp-0000/ct.nii.gz cases/vp-0000/brain.nii.gz cases/vp-0000/tissue.nii.gz constant",
    "quality/territory": "-n 1 --matrix 64",
    "studies/visible": "tiny --looks 2 --pool 1",
    "studies/network_inputs": "--cases cases -o inputs --weights tiny.safetensors",
}


@pytest.mark.parametrize("name", RUNS)
def test_a_script_runs_to_its_end(name, toys, monkeypatch, capfd):
    path = FOLDER / f"{name}.py"
    monkeypatch.chdir(toys)
    monkeypatch.setattr(weights, "DEFAULT", str(toys / "tiny.safetensors"))
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    monkeypatch.setattr(sys, "argv", [str(path), *RUNS[name].split()])
    runpy.run_path(str(path), run_name="__main__")
    assert capfd.readouterr().out.strip()
