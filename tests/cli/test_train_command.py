"""`adn train` as users see it."""

import importlib
import sys
from pathlib import Path

import pytest

from adn.cli import app
from adn.cli.train import _pace
from adn.training import Begin, EpochEnd, Machine, Source


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `adn train` with arguments; gives exit code, stdout, stderr as one line each."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["adn", "train", *map(str, arguments)])
        monkeypatch.setattr("adn.cli.terminal.unwind_on_signals", lambda: None)
        code = app.main()
        out, err = capsys.readouterr()
        return code, " ".join(out.split()), " ".join(err.split())

    return run


@pytest.fixture
def asked(monkeypatch):
    """What reaches the library; two steps and an epoch are told."""
    seen = {}

    def fake(name):
        def start(*arguments):
            *given, watch = arguments
            seen.update(called=name, arguments=tuple(given))
            out = Path(given[1] if name == "train" else given[0])
            out.mkdir(exist_ok=True)
            progress, on_epoch = watch.progress, watch.on_epoch
            progress("align", 1, 2, {"loss": 0.5})
            progress("align", 2, 2, {"loss": 0.25})
            on_epoch(EpochEnd(out, "align", [{"epoch": 1, "step": 2, "loss": 0.375, "step_seconds": 1.5}]))
            return out / "weights.safetensors"

        return start

    for name in ("train", "resume"):
        monkeypatch.setattr(importlib.import_module("adn.training"), name, fake(name))
    return seen


def test_waiting_for_samples_is_reported():
    assert _pace({"step_seconds": 2.0, "wait_seconds": 0.1}) == "2 s a step"
    assert (
        _pace({"step_seconds": 2.0, "wait_seconds": 0.5}) == "2 s a step, 25% of it waiting for samples (see --workers)"
    )


def test_options_are_passed_on_and_each_epoch_is_reported(run, asked, tmp_path):
    out = tmp_path / "run"
    data = ("--data", "cases", "--split", "s.csv", "--fold", 0)
    code, said, err = run("tiny", *data, "-o", out, "--start", "fast-plus", "--device", "cpu")
    assert code == 0
    assert f"--weights {out}/weights.safetensors" in said
    assert err == "align, epoch 1: loss 0.375, 1.5 s a step"
    recipe, *rest = asked.pop("arguments")
    assert recipe.name == "tiny"
    source = Source(Path("cases"), split=Path("s.csv"), fold=0)
    assert rest == [out, source, Begin("fast-plus"), Machine("cpu", 0)]
    assert asked == {"called": "train"}
    assert (out / "curves-align.png").read_bytes().startswith(b"\x89PNG")


def test_quiet_prints_nothing(run, asked, tmp_path):
    assert run("tiny", "--virtual", "-o", tmp_path / "run", "-q") == (0, "", "")


def test_resume_needs_the_run_and_nothing_else(run, asked, tmp_path):
    assert run("--resume", tmp_path, "-q")[0] == 0
    assert (asked["called"], asked["arguments"]) == ("resume", (tmp_path,))
    for more in (["tiny"], ["-o", tmp_path], ["--virtual"], ["--data", tmp_path], ["--workers", 2], ["--fold", 0]):
        code, _, err = run("--resume", tmp_path, *more)
        assert (code, "leave out the other options" in err) == (2, True), more


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "needs a RECIPE"),
        (("tiny",), "needs a RECIPE and a run folder"),
        (("tiny", "-o", "r"), "exactly one source"),
        (("tiny", "-o", "r", "--virtual", "--data", "d"), "exactly one source"),
        (("tiny", "-o", "r", "--data", "d", "--anatomy", "a"), "describe virtual patients"),
        (("tiny", "-o", "r", "--virtual", "--split", "s"), "among cases on disk"),
    ],
)
def test_conflicting_options_are_explained_in_a_sentence(run, asked, arguments, words):
    code, _, err = run(*arguments)
    assert code == 2
    assert words in err
    assert not asked


def test_only_the_first_process_of_torchrun_prints(run, asked, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert run("tiny", "--virtual", "-o", tmp_path / "run") == (0, "", "")
