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
def test_name_from_the_file(path, name):
    assert case_name(path) == name


def test_a_dicom_file_is_named_by_its_folder(tmp_path):
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "IM01").write_bytes(b"\0" * 128 + b"DICM")
    assert case_name(tmp_path / "head" / "IM01") == "head"
    assert case_name(tmp_path / "head") == "head"


def test_a_folder_keeps_what_looks_like_a_suffix(tmp_path):
    (tmp_path / "a.zip").mkdir()
    assert case_name(tmp_path / "a.zip") == "a.zip"


def test_clashes_take_the_parent_then_a_number():
    assert case_names(["a/ct.nii", "b/ct.nii.gz", "other.nii"]) == ["a_ct", "b_ct", "other"]
    assert case_names(["1/a/ct.nii", "2/a/ct.nii"]) == ["a_ct_1", "a_ct_2"]
    assert case_names(["a_ct.nii", "a/ct.nii", "b/CT.nii"]) == ["a_ct_1", "a_ct_2", "b_CT"]


def test_names_never_clash():
    paths = [f"{p}/{n}{s}" for p in ("a", "A", "b") for n in ("ct", "CT", "a_ct", "a_ct_1") for s in (".nii", ".mha")]
    names = case_names(paths)
    assert len({name.lower() for name in names}) == len(paths)
