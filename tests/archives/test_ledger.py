"""The ledger survives stops and gives each scan a unique name, and the table agrees with it."""

import pytest

from adn.archives.layout import bids_stem
from adn.archives.ledger import DONE, FAILED, ROWS_A_PART, SET_ASIDE, Counts, Ledger
from adn.archives.sources import Found
from adn.archives.table import update_table
from adn.errors import OutputError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "archive.sqlite"


def filled(path, *names):
    ledger = Ledger(path, {"weights": "x"})
    for name in names:
        ledger.add(Found(name, f"{name}.nii.gz"))
    return ledger


def row(case, **more):
    return {"case": case, "volume_ml": 1.5, **more}


def test_finished_scans_stay_finished_and_the_rest_waits(path):
    ledger = filled(path, "a", "b", "c")
    a, b, c = ledger.waiting(0, 9)
    ledger.finish(a.number, DONE, row("a"))
    ledger.finish(b.number, FAILED, row("b", error="no"))
    ledger.finish(c.number, SET_ASIDE, row("c", error="no"))
    ledger.close()
    ledger = filled(path, "a", "b", "c", "d")
    assert ledger.counts == Counts(waiting=1, done=1, failed=1, set_aside=1)
    assert ledger.add(Found("a", "a.nii.gz")) == "a"
    assert ledger.add(Found("b", "b.nii.gz")) is None
    assert [item.case for item in ledger.waiting(0, 9)] == ["d"]
    assert list(ledger.set_aside()) == ["c"]
    ledger.retry_failed()
    assert ledger.counts == Counts(waiting=3, done=1)
    ledger.close()


def test_scans_of_the_same_name_get_distinct_stable_names(path):
    ledger = filled(path)
    for scan in ("x/head.nii.gz", "y/Head.nii.gz", "x/head.nii.gz"):
        ledger.add(Found(scan[2:6], scan))
    names = [item.case for item in ledger.waiting(0, 9)]
    assert names[0] == "head"
    assert names[1].startswith("Head-")
    assert len(names) == 2
    ledger.close()


def test_other_settings_and_a_second_run_are_refused(path):
    ledger = filled(path)
    with pytest.raises(OutputError, match="other run"):
        Ledger(path, {})
    ledger.close()
    with pytest.raises(OutputError, match="another `weights`"):
        Ledger(path, {"weights": "y"})


def test_the_table_has_each_case_exactly_once(path, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra 'archive'")
    ledger = filled(path, "a", "b")
    a, b = ledger.waiting(0, 9)

    def table():
        update_table(ledger, tmp_path)
        return parquet.read_table(tmp_path / "results.parquet").select(["case", "volume_ml", "error"]).to_pylist()

    ledger.finish(a.number, FAILED, {"case": "a", "error": "too noisy"})
    assert table() == [{"case": "a", "volume_ml": None, "error": "too noisy"}]
    ledger.retry_failed()
    assert table() == []
    ledger.finish(a.number, DONE, row("a"))
    ledger.finish(b.number, DONE, row("b"))
    whole = [{"case": case, "volume_ml": 1.5, "error": None} for case in ("a", "b")]
    assert table() == whole
    next((tmp_path / "results.parquet").iterdir()).unlink()
    assert table() == whole
    ledger.again("a")
    assert table() == whole[1:]
    ledger.close()


def test_parts_hold_ten_thousand_lines(path, tmp_path):
    pytest.importorskip("pyarrow", reason="needs the extra 'archive'")
    ledger = filled(path, *(f"s{number}" for number in range(ROWS_A_PART)))
    (last,) = ledger.waiting(ROWS_A_PART - 1, 9)
    ledger.finish(last.number, DONE, row(last.case))
    assert ledger.stale_parts() == [1]
    update_table(ledger, tmp_path)
    assert ledger.stale_parts() == []
    ledger.close()


def test_names_become_labels_of_bids_that_differ(path):
    assert bids_stem("sub-01_ses-2") == "sub-01_ses-2"
    assert bids_stem("head7") == "sub-head7"
    assert len({bids_stem(name) for name in ("head-7", "head_7", "head7")}) == 3
