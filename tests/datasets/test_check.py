"""Every kind of damage is found, reported with cause and remedy, and blocks training if it must; a good case passes."""

import numpy as np
import pytest

import phantoms
from adn.datasets.check import check_data
from adn.datasets.compare import compare_cases
from adn.datasets.inspection import inspect_case, missing_slices
from adn.datasets.layouts import find_cases
from adn.datasets.splits import Split, SplitRow
from adn.lang import words
from adn.space.geometry import Grid
from adn.space.volume import Volume
from damaged import patient, write_patient


def with_data(name, change):
    volume = patient()[name]
    return volume.with_data(change(volume.data.copy()))


def inspect(folder, **changed):
    write_patient(folder / "p", **changed)
    (case,) = find_cases(folder)
    return inspect_case(case)


def only(findings, kind):
    """The single finding of a kind, which must say what to do."""
    (one,) = [finding for finding in findings if finding.kind == kind]
    assert one.cause
    assert one.remedy
    return one


def test_a_good_case_has_no_problems(tmp_path):
    found = inspect(tmp_path)
    assert found.findings == ()
    assert found.size == "24×72×64 of 6×3×3 mm"
    assert found.infarct_ml == pytest.approx(4 / 3 * np.pi * 1.7**3, rel=0.1)


def test_a_mask_in_another_axis_order_of_the_same_grid_is_accepted(tmp_path):
    assert inspect(tmp_path, infarct=patient()["infarct"].reoriented("LAS")).findings == ()


def test_a_mask_on_another_grid_blocks(tmp_path):
    mask = patient()["infarct"]
    cut = Volume(mask.data[1:], Grid((23, *mask.data.shape[1:]), mask.grid.affine), "label")
    assert only(inspect(tmp_path / "a", infarct=cut).findings, "grids differ").blocks
    affine = mask.grid.affine.copy()
    affine[2, 3] += 12.0
    moved = only(inspect(tmp_path / "b", infarct=Volume(mask.data, Grid(mask.data.shape, affine), "label")).findings,
                 "grids differ")  # fmt: skip
    assert moved.blocks
    assert "12.0 mm" in moved.cause
    assert "header" in moved.remedy


def test_a_mask_with_a_rounded_affine_is_accepted(tmp_path):
    mask = patient()["infarct"]
    affine = mask.grid.affine.copy()
    affine[:3, 3] += (0.02, -0.02, 0.05)  # less than a hundredth of a voxel of 3 × 3 × 6 mm
    assert inspect(tmp_path, infarct=Volume(mask.data, Grid(mask.data.shape, affine), "label")).findings == ()


@pytest.mark.parametrize(("factor", "remedy"), [(255, "0, 1"), (0.5, "nearest")])
def test_a_mask_with_other_values_than_0_and_1_blocks(tmp_path, factor, remedy):
    mask = with_data("infarct", lambda data: data.astype(np.float32) * factor)
    found = only(inspect(tmp_path, infarct=mask).findings, "infarct mask values")
    assert found.blocks
    assert f"{factor:g}" in found.cause
    assert remedy in found.remedy


def test_an_empty_mask_is_reported_and_does_not_block(tmp_path):
    assert not only(inspect(tmp_path, infarct=with_data("infarct", np.zeros_like)).findings, "empty mask").blocks


def test_a_scan_without_mask_is_reported(tmp_path):
    assert not only(inspect(tmp_path, infarct=None).findings, "no mask").blocks


@pytest.mark.parametrize(("axis", "words"), [(0, "slice reversal"), (1, "front-to-back"), (2, "left-to-right")])
def test_a_flipped_mask_is_recognised_by_the_dark_tissue(tmp_path, axis, words):
    mask = with_data("infarct", lambda data: np.flip(data, axis))
    found = only(inspect(tmp_path, infarct=mask).findings, "flipped mask")
    assert found.blocks
    assert words in found.cause


def test_a_mask_outside_the_brain_blocks(tmp_path):
    mask = with_data("infarct", lambda data: np.pad(np.ones((8, 4, 8), np.uint8), ((8, 8), (0, 68), (28, 28))))
    assert only(inspect(tmp_path, infarct=mask).findings, "outside the brain").blocks


