"""What `adn doctor` says of a machine, and its exit code."""

import importlib.util
import subprocess
from collections import namedtuple

import pytest
from typer.testing import CliRunner

from adn import doctor
from adn.cli.app import app
from adn.errors import WeightsError

Usage = namedtuple("Usage", "total used free")


def found():
    return {one.name: one for one in doctor.examine(try_a_scan=False)}


def test_a_machine_that_can_predict_lacks_nothing_that_is_needed():
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


def test_an_extra_that_is_absent_says_how_to_get_it_and_blocks_nothing(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pynetdicom" else real(name))
    one = found()["extra node"]
    assert (one.good, one.needed) == (False, False)
    assert "pip install 'adn-stroke[node]'" in one.said


def test_a_scan_that_fails_says_what_it_said(monkeypatch):
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
