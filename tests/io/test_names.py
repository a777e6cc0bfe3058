import pytest

from adn.io import case_name, case_names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x/head.nii.gz", "head"),
        ("x/head.v2.nii", "head.v2"),
        ("head.NRRD", "head"),
        ("a b/ct (1).mha", "ct_1"),
        ("study.zip", "study"),
        ("some/folder/", "folder"),
        ("患者.nii", "scan"),
        ("../.nii.gz", "scan"),
    ],
)
def test_the_name_comes_from_the_file(path, name):
    assert case_name(path) == name


def test_a_dicom_file_is_named_by_its_folder(tmp_path):
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "IM01").write_bytes(b"\0" * 128 + b"DICM")
    assert case_name(tmp_path / "head" / "IM01") == "head"
    assert case_name(tmp_path / "head") == "head"


def test_a_folder_name_keeps_its_dots(tmp_path):
    (tmp_path / "a.zip").mkdir()
    assert case_name(tmp_path / "a.zip") == "a.zip"


def test_name_clashes_use_the_parent_folder_then_a_number():
    assert case_names(["a/head.nii", "b/head.nii.gz", "other.nii"]) == ["a_head", "b_head", "other"]
    assert case_names(["1/a/head.nii", "2/a/head.nii"]) == ["a_head_1", "a_head_2"]
    assert case_names(["a_head.nii", "a/head.nii", "b/HEAD.nii"]) == ["a_head_1", "a_head_2", "b_HEAD"]


def test_a_scan_named_only_ct_or_dicom_is_named_after_its_folder(tmp_path):
    assert case_names(["a/ct.nii", "b/CT.nii.gz", "c/dicom"]) == ["a", "b", "c"]
    assert case_names(["1/a/ct.nii", "2/a/ct.nii"]) == ["1_a", "2_a"]
    (tmp_path / "p" / "dicom").mkdir(parents=True)
    (tmp_path / "p" / "dicom" / "IM01").write_bytes(b"\0" * 128 + b"DICM")
    assert case_name(tmp_path / "p" / "dicom" / "IM01") == "p"
    assert case_name("/ct.nii") == "ct"


def test_names_never_clash():
    paths = [f"{p}/{n}{s}" for p in ("a", "A", "b") for n in ("ct", "CT", "a_ct", "a_ct_1") for s in (".nii", ".mha")]
    names = case_names(paths)
    assert len({name.lower() for name in names}) == len(paths)
