"""Recipes `paper` and `released`, shrunk to seconds: every stage runs, and predict loads what comes out."""

import csv
import math

import pytest

from adn.feed.augment import Augmented
from adn.feed.virtual import AlignedPatients, PosedPatients
from adn.prediction.model import load_model
from adn.recipes import load_recipe, recipe_from_dict
from adn.training import Machine, train
from adn.training.sources import Source, open_sets
from given import loose


def small(name):
    """The recipe's switches on the tiny grid, with few samples."""
    values, tiny = load_recipe(name).model_dump(), load_recipe("tiny").model_dump()
    values["grid"] = tiny["grid"] | {"shape": (16, 40, 32), "box": (16, 40, 32)}
    values["align"]["channels"], values["network"]["channels"] = (4, 8), (8, 8)
    for stage in ("align", "segment", "tissue_maps"):
        values["train"][stage] |= {"batch_size": 2, "epoch_samples": 2, "max_epochs": 1}
    values["train"] |= {"precision": "fp32", "validation_samples": 1}
    return recipe_from_dict(values)


@pytest.mark.parametrize("name", ["paper", "released"])
def test_the_recipe_trains_through_every_stage(name, tmp_path):
    path = train(small(name), tmp_path / "run", machine=Machine("cpu"))
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    stages = ["align", "segment"] if name == "paper" else ["align", "tissue_maps", "segment"]
    assert [row["stage"] for row in rows] == stages
    assert all(math.isfinite(float(row["loss"])) for row in rows)
    assert load_model(path, device="cpu").recipe.name == name


def test_virtual_patients_are_posed_if_l_f_is_in_scan_space_and_augmented_if_the_recipe_says_so(tmp_path):
    paper, released = (open_sets(small(name), Source(), tmp_path) for name in ("paper", "released"))
    assert isinstance(paper.training, PosedPatients)
    assert not paper.aligned
    assert isinstance(released.training, Augmented)
    assert isinstance(released.align, Augmented)
    assert isinstance(loose(released.training).dataset, AlignedPatients)
    assert released.aligned
    assert not isinstance(loose(released.validation).dataset, Augmented)
