"""Training on small virtual patients: it runs, it resumes to the same numbers, it refuses what cannot work."""

import csv
import math

import pytest
import torch

from adn.config import load_recipe
from adn.errors import InputError, OutputError
from adn.io.weights import read_weights
from adn.predict import load_model
from adn.synthesize import synthesize
from adn.train import train
from adn.train.fit import append_row, is_flat


def small_recipe(**segment):
    """The tiny recipe, without bf16, so that numbers can be compared."""
    recipe = load_recipe("tiny")
    stage = recipe.train.segment.model_copy(update=segment)
    return recipe.model_copy(
        update={
            "train": recipe.train.model_copy(update={"segment": stage, "precision": "fp32", "validation_samples": 1})
        }
    )


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(small_recipe(), out, device="cpu")
    return out


def test_a_run_leaves_weights_that_predict_loads(finished):
    model = load_model(finished / "weights.safetensors", device="cpu")
    assert model.recipe.name == "tiny"
    rows = list(csv.DictReader((finished / "segment.csv").open()))
    assert len(rows) == small_recipe().train.segment.max_epochs
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())
    assert len(list(csv.DictReader((finished / "validation.csv").open()))) == len(rows)


def test_a_killed_run_resumes_to_the_same_weights(finished, tmp_path):
    def die(stage, step, steps, scalars):
        if stage == "segment" and step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(small_recipe(), tmp_path / "run", progress=die, device="cpu")
    train(small_recipe(), tmp_path / "run", resume=True, device="cpu")
    whole, _ = read_weights(finished / "weights.safetensors")
    again, _ = read_weights(tmp_path / "run" / "weights.safetensors")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_used_run_folder_and_another_recipe_are_refused(finished):
    with pytest.raises(OutputError, match="not empty"):
        train(small_recipe(), finished, device="cpu")
    with pytest.raises(InputError, match="another recipe"):
        train(small_recipe(max_epochs=5), finished, resume=True, device="cpu")


def test_cases_on_disk_train_too(tmp_path):
    synthesize(2, tmp_path / "cases", seed=4, matrix=96)
    path = train(small_recipe(max_epochs=1), tmp_path / "run", data=tmp_path / "cases", device="cpu")
    assert path.is_file()


def test_a_folder_without_cases_is_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"ct\.nii\.gz"):
        train(small_recipe(), tmp_path / "run", data=tmp_path, device="cpu")


def test_training_dice_is_flat_when_three_epochs_lie_within_the_band(tmp_path):
    log = tmp_path / "segment.csv"
    for value in (0.2, 0.50, 0.51, 0.505):
        append_row(log, {"dice": value})
    assert is_flat(log, 0.02)
    assert not is_flat(log, 0.005)
    assert not is_flat(log, None)
    append_row(log, {"dice": 0.6})
    assert not is_flat(log, 0.02)
