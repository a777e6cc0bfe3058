"""`adn tissue` and `adn data import-tissue`, on a virtual patient made from installed packages alone."""

import sys

import numpy as np
import pytest

from adn.cli import app
from adn.io import read_volume, write_volume
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan, scanner_grid, scanner_lattice
from adn.virtual.library import Library


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `adn` in this process; gives exit code, stdout and stderr as one line each."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["adn", *map(str, arguments)])
        code = app.main()
        out, err = capsys.readouterr()
        return code, " ".join(out.split()), " ".join(err.split())

    return run


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A scan file, and its tissue and brain in the same axis order."""
    plan = draw_patient(patient_generator(21, 0))
    lattice = scanner_lattice(plan, 160)
    rendered, grid = render_plan(plan, Library(), lattice), scanner_grid(lattice)
    path = tmp_path_factory.mktemp("scans") / "patient.nii.gz"
    write_volume(Volume(rendered.ct.round().numpy().astype(np.int16), grid), path)
    return path, rendered.tissue.numpy(), rendered.brain.numpy()


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_tissue_and_brain_are_on_the_scans_grid(run, patient, tmp_path):
    scan, tissue, brain = patient
    code, out, _ = run("tissue", scan, "-o", tmp_path)
    assert code == 0
    assert "patient: GM" in out
    assert "Not a medical device" in out
    found = [read_volume(tmp_path / "patient" / f"{name}.nii.gz", np.uint8) for name in ("tissue", "brain")]
    assert all(volume.grid.same_as(read_volume(scan).grid) for volume in found)
    assert dice(found[1].data > 0, brain) > 0.95
    assert dice(found[0].data == 3, tissue == 3) > 0.6
    code, _, err = run("tissue", scan, "-o", tmp_path)
    assert code == 2
    assert "--overwrite" in err
    assert run("tissue", scan, "-o", tmp_path, "--overwrite", "--quiet") == (0, "", "")


@pytest.mark.parametrize("name", ["notes.txt", "tissue.nii.gz"])
def test_a_folder_that_adn_did_not_write_is_never_replaced(run, patient, tmp_path, name):
    scan, _, _ = patient
    kept = [tmp_path / "patient" / "ct.nii.gz", tmp_path / "patient" / name]
    kept[0].parent.mkdir()
    for path in kept:
        path.write_text("mine")
    code, _, err = run("tissue", scan, "-o", tmp_path, "--overwrite")
    assert code == 2
    assert "not overwritten" in err
    assert [path.read_text() for path in kept] == ["mine", "mine"]


def test_a_scan_that_is_not_a_head_is_refused_and_leaves_nothing(run, tmp_path):
    hu = np.full((20, 90, 90), -1000, np.int16)
    hu[:, 20:70, 20:70] = 45
    hu[:, 40:50, 40:50] = 700
    write_volume(Volume(hu, Grid.centred(hu.shape, (5.0, 2.0, 2.0))), tmp_path / "leg.nii.gz")
    code, _, err = run("tissue", tmp_path / "leg.nii.gz", "-o", tmp_path / "out")
    assert code == 2
    assert "needs an axial head CT with skull" in err
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_maps_of_other_tools_are_imported_for_several_cases(run, patient, tmp_path):
    scan, tissue, _ = patient
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ct.nii.gz").symlink_to(scan)
    write_volume(Volume(tissue, read_volume(scan).grid, "label"), tmp_path / "a" / "labels.nii.gz")
    command = ("data", "import-tissue", tmp_path / "a", tmp_path / "b", "--from", "labels.nii.gz")
    code, out, err = run(*command, "--labels", "1=GM,2=WM,3=CSF")
    assert code == 3
    assert str(tmp_path / "a" / "tissue.nii.gz") in out
    assert str(tmp_path / "b") in err
    assert np.array_equal(read_volume(tmp_path / "a" / "tissue.nii.gz", np.uint8).data, tissue)
    code, _, err = run(*command)
    assert code == 2
    assert "--labels" in err
