"""The scans of an archive are found wherever they lie, each once, and nothing else is mistaken for one."""

import csv
import shutil
from pathlib import Path

import pytest

from adn.archives.ledger import Ledger
from adn.archives.places import brought, files_below, is_archive
from adn.archives.sources import find_scans
from adn.errors import InputError
from adn.io import open_scan
from adn.io.text import table_rows
from phantoms import head, write_dicom_series


@pytest.fixture
def ledger(tmp_path):
    (tmp_path / "out").mkdir()
    ledger = Ledger(tmp_path / "out" / "archive.sqlite", {})
    yield ledger
    ledger.close()


def touched(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(ledger, *places):
    return [one for one in find_scans([str(place) for place in places], ledger, ledger.path.parent) if one]


def test_scans_in_subfolders_are_named_after_their_folders(ledger, tmp_path):
    names = ("a.nii.gz", "b/ct.nii.gz", "b/infarct.nii.gz", "c/d/head.mha", ".trash/x.nii", "done/result.json")
    folder = touched(tmp_path / "in", *names, "done/infarct_probability.nii.gz", "notes.txt")
    assert sorted(one.name for one in found(ledger, folder)) == ["a", "b", "c_d_head"]


def test_results_inside_the_archive_are_not_taken_for_scans(tmp_path):
    archive = touched(tmp_path, "a.nii.gz", "out/case/scan.nii.gz", "out/case/ct.nii.gz")
    assert [file.name for file in files_below(str(archive), archive / "out")] == ["a.nii.gz"]


def test_a_table_names_scans_relative_to_itself_and_their_cases(ledger, tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("path;case\nx/a.nii.gz;First One\ns3://bucket/b.nii.gz;\n")
    scans = [(one.name, one.scan) for one in found(ledger, table)]
    assert scans == [("First_One", str(tmp_path / "x/a.nii.gz")), ("b", "s3://bucket/b.nii.gz")]
    table.write_text("file\nx\n")
    with pytest.raises(InputError, match="needed a column path or scan or ct"):
        found(ledger, table)


def test_a_long_table_is_read_lazily(tmp_path):
    table = tmp_path / "list.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["path"], *([f"{number}.nii.gz"] for number in range(50_000))])
    columns, rows = table_rows(table)
    assert columns == ("path",)
    assert next(rows).cells == {"path": "0.nii.gz"}
    table.unlink()  # what follows is read from the open file


def test_only_ct_images_of_a_bids_data_set_are_scans(ledger, tmp_path):
    folder = touched(
        tmp_path / "bids",
        "dataset_description.json",
        "sub-01/ses-1/ct/sub-01_ses-1_ct.nii.gz",
        "sub-01/anat/T1w.nii.gz",
    )
    assert is_archive(str(folder))
    assert [one.name for one in found(ledger, folder)] == ["sub-01_ses-1"]


def test_the_files_of_a_dicom_study_are_grouped_wherever_they_are(ledger, tmp_path):
    archive = tmp_path / "in"
    for number, file in enumerate(write_dicom_series(head(), tmp_path / "made")):
        (archive / f"disk{number % 2}").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, archive / f"disk{number % 2}" / f"{number}")
    (archive / "disk0" / "report").write_bytes(b"no DICOM")
    (one,) = found(ledger, archive)
    assert one.name == f"study-{one.study}"
    ledger.add(one)
    (item,) = ledger.waiting(0, 5)
    assert len(item.files) == number + 1
    (tmp_path / "bench").mkdir()
    scan = open_scan(brought(item.files, tmp_path / "bench"))
    assert scan.source == "dicom"
    again = list(find_scans([str(archive)], ledger, tmp_path / "out"))
    assert again == [*[None] * (number + 2), one]


def test_a_study_in_its_own_folder_is_named_after_it(ledger, tmp_path):
    write_dicom_series(head(), tmp_path / "in" / "head 7")
    assert [one.name for one in found(ledger, tmp_path / "in")] == ["head_7"]


def test_missing_or_unknown_places_are_refused(ledger, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        found(ledger, tmp_path / "absent")
    with pytest.raises(InputError, match="begins with az, gs, s3"):
        found(ledger, "ftp://host/x")
    assert not is_archive(str(Path("scan.nii.gz")))
