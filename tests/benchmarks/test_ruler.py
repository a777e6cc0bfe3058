"""The ruler's tables and rows, from numbers that can be checked by hand."""

from types import SimpleNamespace

import cpaisd_ruler
import numpy as np
import patients
import pytest
import tables
from cases import RulerCase, patients_of

from adn import Grid, Volume
from adn.io import write_volume
from given import loose

SERIES = [
    {"patient": "A", "dice": 0.2, "reference_ml": 4.0, "darker_hu": 4.0, "side_right": 0, "error_ml": 2.0},
    {"patient": "A", "dice": 0.6, "reference_ml": 8.0, "darker_hu": None, "side_right": 1, "error_ml": 4.0},
    {"patient": "B", "dice": 0.8, "reference_ml": 40.0, "darker_hu": 2.0, "side_right": 1, "error_ml": 9.0},
]


def test_a_patient_counts_once():
    rows = {row["patient"]: row for row in tables.by_patient(SERIES)}
    assert rows["A"]["dice"] == pytest.approx(0.4)
    assert rows["A"]["reference_ml"] == 6.0
    assert rows["A"]["darker_hu"] == 4.0
    assert rows["B"]["roc_area"] is None


def test_patients_by_size_and_contrast():
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in tables.patient_table(tables.by_patient(SERIES))}
    assert lines["all"].startswith("| all | 2 | 0.60 (0.40 to 0.80) | 0.60 |")
    assert "| 75% |" in lines["all"]
    assert lines["< 10 mL"].startswith("| < 10 mL | 1 | 0.40 | 0.40 |")
    assert lines["30–70 mL"].startswith("| 30–70 mL | 1 | 0.80 |")
    assert lines["1.5–3 HU"].startswith("| 1.5–3 HU | 1 | 0.80 |")


def test_patients_by_maker_and_slices():
    rows = [{**row, "case": case} for row, case in zip(SERIES, ("a1", "a2", "b1"), strict=True)]
    about = {
        case: {"vendor": vendor, "thickness_mm": mm}
        for case, vendor, mm in (("a1", "GE", "2.5"), ("a2", "GE", "5.0"), ("b1", "SIE", "5.0"))
    }
    names = [line.split(" | ")[:3] for line in tables.scanner_table(rows, about)[2:]]
    assert names == [
        ["| GE", "1", "0.40"],
        ["| SIE", "1", "0.80"],
        ["| slices below 3 mm", "1", "0.20"],
        ["| 5 mm and more", "2", "0.70 (0.60 to 0.80)"],
    ]


def test_strata_hold_every_size_and_contrast_once():
    for ml in (0.1, 9.9, 10.0, 30.0, 30.1, 70.0, 71.0):
        assert sum(belongs({"reference_ml": ml}) for _, belongs in tables.SIZES) == 1
    for hu in (-3.0, 1.4, 1.5, 2.9, 3.0, 9.0, None):
        assert sum(belongs({"darker_hu": hu, "reference_ml": 5.0}) for _, belongs in tables.CONTRASTS[:3]) == 1


def test_heads_without_infarct():
    line = tables.bleed_line([{"outside_ml": ml} for ml in (0.0, 1.0, 5.0, 30.0)])
    assert "n = 4" in line
    assert "median 3.0 mL, mean 9.0 mL" in line
    assert "2 of 4, 50% (15% to 85%)" in line


def test_placed_infarcts_count_as_found_from_a_dice_of_03():
    rows = [{"dice": d, "reference_ml": 20.0, "laid_hu": hu} for d, hu in ((0.29, 5.0), (0.3, 7.0))]
    lines = tables.laid_table(rows)
    assert any(line.startswith("| ≥ 10 mL, ≥ 4 HU | 2 | 1 of 2") for line in lines)
    assert any(line.startswith("| … ≥ 6 HU | 1 | 1 of 1") for line in lines)


