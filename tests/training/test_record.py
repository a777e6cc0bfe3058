"""A run folder records how it was made, which is enough to resume it."""

import json
import logging
import subprocess
import sys

import pytest

from adn.errors import ConfigError, InputError, OutputError
from adn.recipes import load_recipe
from adn.training.record import continue_run, read_run, start_run
from adn.training.sources import Source

REQUEST = {"source": Source().record(), "stages": ["align"], "device": "cpu", "workers": 0}


@pytest.fixture
def run(tmp_path):
    start_run(tmp_path / "run", load_recipe("tiny"), REQUEST)
    return tmp_path / "run"


def test_the_resolved_recipe_can_be_loaded_again(run):
    assert load_recipe(run / "recipe.json") == load_recipe("tiny")
    assert read_run(run) == (load_recipe("tiny"), REQUEST)


def test_the_environment_is_recorded(run):
    (session,) = json.loads((run / "run.json").read_text())["sessions"]
    for name in ("time", "command", "adn", "git_commit", "python", "torch", "numpy", "processor", "threads", "gpus"):
        assert name in session
    assert session["threads"] >= 1


def test_each_resumption_is_recorded_as_a_session(run):
    continue_run(run, load_recipe("tiny"))
    assert len(json.loads((run / "run.json").read_text())["sessions"]) == 2


KILLED = "from adn.io.atomic import _hidden_name as n; from pathlib import Path; n(Path('a.png'), 'partial').touch()"


def test_half_written_files_of_a_killed_run_are_removed_on_resume_or_restart(run, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    for folder in (run, new):
        subprocess.run([sys.executable, "-c", KILLED], cwd=folder, check=True)
    continue_run(run, load_recipe("tiny"))
    start_run(new, load_recipe("tiny"), REQUEST)
    for folder in (run, new):
        assert {path.name for path in folder.iterdir()} == {"recipe.json", "run.json"}


def test_a_changed_number_of_threads_is_reported(run, caplog):
    record = json.loads((run / "run.json").read_text())
    record["sessions"][0]["threads"] = 77
    (run / "run.json").write_text(json.dumps(record))
    with caplog.at_level(logging.WARNING, "adn"):
        continue_run(run, load_recipe("tiny"))
    assert "threads was 77" in caplog.text


def test_a_folder_that_is_not_this_run_is_refused(run, tmp_path):
    with pytest.raises(OutputError, match="not empty"):
        start_run(run, load_recipe("tiny"), REQUEST)
    with pytest.raises(InputError, match="another recipe"):
        continue_run(run, load_recipe("fast"))
    with pytest.raises(InputError, match="not a run folder"):
        read_run(tmp_path)


def test_a_damaged_recipe_is_a_config_error(run):
    (run / "recipe.json").write_text("{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        read_run(run)


def test_a_source_is_found_from_any_working_folder(tmp_path, monkeypatch):
    (tmp_path / "cases").mkdir()
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    again = Source.from_record(Source(data=Path("cases"), fold=2).record())
    assert again == Source(data=tmp_path / "cases", fold=2)
    assert not again.gone()
    assert Source(anatomy=tmp_path / "nowhere").gone() == [tmp_path / "nowhere"]
