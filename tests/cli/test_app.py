"""The commands as users see them: messages, exit codes, and what is left behind."""

import csv
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import adn
from adn.cli import app, terminal
from adn.prediction import batch
from adn.recipes import row_names
from adn.results import DISCLAIMER
from stand_ins import ByName


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `adn` with arguments in this process; gives exit code, stdout, stderr as one line each."""
    monkeypatch.setattr(batch, "predict_all", partial(batch.predict_all, work=ByName))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["adn", *map(str, arguments)])
        code = app.main()
        out, err = capsys.readouterr()
        return code, " ".join(out.split()), " ".join(err.split())

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def scans(folder, *names):
    paths = [folder / f"{name}.nii.gz" for name in names]
    for path in paths:
        path.touch()
    return paths


@pytest.mark.parametrize("command", [(), ("predict",), ("synth",), ("train",), ("evaluate",), ("info",)])
def test_every_help_ends_with_the_disclaimer(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert out.endswith(DISCLAIMER)


def test_the_version_is_printed(run):
    assert run("--version") == (0, f"adn {adn.__version__}", "")


def test_one_scan_says_volume_side_and_report(run, tmp_path):
    code, out, err = run("predict", *scans(tmp_path, "scan"), "-o", tmp_path / "out")
    assert code == 0
    assert out == f"Infarct of 12.3 mL, left side. {tmp_path}/out/scan/report.html {DISCLAIMER}"
    assert err == "warning: thin slices"
    assert not (tmp_path / "out/results.csv").exists()


def test_a_scan_that_is_not_assessable_is_reported_first_and_is_not_a_failure(run, tmp_path):
    code, out, _ = run("predict", *scans(tmp_path, "noise"), "-o", tmp_path / "out")
    assert code == 0
    assert out.startswith("Not assessable, because the scan is too noisy; do not rely on the 12.3 mL marked. ")


def test_quiet_prints_errors_only(run, tmp_path):
    good, bad = scans(tmp_path, "scan", "bad")
    assert run("predict", good, "-o", tmp_path / "out", "-q") == (0, "", "")
    code, out, err = run("predict", bad, "-o", tmp_path / "out", "-q")
    assert (code, out, err) == (2, "", f"adn: error: {bad} is not a head CT.")


def test_several_scans_give_a_table_with_failures_in_the_given_order(run, tmp_path):
    code, out, err = run("predict", *scans(tmp_path, "a", "bad", "b"), "-o", tmp_path / "out")
    assert code == 3
    assert "2 of 3 scans done" in out
    assert f"adn: error: bad: {tmp_path}/bad.nii.gz is not a head CT." in err
    with (tmp_path / "out/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["a", "bad", "b"]
    assert rows[1]["error"].endswith("is not a head CT.")


def test_a_table_separates_scans_with_the_same_case_name(run, tmp_path):
    names = [os.fsdecode(b"d\xfcr"), "bad 患者", "王"]
    for name in names:
        (tmp_path / name).mkdir()
    given = [tmp_path / name for name in names]
    assert run("predict", *given, "-o", tmp_path / "out")[0] == 3
    with (tmp_path / "out/results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["dr", "bad", "scan"]
    assert [row["scan"] for row in rows] == [f"{tmp_path}/d\\udcfcr", *map(str, given[1:])]


def test_letters_that_a_terminal_cannot_show_are_escaped():
    """As a Latin-1 terminal cannot show what `adn info` prints, nor any a path that is no UTF-8."""
    program = r"from adn.cli import terminal; terminal.spell_out_unknown_letters(); print('x\u2026\udcfc\xe9')"
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    shown = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout
    assert shown == b"x\\u2026\\udcfc\xe9\n"


def test_leftovers_of_killed_runs_are_removed(run, tmp_path):
    killed = "from adn.io.atomic import _hidden_name as n; from pathlib import Path; n(Path('a'), 'partial').mkdir()"
    (tmp_path / "out").mkdir()
    subprocess.run([sys.executable, "-c", killed], cwd=tmp_path / "out", check=True)
    (tmp_path / "out" / ".mine.partial-1").mkdir()
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert run("predict", *scans(tmp_path, "b"), "-o", tmp_path / "out")[0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".mine.partial-1"]


def test_a_dicom_seg_of_a_non_dicom_scan_is_refused_before_any_work(run, tmp_path):
    pytest.importorskip("highdicom")
    (tmp_path / "series").mkdir()
    (path,) = scans(tmp_path, "bug")
    code, out, err = run("predict", tmp_path / "series", path, "-o", tmp_path / "out", "--dicom-seg")
    assert (code, out) == (2, "")
    assert f"{path}: --dicom-seg needs the scan as DICOM" in err
    assert not (tmp_path / "out").exists()
    assert run("predict", tmp_path / "series", "-o", tmp_path / "out", "--dicom-seg")[0] == 0


def test_only_bad_input_exits_with_2(run, tmp_path):
    assert run("predict", *scans(tmp_path, "bad1", "bad2"), "-o", tmp_path / "out")[0] == 2


def test_a_bug_says_how_to_report_it_and_shows_a_traceback_only_on_request(run, tmp_path, monkeypatch):
    monkeypatch.delenv("ADN_DEBUG", raising=False)
    (path,) = scans(tmp_path, "bug")
    code, _, err = run("predict", path, "-o", tmp_path / "out")
    assert code == 1
    assert "adn info" in err
    assert "Traceback" not in err
    monkeypatch.setenv("ADN_DEBUG", "1")
    assert "Traceback" in run("predict", path, "-o", tmp_path / "out")[2]


def test_an_impossible_output_folder_is_refused_before_computing(run, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = run("predict", *scans(tmp_path, "bug"), "-o", tmp_path / "file" / "out")
    assert code == 2
    assert "writable folder" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_folder_is_refused(run, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    assert run("predict", *scans(tmp_path, "bug"), "-o", tmp_path / "out")[0] == 2


def test_an_earlier_table_is_not_overwritten_without_asking(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.csv").write_text("mine")
    paths = scans(tmp_path, "a", "b")
    assert run("predict", *paths, "-o", tmp_path / "out")[0] == 2
    assert (tmp_path / "out/results.csv").read_text() == "mine"
    assert run("predict", *paths, "-o", tmp_path / "out", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "scan.nii.gz"),
        ("predict", "-o", "out"),
        ("predict", "scan.nii.gz", "-o", "out", "--jobs", "0"),
        ("predict", "scan.nii.gz", "-o", "out", "--device", "abacus"),
        ("synth", "-o", "out", "-n", "0"),
        ("train", "tiny", "-o", "run"),
        ("train", "tiny", "-o", "run", "--virtual", "--data", "cases"),
        ("train", "tiny", "-o", "run", "--data", "cases", "--lesions", "masks"),
        ("train", "no-such-recipe", "-o", "run", "--virtual"),
        ("preditc",),
    ],
)
def test_wrong_usage_exits_with_2_and_leaves_nothing(run, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments)[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_exits_with_2_and_lack_of_memory_with_1():
    code, sentence = terminal.explain(OSError(28, "No space left on device", "x.nii.gz"))
    assert (code, "x.nii.gz" in sentence) == (2, True)
    assert terminal.explain(MemoryError())[0] == 1


def test_info_is_json_for_programs(run):
    code, out, _ = run("info", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["adn"] == adn.__version__
    assert facts["cores"] >= 1
    assert "torch" in facts["versions"]
    assert "tiny" in facts["recipes"]
    assert facts["devices"][0] == "cpu"


@pytest.mark.parametrize(("stop", "jobs"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_an_interruption_exits_with_130_and_leaves_nothing_partial(tmp_path, stop, jobs):
    program = [sys.executable, str(Path(__file__).parents[1] / "stand_ins.py")]
    arguments = [*map(str, scans(tmp_path, "a", "b")), "-o", "out", "--jobs", str(jobs)]
    # a runner started in the background hands down an ignored SIGINT; a terminal does not
    process = subprocess.Popen(
        [*program, *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob("out/.*/half.nii.gz"))) < jobs and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(stop)
    process.send_signal(signal.SIGINT)  # impatience
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted" in err
    assert "Traceback" not in err
    assert list(tmp_path.glob("out/**/*")) == []


def test_synth_passes_on_its_options(run, tmp_path, monkeypatch):
    asked = {}

    def fake(n, out, seed, *, anatomy, lesions, progress, format):
        asked.update(n=n, out=out, seed=seed, anatomy=anatomy, lesions=lesions, format=format)
        progress(1, n)
        return [out] * n

    monkeypatch.setattr(importlib.import_module("adn.virtual.folders"), "synthesize", fake)
    code, out, _ = run("synth", "-n", "2", "-o", tmp_path, "--seed", "7", "--lesions", "masks", "--format", "dicom")
    assert (code, out) == (0, f"2 virtual patients in {tmp_path}")
    lesions = Path("masks")
    assert asked == {"n": 2, "out": tmp_path, "seed": 7, "anatomy": None, "lesions": lesions, "format": "dicom"}


def test_the_help_lists_every_row(run):
    _, out, _ = run("benchmark", "--help")
    assert set(row_names()) <= set(re.findall(r"[a-z0-9-]+", out))


def test_benchmark_passes_on_cases_or_a_fixed_set(run, tmp_path, monkeypatch):
    from adn.benchmark import FixedSet
    from adn.training import Machine, Source

    asked = []

    def fake(*arguments):
        asked.append(arguments[:-1])
        (tmp_path / "benchmark.md").write_text("a table")
        return tmp_path / "benchmark.md"

    monkeypatch.setattr(importlib.import_module("adn.benchmark"), "benchmark", fake)
    command = ("benchmark", "tiny", "-o", tmp_path, "--workers", 2)
    code, out, _ = run(*command, "--data", "cases", "--split", "s.csv", "--fold", 1, "--methods", "adn,sean")
    assert (code, out) == (0, f"a table {tmp_path}/benchmark.md")
    assert run(*command, "--data", "vp52", "--anatomy", "heads")[0] == 0
    cases, fixed = Source(Path("cases"), split=Path("s.csv"), fold=1), FixedSet("vp52", Path("heads"))
    assert asked == [
        ("tiny", cases, tmp_path, ["adn", "sean"], Machine(workers=2)),
        ("tiny", fixed, tmp_path, None, Machine(workers=2)),
    ]
    for more in (("--data", "vp52", "--fold", 0), ("--data", "cases", "--lesions", "masks")):
        assert run(*command, *more)[0] == 2


def test_choices_are_those_of_the_library():
    from adn.cli.data import export, list_cases
    from adn.cli.synth import Format, Preset
    from adn.virtual.presets import PRESETS

    assert get_args(Preset) == PRESETS
    assert get_args(Format) == get_args(importlib.import_module("adn.virtual.folders").Format)
    for command, name, choices in (
        (export, "to", get_args(importlib.import_module("adn.datasets.export").Layout)),
        (list_cases, "part", importlib.import_module("adn.datasets.splits").PARTS),
    ):
        hint = get_type_hints(command)[name]
        assert tuple(choices) in (get_args(hint), *map(get_args, get_args(hint)))


def test_synth_passes_on_which_fixed_set(run, tmp_path, monkeypatch):
    asked = {}

    def fake(preset, out, *, anatomy, lesions, progress, format):
        asked.update(preset=preset, out=out, anatomy=anatomy, lesions=lesions, format=format)
        return [out] * 26

    monkeypatch.setattr(importlib.import_module("adn.virtual.folders"), "synthesize_preset", fake)
    code, out, _ = run("synth", "--preset", "vp-mni-val", "-o", tmp_path)
    assert (code, out) == (0, f"26 virtual patients in {tmp_path}")
    assert asked == {"preset": "vp-mni-val", "out": tmp_path, "anatomy": None, "lesions": None, "format": "nifti"}


@pytest.mark.parametrize("more", [("-n", "3"), ("--seed", "0")])
def test_a_fixed_set_is_not_mixed_with_a_number_or_a_seed(run, tmp_path, more):
    code, _, err = run("synth", "--preset", "vp52", "-o", tmp_path, *more)
    assert code == 2
    assert "leave out -n and --seed" in err


def test_missing_weights_are_reported_once_before_computing(run, tmp_path):
    code, _, err = run("predict", *scans(tmp_path, "a", "b"), "-o", tmp_path / "out", "--weights", "nonesuch")
    assert code == 2
    assert err.startswith("adn: error: There are no weights 'nonesuch'")
    assert err.count("nonesuch") == 1
