"""The module of `deploy/slicer`, on stand-ins for Slicer: it has not been run inside Slicer."""

import ast
import dataclasses
import importlib
import importlib.metadata
import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import adn
from adn.io.nifti import read_volume
from adn.io.weights import save_weights
from adn.nn.adn import build_adn
from adn.recipes import load_recipe
from adn.remarks import Remark
from adn.report import save_prediction
from adn.results import DISCLAIMER
from deploy.fake_slicer import VolumeNode, modules
from fake_prediction import make_prediction
from phantoms import head

EXTENSION = Path(__file__).parents[2] / "deploy" / "slicer"
MODULE = EXTENSION / "AdnStroke"
WAIT_S = 300.0


@pytest.fixture
def node():
    return VolumeNode(head(axes="LAS"))


@pytest.fixture
def load(node, tmp_path, monkeypatch):
    """Import AdnStroke anew, with Slicer's modules made up. Returns it and the stand-in for `slicer`."""
    monkeypatch.syspath_prepend(str(MODULE))
    (tmp_path / "temporary").mkdir()

    def one(segments=1):
        made = modules(node, tmp_path / "temporary", segments)
        for name, module in made.items():
            monkeypatch.setitem(sys.modules, name, module)
        return importlib.import_module("AdnStroke"), made["slicer"]

    yield one
    for name in [name for name in sys.modules if name.startswith("AdnStroke")]:
        del sys.modules[name]


@pytest.fixture
def program(tmp_path):
    """A program in place of adn: it waits as long as the file `wait` is there, then gives a result made beforehand."""
    save_prediction(make_prediction("left"), tmp_path / "made")
    (made,) = (tmp_path / "made").iterdir()
    path = tmp_path / "adn"
    path.write_text(
        f"#!{sys.executable}\nimport pathlib, shutil, sys, time\n"
        f"assert sys.argv[1] == 'predict' and pathlib.Path(sys.argv[2]).is_file()\n"
        f"while pathlib.Path({str(tmp_path / 'wait')!r}).exists(): time.sleep(0.05)\n"
        f"if pathlib.Path({str(tmp_path / 'fail')!r}).exists(): sys.exit('The scan is not a head CT.')\n"
        f"shutil.copytree({str(made)!r}, sys.argv[4] + '/scan')\n"
    )
    path.chmod(0o755)
    return path


def wait_for(logic):
    until = time.monotonic() + WAIT_S
    while (ended := logic.look()) is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    return ended


def test_the_extension_is_complete():
    listed = set(re.findall(r"^  (\S+\.py|\S+\.png)$", (MODULE / "CMakeLists.txt").read_text(), re.MULTILINE))
    there = {p.relative_to(MODULE).as_posix() for p in MODULE.rglob("*") if p.suffix in (".py", ".png")}
    assert {name.replace("${MODULE_NAME}", "AdnStroke") for name in listed} == there
    assert "add_subdirectory(AdnStroke)" in (EXTENSION / "CMakeLists.txt").read_text()


def test_the_python_of_older_slicers_can_read_it():
    for path in MODULE.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_adn_runs_beside_slicer_and_its_results_are_loaded_into_the_scene(load, node, program, tmp_path):
    module, slicer = load()
    logic = module.AdnStrokeLogic()
    (tmp_path / "wait").touch()
    logic.start(node, str(program))
    assert logic.running
    assert logic.look() is None
    with pytest.raises(RuntimeError, match="at work"):
        logic.start(node, str(program))
    (tmp_path / "wait").unlink()
    result = wait_for(logic)
    assert not logic.running
    assert slicer.loaded == ["infarct.nii.gz", "asymmetry_pathological.nii.gz"]
    assert result.file("report.html").is_file()
    assert "left" in result.finding
    assert "Doe" not in "".join(str(path) for path in (tmp_path / "temporary").rglob("*"))
    logic.close()
    assert not list((tmp_path / "temporary").iterdir())


def test_cancel_stops_adn_and_leaves_nothing(load, node, program, tmp_path):
    module, slicer = load()
    logic = module.AdnStrokeLogic()
    (tmp_path / "wait").touch()
    logic.start(node, str(program))
    logic.cancel()
    assert wait_for(logic) is False
    assert not slicer.loaded
    assert not list((tmp_path / "temporary").iterdir())


def test_the_user_sees_the_error_message_of_adn(load, node, program, tmp_path):
    module, _ = load()
    logic = module.AdnStrokeLogic()
    (tmp_path / "fail").touch()
    logic.start(node, str(program))
    with pytest.raises(ValueError, match="not a head CT"):
        wait_for(logic)
    assert not list((tmp_path / "temporary").iterdir())