def test_values_that_are_not_hu_block(tmp_path):
    mr = with_data("ct", lambda data: (data + 1100) // 4)
    assert only(inspect(tmp_path, ct=mr).findings, "not HU").blocks


def test_a_head_without_a_brain_blocks(tmp_path):
    hollow = with_data("ct", lambda data: np.where(patient()["brain"].data > 0, -1000, data))
    assert only(inspect(tmp_path, ct=hollow, brain=None).findings, "no brain").blocks


def test_a_damaged_file_blocks(tmp_path):
    write_patient(tmp_path / "p")
    (tmp_path / "p/ct.nii.gz").write_bytes(b"\x1f\x8b nothing")
    assert only(inspect_case(find_cases(tmp_path)[0]).findings, "unreadable CT").blocks


def test_bright_vessels_indicate_contrast(tmp_path):
    def inject(data):
        data[4:20, 20:52:6, 20:44:8] = 220  # in each slice 6 × 3 vessels of 9 mm²
        return data

    found = only(inspect(tmp_path, ct=with_data("ct", inject)).findings, "contrast agent")
    assert "162 mm²" in found.cause


def test_blank_and_repeated_slices_count_as_missing(tmp_path):
    def lose(data):
        data[10] = 0
        data[14] = data[13]
        return data

    causes = [f.cause for f in inspect(tmp_path, ct=with_data("ct", lose)).findings if f.kind == "slices missing"]
    assert "Slices 10 " in causes[0]
    assert "Slices 13 " in causes[1]


def test_a_lost_dicom_slice_and_a_recorded_contrast_agent_are_reported(tmp_path):
    head = phantoms.head()
    noisy = head.with_data(head.data + np.random.default_rng(0).normal(0, 3, head.data.shape).astype(np.float32))
    files = phantoms.write_dicom_series(noisy, tmp_path / "p/dicom", tags={"ContrastBolusAgent": "IOHEXOL"})
    files[12].unlink()
    (case,) = find_cases(tmp_path)
    found = inspect_case(case).findings
    assert "10.0 mm after slice 12" in only(found, "slices missing").cause
    assert only(found, "contrast agent").blocks


def test_verdicts_do_not_depend_on_words(tmp_path, monkeypatch):
    bright = with_data("ct", lambda data: np.where(patient()["brain"].data > 0, data + 25, data))
    before = {(one.kind, one.blocks) for one in inspect(tmp_path / "a", ct=bright).findings}
    assert ("contrast agent", False) in before
    for key in [key for key in words().texts if key.startswith("remarks.")]:
        monkeypatch.setitem(words().texts, key, "Other words, of bright contrast agents cut off.")
    assert {(one.kind, one.blocks) for one in inspect(tmp_path / "b", ct=bright).findings} == before


def test_another_series_with_contrast_does_not_make_this_one_contrast_enhanced(tmp_path):
    head = phantoms.head()
    noisy = head.with_data(head.data + np.random.default_rng(0).normal(0, 3, head.data.shape).astype(np.float32))
    phantoms.write_dicom_series(noisy, tmp_path / "p/dicom/1", tags={"SeriesInstanceUID": "1.2.3.1"})
    phantoms.write_dicom_series(
        noisy,
        tmp_path / "p/dicom/2",
        tags={"SeriesInstanceUID": "1.2.3.2", "SeriesNumber": 9, "ContrastBolusAgent": "IOHEXOL"},
    )
    (case,) = find_cases(tmp_path)
    findings = inspect_case(case).findings
    assert "contrast agent" in only(findings, "reading").cause
    assert not any(one.kind == "contrast agent" for one in findings)


def test_changed_slice_gaps_are_not_taken_for_lost_slices():
    assert missing_slices(np.array([2.5] * 8 + [7.5] * 8)) == []
    assert missing_slices(np.array([5.0, 5.0, 10.0, 5.0])) == [2]


def inspections(folder, **cases):
    for name, changed in cases.items():
        write_patient(folder / name, **changed)
    return [inspect_case(case) for case in find_cases(folder)]


def test_the_same_scan_under_another_name_is_found_by_content(tmp_path):
    changed = with_data("ct", lambda data: np.maximum(data, -900)).reoriented("LPS")  # other air, other axis order
    other = with_data("ct", lambda data: np.roll(data, 1, 0))
    found = compare_cases(inspections(tmp_path, a={}, b={"ct": changed}, c={"ct": other, "infarct": None}))
    duplicate = only(found, "duplicate")
    assert duplicate.case == "a, b"
    assert duplicate.blocks


def test_one_mask_for_two_scans_is_found(tmp_path):
    other = with_data("ct", lambda data: np.random.default_rng(1).permutation(data))
    assert only(compare_cases(inspections(tmp_path, a={}, b={"ct": other})), "same mask twice").case == "a, b"


def test_leaks_between_the_parts_of_a_split_are_found(tmp_path):
    both = inspections(tmp_path, a={}, b={})
    same_scan = Split((SplitRow("a", "a", "train"), SplitRow("b", "b", "test")))
    assert only(compare_cases(both, same_scan), "leakage").case == "a, b"
    same_patient = Split((SplitRow("a", "p", "train"), SplitRow("b", "p", "train", 0), SplitRow("x", "x", "train")))
    found = compare_cases(both, same_patient)
    assert any("'p' is in" in one.cause for one in found if one.kind == "leakage")
    assert [one.case for one in found if one.kind == "split" and one.blocks] == ["x"]


def test_masks_that_are_all_flipped_are_reported_once(tmp_path):
    one = inspect(tmp_path, infarct=with_data("infarct", lambda data: np.flip(data, 0)))
    found = only(compare_cases([one] * 4), "flipped masks")
    assert "slice reversal" in found.cause
    assert found.blocks


def test_a_whole_set_is_checked_by_one_function(tmp_path):
    mask, told = patient()["infarct"], []
    write_patient(tmp_path / "set" / "good")
    write_patient(tmp_path / "set" / "flipped", infarct=mask.with_data(np.flip(mask.data, 2)))
    found = check_data(tmp_path / "set", tmp_path / "out", jobs=1, progress=lambda *counts: told.append(counts))
    assert [one.case.name for one in found.inspections] == ["flipped", "good"]
    assert all(one.scan is None for one in found.inspections)
    assert found.blocks
    assert found.findings[0].blocks
    assert (found.failed, told) == ((), [(1, 2), (2, 2)])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"check.csv", "check.html"}
