"""Contract: code blocks of the docs that are marked `bash` or `python` run as shown, on small virtual patients.

Networks are small and untrained; the default weights run in `test_contract_readme.py`. Indented blocks and those of
other kinds are only shown. `docs/your-data.md` and `docs/server.md` have their own tests.
"""

import re
import shlex
import shutil
import signal
import sys
import zipfile
from glob import glob
from pathlib import Path

import pytest

from adn.cli import app
from adn.io import weights
from adn.nn.adn import build_adn
from adn.recipes import load_recipe
from adn.virtual.folders import synthesize
from given import COARSE, loose

DOCS = Path(__file__).parents[1] / "docs"
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
RUNNABLE = [path for path in (DOCS / "get-started.md", *HOW_TO) if BLOCK.search(path.read_text(encoding="utf-8"))]
A_SCREEN = 60  # lines
TASKS = {
    "one-scan",
    "folder",
    "archive",
    "whole-archive",
    "cluster",
    "bids-app",
    "monai",
    "slicer",
    "own-data",
    "train",
    "fine-tune",
    "benchmark",
    "correct-mask",
    "read-report",
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What the pages name: a scan under two names, a folder of two, a zip, and four cases with masks."""
    folder = tmp_path_factory.mktemp("docs")
    cases = synthesize(4, folder / "mydata", seed=1, matrix=64)
    (folder / "scans").mkdir()
    for name in ("head.nii.gz", "scan.nii.gz", "scans/a.nii.gz", "scans/b.nii.gz"):
        shutil.copy(cases[0] / "ct.nii.gz", folder / name)
    with zipfile.ZipFile(folder / "study.zip", "w") as packed:
        packed.write(cases[0] / "ct.nii.gz", "inside/ct.nii.gz")
    recipe = load_recipe(COARSE)
    weights.save_weights(build_adn(recipe).state_dict(), recipe.model_dump(), folder / "tiny.safetensors")
    return folder


@pytest.fixture
def run(inputs, tmp_path, monkeypatch, capsys):
    """Run a command line in a copy of the inputs, in this process and with the recipe that takes seconds."""
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("adn.work.pool.cores", lambda: 1)
    monkeypatch.setattr(weights, "DEFAULT", str(tmp_path / "tiny.safetensors"))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def one(line):
        words = [word.replace("fast", str(COARSE)) for word in shlex.split(line, comments=True)]
        words = [file for word in words for file in (sorted(glob(word)) if "*" in word else [word])]
        monkeypatch.setattr(sys, "argv", words)
        code = app.main()
        out, err = capsys.readouterr()
        assert (words[0], code) == ("adn", 0), f"{line}: {out}{err}"

    yield one
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_the_commands_on_each_page_run(page, run):
    for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(block, page.name, "exec"), {})
        else:
            for line in block.splitlines():
                run(line)


def test_each_task_has_a_page_that_fits_a_screen():
    assert {page.stem for page in HOW_TO} == TASKS
    for page in HOW_TO:
        text = page.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= A_SCREEN, page
        assert "For research use only" in text, page


def test_every_page_is_in_the_contents_and_links_lead_somewhere():
    contents = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in (page for page in DOCS.rglob("*.md") if not {"generated", "gallery"} & set(page.parts)):
        name = page.relative_to(DOCS).with_suffix("").as_posix()
        assert name == "index" or name.startswith("lab/") or re.search(rf"^(.*<)?{name}>?$", contents, re.MULTILINE), (
            name
        )
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            file = link.partition("#")[0]
            if file and "://" not in link:
                assert (page.parent / file).exists(), f"{name} links to {link}"


def test_options_shown_on_pages_exist():
    """Every `--option` beside `adn COMMAND` in a block or in backticks is one of that command."""
    from typer.main import get_command

    root = get_command(app.app)
    for page in (DOCS.parent / "README.md", DOCS / "get-started.md", *HOW_TO):
        for line in re.findall(r"(?:^    |^|`)(adn [a-z][^\n`#]*)", page.read_text(encoding="utf-8"), re.MULTILINE):
            words, command = line.split()[1:], loose(root)
            while words and words[0] in getattr(command, "commands", {}):
                command = command.commands[words.pop(0)]
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            shown = {word.partition("=")[0] for word in words if re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word)}
            assert shown <= known, f"{page.name}: {line}"
