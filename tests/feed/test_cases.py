"""Which cases train: whole patients are held out, as a split says or by the seed; samples come from the cache."""

import pytest
import torch

from adn.datasets.export import export_cases
from adn.datasets.layouts import find_cases
from adn.datasets.splits import Split, SplitRow, make_split, write_split
from adn.errors import InputError
from adn.feed.cases import PreparedCases, choose_cases
from adn.recipes import load_recipe
from damaged import write_patient


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four patients, one with two scans, and a scan without mask."""
    folder = tmp_path_factory.mktemp("cases")
    for name in ("a", "b", "c", "sub-d_1", "sub-d_2"):
        write_patient(folder / name)
    write_patient(folder / "unmarked", infarct=None)
    return folder


def test_without_a_split_the_seed_holds_patients_out(folder):
    train, held, note = choose_cases(folder, seed=1)
    assert {case.name for case in train + held} == {"a", "b", "c", "sub-d_1", "sub-d_2"}
    assert not {case.subject for case in train} & {case.subject for case in held}
    assert len({case.subject for case in held}) == 1
    assert f"{len(held)} held out" in note
    assert choose_cases(folder, seed=1).validation == held


def test_a_split_says_who_trains_and_test_cases_are_in_neither(folder, tmp_path):
    rows = [SplitRow("a", "a", "train", 0), SplitRow("b", "b", "train", 1), SplitRow("c", "c", "test")]
    write_split(Split(tuple(rows)), tmp_path / "split.csv")
    train, held, _ = choose_cases(folder, tmp_path / "split.csv", fold=1)
    assert ([case.name for case in train], [case.name for case in held]) == (["a"], ["b"])
    write_split(Split((*rows, SplitRow("gone", "gone", "train", 0))), tmp_path / "split.csv")
    with pytest.raises(InputError, match="gone"):
        choose_cases(folder, tmp_path / "split.csv", fold=0)


def test_a_single_patient_is_reported_as_scored_on_itself(tmp_path):
    write_patient(tmp_path / "a")
    chosen = choose_cases(tmp_path)
    assert chosen.train is chosen.validation
    assert "only one patient" in chosen.note


def test_scans_without_any_mask_cannot_train(tmp_path):
    write_patient(tmp_path / "a", infarct=None)
    with pytest.raises(InputError, match="none has an infarct mask"):
        choose_cases(tmp_path)


def test_samples_use_every_case_once_per_round(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    recipe = load_recipe("tiny")
    train = choose_cases(folder).train
    cases = PreparedCases(recipe, train, count=2 * len(train))
    assert len(list((tmp_path / "adn/prepared").iterdir())) == len(train)
    sample = cases[0]
    assert sample.brain.shape == sample.infarct.shape == (1, *recipe.grid.shape)
    assert sample.brain.dtype == torch.float32
    assert set(sample.infarct.unique().tolist()) == {0.0, 1.0}
    assert cases.coarse_brains()[0].brain.shape == (1, *recipe.grid.shape)


def test_nnunets_test_cases_are_not_trained_on_without_a_split(folder, tmp_path):
    cases = find_cases(folder)
    split = make_split([(case.name, case.subject, 1.0) for case in cases if case.infarct], test=0.25)
    export_cases(cases, "nnunet", tmp_path / "out", split)
    kept = {row.case for row in split.rows if row.part == "test"}
    train, held, _ = choose_cases(tmp_path / "out")
    assert not {case.name for case in train + held} & kept
    assert len(train) + len(held) + len(kept) == 5
