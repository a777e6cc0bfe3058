"""Which program converts DICOM, and the message if there is none."""

import sys
from importlib import metadata

import dcm2niix
import numpy as np
import pytest

from adn.errors import AdnError
from adn.io import converter, open_scan
from phantoms import head, write_dicom_series


@pytest.fixture
def without_the_package(monkeypatch):
    """As where conda installed the program alone."""

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "dcm2niix", None)
    monkeypatch.setattr(converter.metadata, "version", absent)
    converter.converter_version.cache_clear()
    yield
    converter.converter_version.cache_clear()


def on_the_path(monkeypatch, folder, script):
    """A program of that name in `folder`, the only one on the PATH."""
    folder.mkdir()
    (folder / "dcm2niix").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "dcm2niix").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_package_takes_precedence(monkeypatch, tmp_path):
    on_the_path(monkeypatch, tmp_path / "bin", "exit 1")
    assert converter.converter() == dcm2niix.bin
    assert converter.converter_version() == converter.reported_version() == metadata.version("dcm2niix")


def test_a_program_on_the_path_reads_a_series_as_the_package_does(without_the_package, monkeypatch, tmp_path):
    write_dicom_series(head(), tmp_path / "series")
    on_the_path(monkeypatch, tmp_path / "bin", f'echo run >> {tmp_path}/log; exec {dcm2niix.bin} "$@"')
    scan = open_scan(tmp_path / "series")
    assert np.array_equal(scan.volume.reoriented("SPL").data, head().data)
    assert (tmp_path / "log").read_text() == "run\n"
    assert converter.converter_version() == metadata.distribution("dcm2niix").version


def test_without_one_the_error_says_how_to_get_it(without_the_package, monkeypatch, tmp_path):
    write_dicom_series(head(), tmp_path / "series")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AdnError, match=r"needs the program dcm2niix.*pip install dcm2niix"):
        open_scan(tmp_path / "series")
    assert converter.converter_version() == "absent"


def test_a_program_without_a_version_is_unknown(without_the_package, monkeypatch, tmp_path):
    on_the_path(monkeypatch, tmp_path / "bin", "echo hello")
    assert converter.converter_version() == "unknown"