def test_an_empty_mask_still_gives_an_editable_segment(load, node, program):
    module, slicer = load(segments=0)
    logic = module.AdnStrokeLogic()
    logic.start(node, str(program))
    wait_for(logic)
    slicer.mrmlScene.AddNewNodeByClass.return_value.GetSegmentation.return_value.AddEmptySegment.assert_called_once()


def test_a_volume_that_cannot_be_handed_over_is_refused(load, tmp_path):
    module, _ = load()
    logic = module.AdnStrokeLogic()
    with pytest.raises(ValueError, match="with voxels"):
        logic.start(VolumeNode(None))
    with pytest.raises(ValueError, match="harden"):
        logic.start(VolumeNode(head(), transform=VolumeNode(None, "tilt")))
    assert not list((tmp_path / "temporary").iterdir())


def test_nothing_is_installed_without_asking(load, monkeypatch):
    module, slicer = load()
    packages = module.packages
    monkeypatch.setattr(packages, "installed", lambda: "")
    slicer.util.confirmOkCancelDisplay = lambda text: False
    assert not module.AdnStrokeLogic().install()
    assert not slicer.installs

    answers = iter(["", "0.2.0"])
    monkeypatch.setattr(packages, "installed", lambda: next(answers))
    monkeypatch.setattr(packages, "missing", lambda: ["torch>=2.8", "nibabel>=5.2"])
    slicer.util.confirmOkCancelDisplay = lambda text: "research only" in text
    assert module.AdnStrokeLogic().install("a wheel.whl")
    assert slicer.installs == [["--no-deps", "a wheel.whl"], ["torch>=2.8", "nibabel>=5.2"]]


def test_slicers_own_simpleitk_is_left_in_place(load, monkeypatch):
    packages = load()[0].packages
    assert packages.refusal((3, 12)) == ""
    assert "3.9" in packages.refusal((3, 9))
    for_others = ['torch>=99; python_version < "3"', 'x; extra == "y"']
    needs = ["SimpleITK>=99", "numpy>=1.26", "nowhere-to-be-found>=1", *for_others]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    assert packages.missing() == ["nowhere-to-be-found>=1"]
    assert packages.installed() == ""


def test_warnings_are_shown_before_the_finding(load, tmp_path):
    load()
    read_result = importlib.import_module("AdnStrokeLib.result").read_result
    doubt = Remark("classical_stripper", {"reason": "volume", "brain_ml": 120.0})
    doubtful = read_result(save_prediction(make_prediction("left", remarks=(doubt,)), tmp_path / "doubtful"))
    assert doubtful.assessable
    assert doubtful.lines == [doubt.sentence, f"{doubtful.finding}.", DISCLAIMER]
    blind = dataclasses.replace(doubt, blocks=True)
    blocked = read_result(save_prediction(make_prediction("left", remarks=(blind,)), tmp_path / "blocked"))
    assert not blocked.assessable
    assert blocked.lines[0].startswith("Not assessable, because")
    assert blocked.lines[1:] == [blind.sentence, DISCLAIMER]
    with pytest.raises(ValueError, match="without a result"):
        read_result(tmp_path)


def test_the_panel_shows_what_was_found(load, program, tmp_path):
    module, _ = load()
    panel = module.AdnStrokeWidget()
    panel.setup()
    panel.program.currentPath = str(program)
    assert panel.apply.enabled
    assert not panel.cancel.enabled
    (tmp_path / "wait").touch()
    panel.on_apply()
    assert panel.cancel.enabled
    assert not panel.apply.enabled
    (tmp_path / "wait").unlink()
    until = time.monotonic() + WAIT_S
    while panel.logic.running and time.monotonic() < until:
        panel.look()
        time.sleep(0.05)
    shown = panel.words.setPlainText.call_args.args[0]
    assert shown == "\n\n".join(panel.result.lines)
    assert panel.report.enabled
    assert panel.apply.enabled
    panel.cleanup()
    assert not list((tmp_path / "temporary").iterdir())


def test_the_mask_is_the_one_adn_wrote(load, node, tmp_path, monkeypatch):
    """The whole way, with adn itself in a process."""
    recipe = load_recipe("tiny")
    weights = str(tmp_path / "tiny.safetensors")
    save_weights(build_adn(recipe).state_dict(), recipe.model_dump(), Path(weights))
    module, _ = load()
    monkeypatch.setattr(shutil, "which", lambda name: sys.executable)
    logic = module.AdnStrokeLogic()
    logic.start(node, weights=weights)
    result = wait_for(logic)
    found = read_volume(result.file("infarct.nii.gz"), np.uint8)
    expected = adn.predict(adn.Scan("scan", node.volume, "nifti"), adn.load_model(weights)).infarct
    assert np.array_equal(found.data, expected.data)
    assert found.grid.same_as(node.volume.grid)
    assert result.lines[-1] == DISCLAIMER
