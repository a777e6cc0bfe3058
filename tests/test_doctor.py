"""What `adn doctor` says about a machine, and its exit code."""

import importlib.util
import json
import subprocess
import tomllib
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from adn import doctor, installation
from adn.cli.app import app
from adn.errors import WeightsError

Usage = namedtuple("Usage", "total used free")


def found():
    return {one.name: one for one in doctor.examine(try_a_scan=False)}


def test_a_machine_that_can_predict_has_everything_required():
    assert all(one.good for one in found().values() if one.needed)
    ended = CliRunner().invoke(app, ["doctor", "--quick"])
    assert ended.exit_code == 0
    assert "Ready." in ended.output
    assert "For research use only" in ended.output


def test_a_full_disk_blocks(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(1, 1, 10**6))
    assert not found()["temporary folder"].good
    ended = CliRunner().invoke(app, ["doctor", "--quick"])
    assert ended.exit_code == 4
    assert "Not ready: temporary folder, cache folder." in ended.output


def test_damaged_weights_are_named(monkeypatch):
    def damaged(name):
        raise WeightsError(f"{name}: is damaged; install adn again.")

    monkeypatch.setattr(doctor, "find_weights", damaged)
    assert "is damaged; install adn again" in found()["weights"].said


def test_a_converter_that_does_not_run_is_noticed(monkeypatch):
    def fails(*_, **__):
        raise OSError("exec format error")

    monkeypatch.setattr(doctor.subprocess, "run", fails)
    one = found()["DICOM converter"]
    assert (one.good, one.needed) == (False, True)
    assert "exec format error" in one.said


def test_a_missing_extra_says_how_to_install_it_and_blocks_nothing(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pynetdicom" else real(name))
    one = found()["extra node"]
    assert (one.good, one.needed) == (False, False)
    assert "pip install 'adn-stroke[node]'" in one.said


def test_every_extra_for_users_is_checked():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(doctor.EXTRAS) == set(project["optional-dependencies"]) - {"docs", "dev"}
    asked = {one.name for one in doctor.examine(try_a_scan=False)}
    assert {f"extra {name}" for name in doctor.EXTRAS} <= asked


def test_json_output_matches_the_text(monkeypatch):
    monkeypatch.setattr(doctor, "lacking_libraries", lambda: ["scipy 1.0 (1.11 or newer is needed)"])
    ended = CliRunner().invoke(app, ["doctor", "--quick", "--json"])
    said = json.loads(ended.output)
    assert (ended.exit_code, said["ready"], said["missing"]) == (4, False, ["libraries"])
    checks = {check["name"]: check for check in said["checks"]}
    assert "scipy 1.0" in checks["libraries"]["said"]
    assert checks["memory"]["value"] > 0


def test_the_memory_check_says_how_many_scans_fit_at_once():
    assert "`jobs` 3" in doctor._memory(7.0, 16).said
    assert "`jobs` 4" in doctor._memory(64.0, 4).said
    small = doctor._memory(1.5, 4)
    assert not small.good
    assert "`jobs`" not in small.said


def test_old_or_missing_libraries_are_named(monkeypatch):
    asked = ["numpy>=99", "no-such-library>=1", "isal>=99; python_version > '3'", "monai>=99; extra == 'train'"]
    monkeypatch.setattr(installation.metadata, "requires", lambda _: asked)
    old, absent = installation.lacking_libraries()
    assert old.endswith("(99 or newer is needed)")
    assert absent == "no-such-library (absent)"
    assert installation.floor_of("numpy") == "99"


@pytest.mark.parametrize(
    ("version", "floor", "older"),
    [("1.9.1", "1.10", True), ("1.10", "1.10", False), ("2.13.0+cpu", "2.11", False), ("unknown", "1.0", False)],
)
def test_versions_are_compared_numerically(version, floor, older):
    assert installation.is_older(version, floor) is older


def test_an_old_converter_is_reported_and_blocks_nothing(monkeypatch):
    monkeypatch.setattr(doctor, "reported_version", lambda: "1.0.20220720")
    one = doctor._converter()
    assert (one.good, one.needed) == (False, False)
    assert "install a newer one" in one.said


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_the_estimate_adds_up_measurements_and_says_when_the_machine_is_busy(monkeypatch, share):
    monkeypatch.setattr(doctor, "_quickest", lambda work: (0.01, share))
    one = doctor._speed()
    assert one.value == pytest.approx(0.01 * (doctor.NETWORK_PIECES + doctor.OTHER_PIECES), abs=0.1)
    assert ("busy" in one.said) is (share < 0.5)


def test_the_measurements_run():
    for work in (doctor._convolution(torch.device("cpu"), True), doctor._other_work):
        seconds, share = doctor._quickest(work)
        assert seconds > 0
        assert share > 0


def test_a_failed_scan_reports_its_error_output(monkeypatch):
    def fails(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "adn: error: no room")

    monkeypatch.setattr("adn.virtual.folders.synthesize", lambda count, out, seed: [out / "vp"])
    monkeypatch.setattr(doctor.subprocess, "run", fails)
    one = doctor._scan()
    assert not one.good
    assert "no room" in one.said


@pytest.mark.slow
def test_a_virtual_patient_is_predicted_and_timed():
    one = doctor._scan()
    assert one.good, one.said
    assert " s from file to report" in one.said
