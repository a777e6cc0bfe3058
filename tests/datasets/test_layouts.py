"""Every layout gives the same cases: name, patient and files."""

import json
import os

import pytest

from adn.datasets.layouts import Case, find_cases, layout_of, write_cases
from adn.errors import InputError
from adn.io.masks import find_masks


def touch(*paths, content=b""):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def dicom_file(path):
    touch(path, content=b"\0" * 128 + b"DICM")


def test_a_folder_of_cases_with_every_kind_of_ct(tmp_path):
    touch(tmp_path / "a/ct.nii.gz", tmp_path / "a/infarct.nii.gz", tmp_path / "a/brain.nii.gz")
    dicom_file(tmp_path / "b/dicom/1")
    touch(tmp_path / "b/infarct.nii", tmp_path / "notes/readme.txt", tmp_path / ".hidden/ct.nii.gz")
    dicom_file(tmp_path / "sub-7_ses-1/CT/0001.dcm")
    dicom_file(tmp_path / "sub-7_ses-2/0001.dcm")
    a, b, c, d = find_cases(tmp_path)
    assert a == Case(
        "a", "a", tmp_path / "a/ct.nii.gz", tmp_path / "a/infarct.nii.gz", None, tmp_path / "a/brain.nii.gz"
    )
    assert b == Case("b", "b", tmp_path / "b/dicom", tmp_path / "b/infarct.nii")
    assert (c.ct, d.ct) == (tmp_path / "sub-7_ses-1", tmp_path / "sub-7_ses-2")
    assert c.subject == d.subject == "sub-7"


def test_a_table_may_name_files_that_are_not_utf8(tmp_path):
    ct = tmp_path / os.fsdecode(b"d\xfcr.nii.gz")
    touch(ct, tmp_path / "é.nii.gz")
    cases = [Case("a", "a", ct), Case("é", "é", tmp_path / "é.nii.gz")]
    write_cases(cases, tmp_path / "cases.csv")
    assert find_cases(tmp_path) == cases
    (tmp_path / "old.csv").write_bytes(b"Name; CT\r\nM\xfcller; d\xfcr.nii.gz\r\n")
    assert find_cases(tmp_path / "old.csv") == [Case("Müller", "Müller", ct)]


def test_folders_whose_names_are_not_utf8_give_valid_case_names(tmp_path):
    folder = tmp_path / os.fsdecode(b"d\xfcr")
    touch(folder / "ct.nii.gz", folder / "infarct.nii.gz", tmp_path / "é" / "ct.nii.gz")
    dur, e = find_cases(tmp_path)
    assert (dur.name, dur.subject, e.name) == ("dür", "dür", "é")
    assert dur.ct == folder / "ct.nii.gz"
    assert find_masks(tmp_path)["dür"].infarct == folder / "infarct.nii.gz"


def test_a_table_of_paths_beside_its_files(tmp_path):
    touch(tmp_path / "scans/x/ct.nii.gz", tmp_path / "scans/y.nrrd", tmp_path / "masks/x.nii.gz")
    table = tmp_path / "cases.csv"
    table.write_text("Subject,ct,infarct\np1,scans/x/ct.nii.gz,masks/x.nii.gz\n,scans/y.nrrd,\n")
    x, y = find_cases(table)
    assert find_cases(tmp_path) == [x, y]
    assert x == Case("x", "p1", tmp_path / "scans/x/ct.nii.gz", tmp_path / "masks/x.nii.gz")
    assert y == Case("y", "y", tmp_path / "scans/y.nrrd")


