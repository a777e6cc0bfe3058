"""The viewer gets into sdist and wheel, and the message of a build that cannot include it."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("hatchling")


@pytest.fixture
def hook(monkeypatch):
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)  # no Node.js here
    return module


class Told:
    def __init__(self):
        self.warnings = []

    def display_warning(self, words):
        self.warnings.append(words)


def checkout(folder, bundle):
    (folder / "web").mkdir()
    (folder / "web/package.json").write_text(json.dumps({"dependencies": {"@niivue/niivue": "1.2.3"}}))
    if bundle:
        vendor = folder / "src/adn/server/static/vendor"
        vendor.mkdir(parents=True)
        (vendor / "niivue.min.js").write_text("//")
        (vendor / "LICENSES.txt").write_text(f"@niivue/niivue {bundle} (BSD-2-Clause)\n")
    return folder


def initialize(hook, root, target, version="standard"):
    told = Told()
    hook.ViewerHook(str(root), {}, None, None, "", target, app=told).initialize(version, {})
    return told.warnings


@pytest.mark.parametrize("target", ["sdist", "wheel"])
def test_an_existing_viewer_bundle_needs_no_node(hook, tmp_path, target):
    assert initialize(hook, checkout(tmp_path, "1.2.3"), target) == []


def test_an_editable_install_needs_neither_bundle_nor_node(hook, tmp_path):
    assert initialize(hook, checkout(tmp_path, None), "wheel", "editable") == []


@pytest.mark.parametrize("bundle", [None, "1.2.2"])  # missing, or of another version than is pinned
def test_without_node_an_sdist_fails_and_a_wheel_says_so(hook, tmp_path, bundle):
    root = checkout(tmp_path, bundle)
    with pytest.raises(RuntimeError, match=r"npm was not found.*make viewer"):
        initialize(hook, root, "sdist")
    (warning,) = initialize(hook, root, "wheel")
    assert "comes without it" in warning


def test_the_version_is_pinned_exactly():
    package = json.loads((ROOT / "web/package.json").read_text(encoding="utf-8"))
    for version in (package["dependencies"] | package["devDependencies"]).values():
        assert version[0].isdigit()
