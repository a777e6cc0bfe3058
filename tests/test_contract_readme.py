"""Contract: what the README shows runs as shown."""

import re
import shutil
from pathlib import Path

import pytest

import adn

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patients")
    adn.synthesize(1, folder, seed=1, matrix=128)
    return next(folder.glob("*/ct.nii.gz"))


def test_the_readme_has_short_code_blocks():
    assert BLOCKS
    assert all(len([line for line in block.splitlines() if line.strip()]) <= 6 for block in BLOCKS)


@pytest.mark.parametrize("block", BLOCKS)
def test_python_blocks_run(block, scan, tmp_path, monkeypatch):
    shutil.copy(scan, tmp_path / "scan.nii.gz")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})


def test_the_readme_states_research_use_and_every_exit_code():
    assert "For research use only" in README
    assert all(f"| {code} |" in README for code in (0, 1, 2, 3, 4, 130))


def test_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    for link in links:
        file, _, heading = link.partition("#")
        path = Path(__file__).parents[1] / file
        assert path.exists(), link
        titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        assert not heading or heading in {title.lower().replace(" ", "-") for title in titles}, link
