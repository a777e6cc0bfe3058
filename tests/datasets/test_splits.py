"""Splits: by patient, with every infarct size in each part, reproducible by seed; a leak never goes unreported."""

import numpy as np
import pytest

from adn.datasets.splits import Split, SplitRow, leaks, make_split, read_rows, read_split, write_split
from adn.errors import InputError
from given import given


def patients(n=20, scans=1):
    """n patients with 0, 1, 4, 9 … mL, each with as many scans."""
    return [(f"case-{i:02d}-{j}", f"p{i:02d}", float(i**2)) for i in range(n) for j in range(scans)]


def subjects(split, names):
    return {row.subject for row in split.rows if row.case in names}


def test_folds_hold_out_every_patient_once_and_differ_by_one_at_most():
    split = make_split(patients(18, scans=2), folds=5, test=0.0)
    assert split.folds == 5
    seen = [subjects(split, split.parts(k).validation) for k in range(5)]
    assert sorted(len(s) for s in seen) == [3, 3, 4, 4, 4]
    assert set.union(*seen) == {f"p{i:02d}" for i in range(18)}
    for k in range(5):
        train, validation, test = split.parts(k)
        assert len(train) + len(validation) == 36
        assert not subjects(split, train) & subjects(split, validation)
        assert test == ()


def test_every_fold_gets_one_of_each_five_neighbours_in_volume():
    split = make_split(patients(20), folds=5, test=0.0)
    for k in range(5):
        sizes = sorted(np.sqrt(given(row.infarct_ml)) for row in split.rows if row.fold == k)
        assert [int(size) // 5 for size in sizes] == [0, 1, 2, 3]


def test_a_hold_out_has_the_requested_shares_across_volumes():
    split = make_split(patients(20), validation=0.2, test=0.2)
    train, validation, test = split.parts()
    assert (len(train), len(validation), len(test)) == (12, 4, 4)
    sizes = sorted(int(name[5:7]) // 5 for name in test)
    assert sizes == [0, 1, 2, 3]


def test_the_seed_decides_and_the_order_of_cases_does_not():
    assert make_split(patients(), seed=3) == make_split(patients()[::-1], seed=3)
    assert make_split(patients(), seed=3) != make_split(patients(), seed=4)


def test_a_split_is_read_as_written(tmp_path):
    for split in (make_split(patients(12)), make_split(patients(12), folds=3)):
        write_split(split, tmp_path / "split.csv")
        assert read_split(tmp_path / "split.csv") == split


def test_a_patient_on_both_sides_is_refused(tmp_path):
    split = Split((SplitRow("a", "p", "train"), SplitRow("b", "p", "test"), SplitRow("c", "q", "train")))
    write_split(split, tmp_path / "split.csv")
    with pytest.raises(InputError, match=r"split\.csv.*'p' is in test and in train"):
        read_split(tmp_path / "split.csv")
    assert leaks(read_rows(tmp_path / "split.csv")) == ["subject 'p' is in test and in train"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,part\na,train\n", "lacks case"),
        ("case,part\na,treining\n", "line 2"),
        ("case,part\na,train\na,test\n", "listed twice"),
        ("case,part,fold\na,train,1\nb,train,2\n", "numbered from 0"),
        ("case,part\n", "empty"),
    ],
)
def test_a_broken_split_is_reported_in_a_sentence(tmp_path, text, words):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_split(tmp_path / "split.csv")


def test_folds_are_chosen_by_number():
    folds, hold_out = make_split(patients(), folds=4), make_split(patients())
    for fold in (None, 4, -1):
        with pytest.raises(InputError, match="folds 0 to 3"):
            folds.parts(fold)
    with pytest.raises(InputError, match="hold-out"):
        hold_out.parts(0)


def test_too_few_patients_are_refused():
    with pytest.raises(InputError, match="there are 3"):
        make_split(patients(3), folds=5)
