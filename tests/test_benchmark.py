"""The benchmark end to end on small virtual patients: two rows, trained, scored, skipped; and when a row counts."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from adn import benchmark as module
from adn.benchmark import METHODS, FixedSet, Listener, benchmark, is_flat
from adn.datasets.layouts import Case
from adn.errors import ConfigError, InputError
from adn.io import open_scan, read_volume, write_volume
from adn.io.weights import WeightsFile
from adn.nn.adn import build_adn
from adn.prediction.assemble import predict
from adn.prediction.model import Model
from adn.recipes import load_recipe, recipe_from_dict, row_names, row_recipe
from adn.training import Machine, Source
from adn.virtual.folders import synthesize
from given import COARSE
from phantoms import head


def test_every_row_has_a_recipe_and_the_papers_numbers_are_those_of_table_1():
    assert sorted(method.name for method in METHODS) == row_names()
    assert {method.name: method.paper for method in METHODS}["adn"] == (0.5245, 39.18)
    assert sum(method.paper is not None for method in METHODS) == 8


def test_a_row_counts_when_its_validation_dice_was_flat_for_three_evaluations():
    assert is_flat((0.1, 0.40, 0.41, 0.42))
    assert not is_flat((0.1, 0.40, 0.41, 0.43))
    assert not is_flat((0.41, 0.42))
    assert not is_flat((0.0, 0.0, 0.0))  # it never learnt anything
    assert not is_flat((0.025, 0.010, 0.015))  # nor has it begun to


def test_a_row_changes_its_own_settings_and_nothing_else():
    base, row = load_recipe("tiny").model_dump(), load_recipe("tiny+sean").model_dump()
    assert {key for key in base if base[key] != row[key]} == {"name", "summary", "method"}
    with pytest.raises(ConfigError, match="fast"):
        load_recipe("fast+nothing")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    synthesize(3, folder / "data", seed=4, matrix=96)
    rows = [("vp-0000", "train"), ("vp-0001", "validation"), ("vp-0002", "test")]
    with (folder / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("case", "part"), *rows])
    return folder


def small():
    recipe = load_recipe(COARSE)
    align = recipe.train.align.model_copy(update={"epoch_samples": 2})
    segment = recipe.train.segment.model_copy(update={"batch_size": 1, "epoch_samples": 1, "max_epochs": 1})
    train = recipe.train.model_copy(update={"align": align, "segment": segment, "precision": "fp32"})
    return recipe.model_copy(update={"train": train})


def test_rows_are_trained_scored_resumed_and_skipped(cases, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said: list[str] = []

    def go(out=tmp_path / "out", methods=("resunet", "clerigues")):
        said.clear()
        data = Source(cases / "data", split=cases / "split.csv")
        return benchmark(small(), data, out, methods, Machine("cpu"), Listener(say=said.append))

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # killed when the first row is trained and nothing is predicted
        patch.setattr(module, "_predict", die)
        with pytest.raises(KeyboardInterrupt):
            go()
    assert said == [
        "training T, which all aligned rows share",
        "resunet: training",
        "resunet: predicting 1 test cases",
    ]
    path = go()
    assert said == [
        "resunet: predicting 1 test cases",
        "clerigues: training",
        "clerigues: predicting 1 test cases",
    ]
    table = path.read_text(encoding="utf-8")
    lines = {line.split("|")[2].strip(): line for line in table.splitlines() if line.startswith("| ")}
    assert "| under-trained | 3D ResUNet | no |" in lines["3D ResUNet"]
    assert "| 0.5051 | 43.17 |" in lines["Clèrigues et al."]
    assert "not a medical device" in table.lower()
    assert (tmp_path / "out" / "evaluation" / "report.html").is_file()
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("weights.safetensors")}
    go()
    assert said == ["resunet: done already", "clerigues: done already"]
    assert times == {p: p.stat().st_mtime_ns for p in times}
    with pytest.raises(InputError, match="another recipe or other data"):
        benchmark("tiny", Source(cases / "data", split=cases / "split.csv"), tmp_path / "out")


@pytest.mark.parametrize("zero_outside", [True, False])
def test_the_benchmark_marks_the_voxels_that_predict_marks(tmp_path, zero_outside):
    torch.manual_seed(3)
    recipe = load_recipe("tiny")
    recipe = recipe.model_copy(
        update={"network": recipe.network.model_copy(update={"zero_outside": zero_outside}), "threshold": 0.45}
    )
    weights = WeightsFile("none", Path(__file__), "", 0.0, False)
    model = Model(build_adn(recipe).eval(), recipe, weights, torch.device("cpu"), "fp32")
    write_volume(head((24, 72, 60), (7.0, 3.1, 2.9)), tmp_path / "ct.nii.gz")
    found = predict(open_scan(tmp_path / "ct.nii.gz"), model)
    write_volume(found.brain_mask, tmp_path / "brain.nii.gz")
    case = Case("case", "case", tmp_path / "ct.nii.gz", None, brain=tmp_path / "brain.nii.gz")
    work = module._Work(tmp_path, Source(), Machine("cpu"), Listener(say=print))
    infarct = module._predict(case, model, work)
    np.testing.assert_array_equal(infarct.data, found.infarct.reoriented("SPL").data)
    outside = read_volume(tmp_path / "brain.nii.gz").reoriented("SPL").data == 0
    assert infarct.data[~outside].any()
    assert bool(infarct.data[outside].any()) is not zero_outside


def test_adn_plus_is_adn_with_its_extensions_on_any_recipe():
    for base in ("tiny", "fast", "paper"):
        network, loss = load_recipe(f"{base}+adn-plus").network, load_recipe(f"{base}+adn-plus").loss
        assert "contrast" in network.d_inputs
        assert network.mirror_average
        assert (network.p_form, network.clamp_q, loss.tissue) == ("fraction", False, True)
        plain = load_recipe(f"{base}+adn")
        assert plain.network == load_recipe(base).network  # the paper's ADN stays as it is
        assert plain.loss == load_recipe(base).loss


def test_adn_plus_is_trained_and_scored_and_an_older_folder_can_be_resumed(cases, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said: list[str] = []

    def go():
        said.clear()
        data = Source(cases / "data", split=cases / "split.csv")
        return benchmark(small(), data, tmp_path / "out", ["adn-plus"], Machine("cpu"), Listener(say=said.append))

    table = go().read_text(encoding="utf-8")
    assert "| under-trained | ADN+ | yes |" in table
    asked = tmp_path / "out" / module.ASKED
    before = json.loads(asked.read_text(encoding="utf-8"))
    del before["recipe"]["network"]["mirror_average"]
    asked.write_text(json.dumps(before), encoding="utf-8")
    go()
    assert said == ["adn-plus: done already"]


def test_what_cannot_be_compared_is_refused(cases, tmp_path):
    with pytest.raises(InputError, match="no method 'swin'"):
        benchmark("tiny", Source(cases / "data"), tmp_path / "a", ["swin"])
    with pytest.raises(InputError, match="needs test cases"):
        benchmark("tiny", Source(cases / "data"), tmp_path / "b", ["adn"])
    with pytest.raises(InputError, match="no set of virtual patients named 'vp53'"):
        benchmark("tiny", FixedSet("vp53"), tmp_path / "c", ["adn"])
    assert not list(tmp_path.glob("c/*"))


def test_a_row_may_be_repeated_with_another_seed():
    rows = module._chosen(["adn@1", "sean", "adn"])
    assert [row.name for row in rows] == ["sean", "adn", "adn@1"]
    assert [row.of(load_recipe("tiny")).train.seed for row in rows] == [0, 0, 1]
    assert rows[2].title == "ADN, seed 1"
    with pytest.raises(InputError, match="adn@1"):
        module._chosen(["adn@one"])


def test_every_patient_is_marked_by_the_network_of_its_fold(cases, tmp_path, monkeypatch):
    lines = [("vp-0000", "train", 0), ("vp-0001", "train", 1), ("vp-0002", "test", "")]
    with (tmp_path / "folds.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("case", "part", "fold"), *lines])
    trained, used = [], []

    def train(recipe, run, source, begin, *_):
        trained.append((str(run.relative_to(tmp_path / "out")), source.fold, begin.stages, begin.resume))
        run.mkdir(parents=True)
        for name in ("weights.safetensors", "last.safetensors"):
            (run / name).touch()
        rows = "stage,step,step_seconds,val_dice\nsegment,5,36,0.3\nsegment,10,36,0.5\n"
        (run / "log.csv").write_text(rows)

    def mark(case, model, work):
        used.append((case.name, str(model.relative_to(tmp_path / "out"))))
        return read_volume(case.infarct, np.uint8, "label").reoriented("SPL")

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "load_model", lambda path, device: path)
    monkeypatch.setattr(module, "_predict", mark)
    source = Source(cases / "data", split=tmp_path / "folds.csv")
    path = benchmark(small(), source, tmp_path / "out", ["resunet"], Machine("cpu"), Listener(say=lambda _: None))
    assert trained == [("resunet/fold-0", 0, ("segment",), False), ("resunet/fold-1", 1, ("segment",), False)]
    assert used == [
        ("vp-0000", "resunet/fold-0/last.safetensors"),  # the best epoch was chosen on these very cases
        ("vp-0001", "resunet/fold-1/last.safetensors"),
    ]
    row = next(line for line in path.read_text(encoding="utf-8").splitlines() if "3D ResUNet" in line)
    assert "0.300, 0.500" in row
    assert "| 0.2 |" in row  # 20 steps of 36 s


@pytest.mark.parametrize("recipe", ["paper", "released", "fast", "tiny"])
def test_every_row_fits_every_recipe_of_the_benchmark(recipe):
    for name in row_names():
        assert row_recipe(load_recipe(recipe), name).name == f"{recipe}+{name}"


def test_rows_that_mix_sources_see_the_same_samples():
    base = load_recipe("slicewise-mix")
    base = base.model_copy(update={"train": base.train.model_copy(update={"slices": None})})
    values = base.model_dump()
    values["network"] |= {"d_backbone": "resunet", "f_backbone": "resunet"}
    values["loss"] |= {"l_f": "bce_generalised_dice"}
    base = recipe_from_dict(values)
    for name in ("nnunet", "asymfex", "deepmedic"):
        assert row_recipe(base, name).train.augment == "none"
    turned = row_recipe(base, "nnunet")
    assert turned.train.mix.box == base.grid.box == (32, 88, 72)
    assert turned.grid.box == (32, 96, 96)
