"""Heads and lesions from files: label maps of any orientation, lesion lists split by subject."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt

from adn.errors import InputError
from adn.virtual import library as room
from adn.virtual.anatomy import make_head
from adn.virtual.library import Library, lesion_split, lesion_subject
from adn.virtual.plan import InfarctPlan
from adn.virtual.tissue_codes import Tissue
from given import loose


def label_map(extra=0):
    """A tiny FreeSurfer map with skull, array axes to right, anterior, superior."""
    x, y, z = np.ogrid[-20:21, -24:25, -18:19]
    distance = np.sqrt((x / 20) ** 2 + (y / 24) ** 2 + (z / 18) ** 2)
    labels = np.select([distance < 0.6, distance < 0.75, distance < 0.85, distance < 0.95], [2, 3, 24, 515], 0)
    labels[:20][labels[:20] == 2] = 41
    labels[20, 24, 18] = extra
    return labels.astype(np.int16)


@pytest.fixture
def no_registration(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(room, "_tissue_priors", lambda: None)
    monkeypatch.setattr(
        room, "head_from_codes", lambda name, codes, priors, labels: make_head(name, codes, np.eye(4), np.eye(4))
    )


def test_label_maps_are_read_in_any_orientation_and_type(no_registration, tmp_path):
    folder = tmp_path / "heads"
    folder.mkdir()
    labels = label_map()
    nib.save(nib.Nifti1Image(labels, np.eye(4)), folder / "a.nii.gz")
    lia = nib.Nifti1Image(labels.astype(np.float32), np.eye(4)).as_reoriented(
        loose(nib.orientations.ornt_transform(axcodes2ornt("RAS"), axcodes2ornt("LIA")))
    )
    nib.save(lia, folder / "b.nii.gz")
    library = Library.from_folders(folder)
    a, b = library.head("a.nii.gz"), library.head("b.nii.gz")
    assert np.array_equal(a.codes, b.codes)
    assert int((a.codes == Tissue.WM).sum()) == int(np.isin(labels, (2, 41)).sum())
    assert int((a.codes[1:-1, 1:-1, 1:-1][18] == Tissue.CSF).sum()) > 0


def test_an_unknown_label_is_refused_by_name(no_registration, tmp_path):
    nib.save(nib.Nifti1Image(label_map(extra=999), np.eye(4)), tmp_path / "odd.nii.gz")
    with pytest.raises(InputError, match=r"odd\.nii\.gz.*999"):
        Library.from_folders(tmp_path).head("odd.nii.gz")


def test_an_empty_folder_of_label_maps_is_refused(tmp_path):
    with pytest.raises(InputError, match="label maps"):
        Library.from_folders(tmp_path)


@pytest.mark.parametrize("count", range(1, 25))
def test_training_heads_are_not_used_for_validation_or_test(count, tmp_path, caplog):
    for number in range(count):
        (tmp_path / f"head_{number:02d}.nii.gz").touch()
    train, val, test = (list(Library.from_folders(tmp_path, split=part).heads) for part in ("train", "val", "test"))
    if count < 3:
        assert train == val == test
        assert caplog.text.count(f"share the same {count} head(s)") == 3
        return
    assert min(map(len, (train, val, test))) >= 1
    assert len({*train, *val, *test}) == len(train) + len(val) + len(test) == min(count, 16)
    assert not caplog.text
    if count > 12:
        assert (len(train), len(val), len(test)) == (10, 2, min(count, 16) - 12)
    else:
        assert len(train) >= len(val) + len(test) - 1


def test_a_part_without_lesion_masks_says_so(tmp_path, caplog):
    name = next(f"sub-{n}_lesion.nii.gz" for n in range(99) if lesion_split(Path(f"sub-{n}_lesion.nii.gz")) == "train")
    (tmp_path / name).touch()
    assert not Library.from_folders(lesions=tmp_path, split="val").lesions
    assert "none of 1 lesion masks belongs to 'val': its infarcts are procedural" in caplog.text


def test_a_plan_with_missing_files_is_refused_by_name():
    with pytest.raises(InputError, match=r"label map head_13\.nii\.gz"):
        Library().head("head_13.nii.gz")
    values = dict.fromkeys(InfarctPlan.__dataclass_fields__, 0) | {"source": "sub-1_lesion.nii.gz"}
    with pytest.raises(InputError, match=r"lesion mask sub-1_lesion\.nii\.gz"):
        Library().lesion(InfarctPlan(**values), None)  # type: ignore[arg-type]


def test_a_cached_registration_is_not_computed_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(room, "head_from_codes", lambda *_: pytest.fail("registered"))
    nib.save(nib.Nifti1Image(label_map(), np.eye(4)), tmp_path / "a.nii.gz")
    key = room._registration_key(room._read_codes(tmp_path / "a.nii.gz")[0])
    shifted = [[1, 0, 0, 7], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    library = Library({"a": tmp_path / "a.nii.gz"}, registrations={key: {"plane": shifted, "mni": shifted}})
    assert library.head("a").mni_from_aligned[0, 3] == 7


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("bwsrsub-1000_lesion.nii.gz", "bwsrsub-1000"),
        ("sub-7_ses-2_lesion.nii", "sub-7"),
        ("anna.nii.gz", "anna"),
    ],
)
def test_the_subject_is_read_from_the_file_name(name, subject):
    assert lesion_subject(Path(name)) == subject


def test_all_files_of_a_subject_are_in_one_part():
    for number in range(100):
        names = (f"sub-{number}{rest}" for rest in ("_lesion.nii.gz", "_lesion.nii", "_ses-2_lesion.nii.gz"))
        assert len({lesion_split(Path("a", name)) for name in names}) == 1


def test_lesions_are_split_about_70_10_20_percent_and_stably():
    splits = [lesion_split(Path(f"bwsrsub-{number}_lesion.nii.gz")) for number in range(2000)]
    assert [splits.count(name) / 2000 for name in ("train", "val", "test")] == pytest.approx([0.7, 0.1, 0.2], abs=0.03)
    # the weights shipped so far were trained with these in their list, or without
    known = {1000: "train", 1003: "test", 1005: "train", 1007: "test", 1011: "train", 1013: "val"}
    assert {number: splits[number] for number in known} == known