def test_only_acquired_voxels_away_from_blood_count(tmp_path):
    grid = Grid.centred((4, 40, 40), (5.0, 2.0, 2.0))
    ct = Volume(np.full(grid.shape, 30.0, np.float32), grid)
    ct.data[:, :5] = -1000.0
    reference, seen, blood = (np.zeros(grid.shape, np.uint8) for _ in range(3))
    reference[1:3, 10:14, 8:12] = 1
    seen[1] = 1
    blood[1, 30, 30] = 1
    write_volume(ct, tmp_path / "ct.nii.gz")
    for name, mask in (("infarct", reference), ("seen", seen), ("ignore", blood)):
        write_volume(ct.with_data(mask, "label"), tmp_path / f"{name}.nii.gz")
    files = {name: tmp_path / f"{name}.nii.gz" for name in ("infarct", "seen", "ignore")}
    case = RulerCase("one", "outlined", "P", tmp_path / "ct.nii.gz", **files)
    marked = reference > 0
    marked[1, 30, 28:33] = True  # within 6 mm of blood
    aligned = np.array([[0, 0, 2.0, -39.0], [0, 2.0, 0, -39.0], [5.0, 0, 0, -7.5], [0, 0, 0, 1.0]])
    found = patients.Found(marked, marked.astype(np.float32), np.ones(grid.shape, bool), aligned)
    row = patients.scored(case, found, None)
    assert row["dice"] == 1.0
    assert row["reference_ml"] == pytest.approx(16 * grid.voxel_ml)
    assert row["roc_area"] == 1.0
    assert row["side_right"] == 1
    assert (row["left_ml"], row["right_ml"]) == (0.0, pytest.approx(16 * grid.voxel_ml))
    assert patients.scored(case, None, None)["dice"] == 0.0


def test_parts_have_no_patient_in_common():
    for name in ("teknofest", "phe_sich"):
        split = patients.TEST_USES.with_name(f"{name}.csv")
        parts = [set(patients_of(split, part).values()) for part in ("train", "validation", "test")]
        assert all(parts)
        assert len(set.union(*parts)) == sum(map(len, parts))
        folds = [set(patients_of(split, f"fold {fold}").values()) for fold in range(3)]
        assert set.union(*folds) == parts[0] | parts[1]
        assert sum(map(len, folds)) == len(parts[0] | parts[1])


@pytest.mark.parametrize("words", [["--part", "test"], ["--test"]])
def test_the_test_part_must_be_requested_explicitly(words, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["patients.py", "ensemble", "-o", "x", *words])
    with pytest.raises(SystemExit):
        patients.parsed()
    assert "--part test and --test" in capsys.readouterr().err


def test_core_and_penumbra_are_scored_separately_on_acquired_slices(tmp_path, monkeypatch):
    grid = Grid.centred((4, 40, 40), (5.0, 2.0, 2.0))
    masks = {name: np.zeros(grid.shape, np.uint8) for name in ("core", "penumbra", "seen", "infarct")}
    masks["seen"][1:3] = 1
    masks["core"][:, 10:14, 8:12] = 1
    masks["penumbra"][:, 14:18, 8:12] = 1
    masks["infarct"] = masks["core"]
    folder = tmp_path / "case_1"
    folder.mkdir()
    write_volume(Volume(np.full(grid.shape, 30.0, np.float32), grid), folder / "ct.nii.gz")
    for name, mask in masks.items():
        write_volume(Volume(mask, grid, "label"), folder / f"{name}.nii.gz")
    marked = masks["core"].copy()
    marked[:, 14:16, 8:12] = 1  # all of the core and half of the penumbra
    found = SimpleNamespace(
        infarct=Volume(marked, grid, "label"),
        relative_hypodensity=Volume(np.full(grid.shape, 0.02, np.float32), grid, "probability"),
    )
    monkeypatch.setattr(cpaisd_ruler.adn, "open_scan", lambda path: path)
    monkeypatch.setattr(cpaisd_ruler.adn, "predict", lambda scan, model: found)
    (case,) = cpaisd_ruler.of_scans(tmp_path, loose(None))
    assert case.core.sum() == 2 * 16  # the two acquired slices
    (line, _) = cpaisd_ruler.cpaisd_lines(tmp_path, loose(None))
    assert "core 0.80" in line  # 16 of 24 marked: 2 × 16 / (24 + 16)
    assert "core and penumbra 0.86" in line
    assert "darker" not in line  # 2 % darker than its twin cannot be seen
    assert "marked: 50%" in line