def test_a_written_table_is_read_back_from_anywhere(tmp_path):
    touch(tmp_path / "x/ct.nii.gz", tmp_path / "x/infarct.nii.gz", tmp_path / "y/ct.nii.gz")
    cases = find_cases(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    write_cases(cases, tmp_path / "elsewhere/list.csv")
    assert find_cases(tmp_path / "elsewhere/list.csv") == cases


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scan,mask\na,b\n", "column 'ct'"),
        ("ct\nabsent.nii.gz\n", r"line 2: there is no absent\.nii\.gz"),
        ("name,ct\nx,\n", "line 2: column 'ct' is empty"),
        ("name,ct\n../x,cases.csv\n", "file's name"),
    ],
)
def test_a_broken_table_is_reported_in_a_sentence(tmp_path, text, words):
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        find_cases(tmp_path)


def test_bids_with_sessions_and_masks_in_derivatives(tmp_path):
    raw, derived = tmp_path / "sub-1/ses-a/ct", tmp_path / "derivatives/experts/sub-1/ses-a/ct"
    touch(raw / "sub-1_ses-a_ct.nii.gz", tmp_path / "sub-2/anat/sub-2_ct.nii.gz")
    touch(derived / "sub-1_ses-a_label-infarct_mask.nii.gz", derived / "sub-1_ses-a_desc-brain_mask.nii.gz")
    touch(derived / "sub-1_ses-a_label-tissue_dseg.nii.gz")
    touch(tmp_path / "derivatives/other/sub-2/anat/sub-2_mask.nii.gz")
    one, two = find_cases(tmp_path)
    assert layout_of(tmp_path) == "bids"
    assert (one.name, one.subject) == ("sub-1_ses-a", "sub-1")
    assert one.infarct == derived / "sub-1_ses-a_label-infarct_mask.nii.gz"
    assert one.brain == derived / "sub-1_ses-a_desc-brain_mask.nii.gz"
    assert one.tissue == derived / "sub-1_ses-a_label-tissue_dseg.nii.gz"
    assert two.infarct == tmp_path / "derivatives/other/sub-2/anat/sub-2_mask.nii.gz"


def test_masks_of_two_readers_are_ambiguous(tmp_path):
    touch(tmp_path / "sub-1/ct/sub-1_ct.nii.gz")
    for reader in ("one", "two"):
        touch(tmp_path / f"derivatives/{reader}/sub-1/sub-1_label-infarct_mask.nii.gz")
    with pytest.raises(InputError, match="keep one"):
        find_cases(tmp_path)


@pytest.mark.parametrize("labels", [{"background": 0, "infarct": 1}, {"0": "background", "1": "stroke"}])
def test_nnunet_of_both_versions(tmp_path, labels):
    touch(
        tmp_path / "imagesTr/c_1_0000.nii.gz", tmp_path / "labelsTr/c_1.nii.gz", tmp_path / "imagesTs/c_2_0000.nii.gz"
    )
    facts = {"labels": labels, "file_ending": ".nii.gz", "channel_names": {"0": "CT"}, "subjects": {"c_2": "p"}}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    one, two = find_cases(tmp_path)
    assert one == Case("c_1", "c_1", tmp_path / "imagesTr/c_1_0000.nii.gz", tmp_path / "labelsTr/c_1.nii.gz")
    assert two == Case("c_2", "p", tmp_path / "imagesTs/c_2_0000.nii.gz", test=True)


def test_nnunet_with_several_labels_is_refused(tmp_path):
    touch(tmp_path / "imagesTr/c_0000.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "core": 1, "penumbra": 2}}))
    with pytest.raises(InputError, match="penumbra"):
        find_cases(tmp_path)


def test_an_unknown_layout_error_names_the_known_layouts(tmp_path):
    with pytest.raises(InputError, match=r"ct\.nii\.gz.*BIDS.*nnU-Net"):
        find_cases(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        find_cases(tmp_path / "absent")
    touch(tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match="single file"):
        find_cases(tmp_path / "scan.nii.gz")


def test_two_cases_with_one_name_are_refused(tmp_path):
    touch(tmp_path / "a.nii", tmp_path / "b.nii")
    (tmp_path / "cases.csv").write_text("name,ct\nX,a.nii\nx,b.nii\n")
    with pytest.raises(InputError, match="its own name"):
        find_cases(tmp_path)
