"""Where a run's cases come from if it mixes several sources."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from adn.datasets.layouts import Case, write_licence
from adn.errors import InputError
from adn.feed.aligned import _packed
from adn.feed.cases import Chosen
from adn.feed.samples import Sample
from adn.io.weights import find_weights, read_weights, save_weights
from adn.nn.baselines import build_model
from adn.recipes import load_recipe
from adn.training import Begin, Machine, Watch, fit, resume, sources, train
from adn.training.logbook import read_log
from adn.training.sources import Source, open_sets
from adn.training.stages import _licence
from adn.training.validate import validator

WHOLE = load_recipe("slicewise-mix")
COARSE = {"spacing_mm": tuple(2 * mm for mm in WHOLE.grid.spacing_mm), "shape": (24, 64, 64), "box": (16, 48, 40)}
MIX = WHOLE.model_copy(update={"grid": WHOLE.grid.model_copy(update=COARSE)})


def test_whole_heads_are_required_by_mixing_recipes_and_refused_by_others(tmp_path):
    with pytest.raises(InputError, match=r"train\.mix"):
        open_sets(load_recipe("fast"), Source(data=tmp_path, heads=tmp_path), tmp_path)
    with pytest.raises(InputError, match=r"train\.mix"):
        open_sets(MIX, Source(data=tmp_path), tmp_path)


def test_a_source_survives_the_run_record(tmp_path):
    source = Source(data=tmp_path, heads=tmp_path / "heads", heads_split=tmp_path / "split.csv")
    assert Source.from_record(source.record()) == source
    assert source.gone() == [tmp_path / "split.csv", tmp_path / "heads"] or len(source.gone()) == 2


@pytest.fixture
def aligned(tmp_path, monkeypatch):
    """Stands in for reading and aligning: files of phantoms, by the case's name."""

    def make(case, grid, weights):
        path = tmp_path / f"{case.name}.safetensors"
        z, y, x = torch.meshgrid(*[2 * torch.arange(n) - (n - 1) for n in grid.box], indexing="ij")  # half voxels
        brain = ((z / 14) ** 2 + (y / 34) ** 2 + (x / 28) ** 2 <= 1) & ((z.abs() < 5) | (case.infarct is None))
        infarct = torch.zeros(grid.box)
        if case.name.startswith("part"):
            brain = brain & (z.abs() < 5)
            infarct = (brain & (y.abs() < 6) & (x > 8) & (x < 20)).float()
        sample = Sample((brain * 0.4 - 0.08 * infarct)[None], infarct[None], (brain[None] * 2).to(torch.uint8))
        if case.name == "part2":
            raise InputError("Case part2: no brain.")
        save_file(_packed(sample), path)
        return path, True

    def chosen(data, split=None, fold=None, seed=0):
        kind = "part" if data.name == "parts" else "head"
        cases = [Case(f"{kind}{i}", f"{kind}{i}", Path("ct")) for i in range(4)]
        return Chosen(cases[:3], cases[3:], "3 train.")

    monkeypatch.setattr(sources, "ensure_aligned", make)
    monkeypatch.setattr(sources, "choose_cases", chosen)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"split": Path("s.csv")}, "among cases on disk"),
        ({"fold": 0}, "among cases on disk"),
        ({"data": Path("d"), "lesions": Path("m")}, "describe virtual patients"),
        ({"heads": Path("h")}, "go with `data`"),
        ({"data": Path("d"), "heads_split": Path("s.csv")}, "go with `data`"),
    ],
)
def test_unused_arguments_are_refused(named, words):
    with pytest.raises(InputError, match=words):
        Source(**named)


def test_a_mix_has_the_expected_sets(tmp_path, aligned):
    source = Source(data=tmp_path / "parts", heads=tmp_path / "heads")
    sets = open_sets(MIX, source, tmp_path / "patients")
    assert sets.aligned
    assert len(sets.training) == MIX.train.segment.max_epochs * MIX.train.segment.epoch_samples  # type: ignore[arg-type]
    assert [path.stem for path in sets.training.cases.outlined] == ["part0", "part1"]  # type: ignore[attr-defined]
    assert set(sets.groups) >= {"outlined", "whole"}
    assert len(sets.groups) == len(sets.validation)


def test_kinds_of_validation_cases_are_scored_separately(tmp_path, aligned):
    sets = open_sets(MIX, Source(data=tmp_path / "parts", heads=tmp_path / "heads"), tmp_path / "patients")
    channels = {"network": MIX.network.model_copy(update={"channels": (8, 8, 8, 8)})}
    recipe = MIX.model_copy(update=channels)
    found = validator(build_model(recipe).eval(), sets.validation, True, recipe, sets.groups)(1)
    assert {"dice", "dice_outlined", "false_positive_ml", "false_positive_ml_whole", "falsely_called_whole"} <= set(
        found
    )
    assert 0 <= found["score"] <= 1


def small_mix():
    """Recipe slicewise-mix with small networks, two steps in one epoch and no virtual patients."""
    network = MIX.network.model_copy(update={"channels": (8, 8, 8, 8)})
    align = MIX.align.model_copy(update={"channels": (8, 8)})
    stage = MIX.train.segment.model_copy(
        update={"batch_size": 1, "epoch_samples": 3, "max_epochs": 1, "average_steps": 0, "warmup_steps": 0}
    )
    mix = MIX.train.mix.model_copy(update={"virtual": 0.0})
    train = MIX.train.model_copy(update={"segment": stage, "mix": mix, "slices": 2, "precision": "fp32", "pool": None})
    return MIX.model_copy(update={"network": network, "align": align, "train": train})


def test_a_stopped_mix_resumes_to_the_same_weights_and_keeps_the_licences_of_the_data(tmp_path, aligned):
    recipe = small_mix()
    for folder, note in (("parts", "For research use only."), ("heads", "CC BY 4.0.")):
        (tmp_path / folder).mkdir()
        write_licence(tmp_path / folder, note)
    source = Source(data=tmp_path / "parts", heads=tmp_path / "heads")
    save_weights(build_model(recipe).state_dict(), recipe.model_dump(mode="json"), tmp_path / "t.safetensors")
    begin, machine = Begin(tmp_path / "t.safetensors"), Machine("cpu")
    whole = train(recipe, tmp_path / "whole", source, begin, machine)

    class Stopped(Exception):
        pass

    def stop(stage, step, steps, scalars):
        if step == 2:
            raise Stopped

    monkey = pytest.MonkeyPatch()
    monkey.setattr(fit, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(Stopped):
        train(recipe, tmp_path / "run", source, begin, machine, Watch(stop))
    monkey.undo()
    again = resume(tmp_path / "run")
    first, second = (read_weights(path)[0] for path in (whole, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {find_weights(path).licence for path in (whole, again)} == {"For research use only.\nCC BY 4.0."}
    (row,) = read_log(tmp_path / "run" / "log.csv")
    assert 0 <= float(row["val_score"]) <= 1


def test_licences_are_those_of_the_data_and_of_the_weights_that_a_run_begins_from(tmp_path):
    assert _licence(tmp_path, Source(), Begin("fast-plus")) == ""
    save_weights({}, {}, tmp_path / "a.safetensors", licence="For research use only.")
    assert find_weights(tmp_path / "a.safetensors").licence == "For research use only."
    write_licence(tmp_path, "For  research\nuse only.")
    both = _licence(tmp_path, Source(data=tmp_path, heads=tmp_path), Begin(tmp_path / "a.safetensors"))
    assert both == "For research use only."
