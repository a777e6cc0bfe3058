"""Weights by name and path, ensembles of them, and the messages for those that cannot be used."""

import hashlib
import shutil

import pytest
import torch

from adn.errors import ConfigError, InputError, WeightsError
from adn.io import weights
from adn.io.weights import find_weights, list_weights, save_weights
from adn.nn.adn import build_adn
from adn.prediction.model import load_model
from adn.recipes import load_recipe, recipe_from_dict
from adn.training.initial import take_over


@pytest.fixture
def folder(tmp_path):
    """Two small networks, one in a run folder, and an ensemble that names them."""
    recipe = load_recipe("tiny")
    (tmp_path / "run").mkdir()
    for path in (tmp_path / "a.safetensors", tmp_path / "run" / "weights.safetensors"):
        save_weights(build_adn(recipe).state_dict(), recipe.model_dump(), path)
    write(tmp_path, 'threshold = 0.3\n[[members]]\nweights = "a.safetensors"\n[[members]]\nweights = "run"\n')
    return tmp_path


def write(folder, text):
    (folder / "both.toml").write_text(text)


def test_paths_in_an_ensemble_are_relative_to_its_folder(folder):
    found = find_weights(folder / "both.toml")
    assert found.members == (folder / "a.safetensors", folder / "run" / "weights.safetensors")
    assert not found.shipped
    model = load_model(folder / "both.toml", device="cpu")
    assert (model.recipe.name, model.recipe.threshold) == ("both", 0.3)


def test_the_hash_of_an_ensemble_covers_all_its_files_in_order(folder):
    files = [folder / "both.toml", folder / "a.safetensors", folder / "run" / "weights.safetensors"]
    joined = b"".join(path.read_bytes() for path in files)
    found = find_weights(folder / "both.toml")
    assert found.sha256 == hashlib.sha256(joined).hexdigest()
    assert found.megabytes == pytest.approx(len(joined) / 1e6)


def test_an_ensemble_file_is_read_only_once(folder):
    found = find_weights(folder / "both.toml")
    assert found.ensemble is not None
    assert [member.weights for member in found.ensemble.members] == ["a.safetensors", "run"]
    (folder / "both.toml").unlink()
    assert load_model(found, device="cpu").weights is found


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ('[[members]]\nweights = "a.safetensors"\n', ConfigError, "members"),
        ('[[members]]\nweights = "a.safetensors"\n[[members]]\nweights = "none"\n', WeightsError, "no weights 'none'"),
        ('[[members]]\nweights = "both.toml"\n[[members]]\nweights = "run"\n', WeightsError, "contains an ensemble"),
        ('treshold = 0.3\n[[members]]\nweights = "run"\n[[members]]\nweights = "run"\n', ConfigError, "threshold"),
        ('[[members]]\nweights = "run"\nshares = 1\n[[members]]\nweights = "run"\n', ConfigError, "members.0.share"),
        ('[[members]]\nweights = "run"\nshare = 0\n[[members]]\nweights = "run"\n', ConfigError, "greater than 0"),
        ("members = [", ConfigError, "TOML"),
    ],
)
def test_an_invalid_ensemble_is_explained(folder, text, error, said):
    write(folder, text)
    with pytest.raises(error, match=said):
        find_weights(folder / "both.toml")


def test_training_starts_from_a_member_not_from_an_ensemble(folder):
    with pytest.raises(InputError, match="start from a member"):
        take_over(build_adn(load_recipe("tiny")), folder / "both.toml")


def test_networks_with_other_backbones_reuse_only_t():
    recipe = load_recipe("fast-plus").model_dump()
    recipe["network"] = {"channels": [8, 8], "d_backbone": "slicewise", "f_backbone": "slicewise"}
    model, given = build_adn(recipe_from_dict(recipe)), weights.read_weights(find_weights("fast-plus").path)[0]
    before = {name: x.clone() for name, x in model.state_dict().items()}
    take_over(model, "fast-plus")
    for name, x in model.state_dict().items():
        assert torch.equal(x, given[name] if name.startswith("align.") else before[name])


def test_a_damaged_member_of_shipped_weights_is_noticed(tmp_path, monkeypatch):
    shutil.copytree(weights.shipped_folder(), tmp_path / "weights")
    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path / "weights")
    names = [entry.name for entry in list_weights() if entry.name != weights.TISSUE]
    text = "".join(f'[[members]]\nweights = "{name}"\n' for name in names[:2])
    (tmp_path / "both.toml").write_text(text, encoding="utf-8")
    member = tmp_path / "weights" / f"{names[1]}.safetensors"
    member.write_bytes(member.read_bytes()[:-1] + b"\0")
    with pytest.raises(WeightsError, match=rf"{member.name}: is damaged"):
        find_weights(tmp_path / "both.toml")
