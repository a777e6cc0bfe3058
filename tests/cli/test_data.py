"""`adn data` and `adn split` as users see them: messages, exit codes, files."""

import csv
import re
import signal
import sys

import numpy as np
import pytest

from adn.cli import app
from adn.datasets.splits import read_split
from adn.results import DISCLAIMER
from damaged import patient, write_patient


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run `adn` in this process; gives exit code, stdout, stderr as one line each."""
    monkeypatch.setattr("adn.work.pool.cores", lambda: 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["adn", *map(str, arguments)])
        code = app.main()
        out, err = capsys.readouterr()
        return code, " ".join(out.split()), " ".join(err.split())

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def shifted(steps):
    """The same head elsewhere in the field of view, so that it is another scan."""
    return {name: volume.with_data(np.roll(volume.data, steps, 2)) for name, volume in patient().items()}


@pytest.fixture
def folder(tmp_path):
    """Four patients, all in order."""
    for steps, name in enumerate("abcd"):
        write_patient(tmp_path / "set" / name, **shifted(steps))
    return tmp_path / "set"


@pytest.mark.parametrize(
    "command", [("data",), *(("data", c) for c in ("check", "prepare", "export", "list")), ("split",)]
)
def test_every_help_ends_with_the_disclaimer(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert out.endswith(DISCLAIMER)


def test_a_good_set_passes_and_a_flipped_mask_blocks(run, folder, tmp_path):
    code, out, _ = run("data", "check", folder)
    assert (code, "4 cases: no problems found." in out) == (0, True)
    mask = shifted(0)["infarct"]
    write_patient(folder / "a", infarct=mask.with_data(np.flip(mask.data, 0)))
    write_patient(folder / "<b>", **{**shifted(5), "infarct": None})
    code, out, _ = run("data", "check", folder, "-o", tmp_path / "out", "--jobs", 2)
    assert code == 4
    assert "flipped mask, blocks" in out
    assert "5 cases: 1 problem to solve before training, 1 more to look at." in out
    rows = list(csv.DictReader((tmp_path / "out/check.csv").read_text().splitlines()))
    assert [(row["case"], row["problem"], row["blocks"]) for row in rows] == [
        ("a", "flipped mask", "yes"),
        ("<b>", "no mask", "no"),
    ]
    page = (tmp_path / "out/check.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 5
    assert DISCLAIMER in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert not re.search(r"<script|https?://|src=\"(?!data:)", page)


def test_preparing_reports_its_speed_and_resumes(run, folder, tmp_path):
    code, out, _ = run("data", "prepare", folder, "--recipe", "tiny")
    assert code == 0
    assert re.search(r"4 of 4 cases prepared, \d+ per minute", out)
    kept = sorted((tmp_path / "cache/adn/prepared").iterdir())
    kept[0].unlink()
    mask = shifted(1)["infarct"]
    write_patient(folder / "c", infarct=mask.with_data(mask.data * 2))
    code, out, err = run("data", "prepare", folder, "--recipe", "tiny")
    assert code == 3
    assert "3 of 4 cases prepared (2 were there already)" in out
    assert "Case c:" in err
    assert [path for path in kept if path.exists()] == kept


def test_a_split_is_not_replaced_without_asking_and_names_its_parts(run, folder, tmp_path):
    table = tmp_path / "split.csv"
    code, out, _ = run("split", folder, "-o", table, "--validation", 0.25, "--test", 0.25)
    assert code == 0
    assert "train 2 2 0" in out
    assert run("split", folder, "-o", table)[0] == 2
    assert run("split", folder, "-o", table, "--folds", 2, "--overwrite")[0] == 0
    assert read_split(table).folds == 2
    code, out, _ = run("data", "list", folder, "--split", table, "--part", "validation", "--fold", 1)
    assert code == 0
    assert out.split() == [str(folder / name / "ct.nii.gz") for name in read_split(table).parts(1).validation]


@pytest.mark.parametrize(
    "arguments",
    [
        ("data", "check", "absent"),
        ("data", "export", "set", "--to", "bids", "--split", "split.csv", "-o", "out"),
        ("data", "export", "set", "--to", "dicom", "-o", "out"),
        ("data", "list", "set", "--part", "test"),
        ("split", "set", "-o", "split.csv", "--folds", "1"),
        ("split", "set", "-o", "split.csv", "--folds", "9"),
    ],
)
def test_wrong_usage_exits_with_2_and_leaves_nothing(run, folder, monkeypatch, arguments):
    monkeypatch.chdir(folder.parent)
    assert run(*arguments)[0] == 2
    assert [path.name for path in folder.parent.iterdir()] == ["set"]
