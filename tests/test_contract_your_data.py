"""Contract: every command of docs/your-data.md runs as shown, on virtual patients, with the recipe of seconds."""

import csv
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from adn.cli import app
from adn.virtual.folders import synthesize
from given import COARSE

PAGE = (Path(__file__).parents[1] / "docs" / "your-data.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
            for line in block.splitlines()]  # fmt: skip
INNER = re.compile(r"\$\((.*?)\)")


@pytest.fixture
def adn(monkeypatch, capsys):
    """Run a command line of the page in this process; `$(…)` is what the inner command prints. Gives its output."""
    monkeypatch.setattr("adn.work.pool.cores", lambda: 1)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(line):
        line = INNER.sub(lambda match: " ".join(run(match.group(1)).split()), line)
        monkeypatch.setattr(sys, "argv", [word.replace("fast", str(COARSE)) for word in shlex.split(line)])
        code = app.main()
        out, err = capsys.readouterr()
        assert code == 0, f"{line}: {out}{err}"
        return out

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_guide_works_from_dicom_to_an_evaluated_model(adn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for case in synthesize(4, Path("mydata"), seed=1, matrix=64, format="dicom"):
        (case / "plan.json").unlink()
    assert len(COMMANDS) == 10
    for line in COMMANDS:
        adn(line)
    parts = {row["part"] for row in csv.DictReader(Path("split.csv").read_text().splitlines())}
    assert parts == {"train", "validation", "test"}
    (tested,) = Path("predictions").iterdir()
    assert (tested / "report.html").is_file()
    assert tested.name in Path("test.csv").read_text()
    assert Path("evaluation/report.html").is_file()
    assert len(list(Path("Dataset501_Infarct/imagesTs").iterdir())) == 1
    assert "blocks" not in Path("check/check.csv").read_text().replace("blocks,cause", "")


def test_the_page_says_research_use_and_names_every_column():
    assert "For research use only" in PAGE
    for name in ("name", "subject", "ct", "infarct", "tissue", "brain", "ignore", "part", "fold", "infarct_ml"):
        assert f"`{name}`" in PAGE
