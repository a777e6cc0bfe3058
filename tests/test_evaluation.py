"""`evaluate`: matching by name, scores on both grids, strata, comparisons, what is written, and what is refused."""

import csv
import json
import os
import re
import sys

import numpy as np
import pytest

import adn
from adn.cli import app
from adn.errors import InputError, OutputError
from adn.io import write_volume
from adn.prepare import carry_mask
from adn.report import evaluation as report
from adn.results import DISCLAIMER
from adn.space.geometry import Grid
from adn.space.volume import Volume
from given import given

GRID = Grid.centred((12, 60, 60), (5.0, 1.2, 1.2))  # the paper's voxels, so that both grids agree
SLICE_ML = 20 * 20 * GRID.voxel_ml  # 2.88 mL
FILES = {"cases.csv", "summary.csv", "differences.csv", "reliability.csv", "summary.md", "summary.tex", "report.html"}


def block(slices, shift=0):
    """`slices` slices of 20 × 20 voxels, moved by `shift` voxels along W."""
    mask = np.zeros(GRID.shape, np.uint8)
    mask[1 : 1 + slices, 20:40, 20 + shift : 40 + shift] = 1
    return Volume(mask, GRID, "label")


def case(folder, infarct, probability=None, **plan):
    folder.mkdir(parents=True)
    write_volume(infarct, folder / "infarct.nii.gz")
    if probability is not None:
        write_volume(Volume(probability.astype(np.float32), GRID), folder / "infarct_probability.nii.gz")
        write_volume(Volume(np.ones(GRID.shape, np.uint8), GRID), folder / "brain_mask.nii.gz")
    if plan:
        (folder / "plan.json").write_text(json.dumps(plan))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Four cases of two heads with 10, 1, 0 slices of infarct and one missed; two methods, 'good' and 'poor'."""
    root = tmp_path_factory.mktemp("study")
    for number, slices in enumerate((10, 1, 0, 5)):
        name = f"case-{number}"
        case(root / "ref" / name, block(slices), head=number % 2)
        good = block(slices) if number != 3 else block(0)
        case(root / "good" / name, good, 0.92 * good.data)
        case(root / "poor" / name, block(slices, shift=5) if number else block(slices, shift=10))
    return root


@pytest.fixture(scope="module")
def evaluated(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "table"
    return adn.evaluate({"good": study / "good", "poor": study / "poor"}, study / "ref", out), out


def test_scores_by_hand(evaluated):
    found, _ = evaluated
    own = {(c.method, c.case): c.scores for c in found.cases if c.grid == "own"}
    assert own["poor", "case-0"].dice == pytest.approx(0.5)
    assert own["poor", "case-1"].dice == pytest.approx(0.75)
    assert own["poor", "case-1"].hd95_mm == pytest.approx(4.8 + 0.05 * 1.2)  # 20 of 400 voxels lie 6 mm away
    assert own["good", "case-3"].hd95_mm is None
    assert own["good", "case-3"].volume_bias_ml == pytest.approx(-5 * SLICE_ML)
    mean = found.summary("good", "dice")
    assert (mean.n, mean.mean, mean.clusters) == (4, 0.75, 2)
    hd95 = found.summary("good", "hd95_mm")
    assert (hd95.n, hd95.missing, hd95.mean) == (3, 1, 0.0)


def test_both_grids_agree_on_voxels_of_the_papers_size(evaluated):
    found, _ = evaluated
    own, paper = ([c.scores for c in found.cases if c.grid == grid] for grid in ("own", "paper"))
    assert [a.dice for a in own] == pytest.approx([b.dice for b in paper], abs=0.02)


def test_strata_and_pairs(evaluated):
    found, _ = evaluated
    strata = {c.case: c.stratum for c in found.cases}
    assert strata == {"case-0": "≤ 30 mL", "case-1": "≤ 30 mL", "case-2": "none", "case-3": "≤ 30 mL"}
    assert found.summary("good", "dice", "> 70 mL") is None
    assert found.summary("good", "dice", "with infarct").n == 3
    pair = next(c for c in found.comparisons if (c.metric, c.stratum, c.grid) == ("dice", "all", "own"))
    assert (pair.method, pair.versus, pair.n) == ("poor", "good", 4)
    assert pair.mean_difference == pytest.approx((-0.5 - 0.25 + 0.0 + 0.75) / 4)
    missing = next(c for c in found.comparisons if (c.metric, c.stratum, c.grid) == ("hd95_mm", "all", "own"))
    assert missing.n == 3


def test_volume_strata_have_the_stated_bounds():
    from adn.metrics.strata import volume_stratum

    names = [volume_stratum(ml) for ml in (0.0, 0.01, 30.0, 30.01, 70.0, 70.01)]
    assert names == ["none", "≤ 30 mL", "≤ 30 mL", "30–70 mL", "30–70 mL", "> 70 mL"]


def test_reliability_only_where_there_is_a_probability(evaluated):
    found, _ = evaluated
    assert set(found.reliability) == {"good"}
    assert found.in_brain
    curve = found.reliability["good"]
    assert curve.observed[18] == 1.0  # every voxel with 0.92 is infarct
    assert curve.predicted[18] == pytest.approx(0.92)


def test_files_work_offline_and_carry_the_disclaimer(evaluated):
    _, out = evaluated
    assert {path.name for path in out.iterdir()} == FILES
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count(DISCLAIMER) >= 2
    assert not re.search(r"<script|https?://", re.sub(r'src="data:[^"]*"', "", page))
    assert page.count('src="data:image/svg') == 3
    assert all(DISCLAIMER in (out / name).read_text(encoding="utf-8") for name in FILES)
    rows = list(csv.DictReader((out / "cases.csv").open(encoding="utf-8")))
    assert len(rows) == 4 * 2 * 2
    assert [row["hd95_mm"] for row in rows if (row["method"], row["case"]) == ("good", "case-3")] == ["", ""]
    tex = (out / "summary.tex").read_text(encoding="utf-8")
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 4
    assert not re.search(r"[↑↓≤−×–Δ]", re.sub(r"^%.*$", "", tex, flags=re.MULTILINE))


def test_the_same_input_gives_the_same_files(study, evaluated, tmp_path):
    _, out = evaluated
    adn.evaluate({"good": study / "good", "poor": study / "poor"}, study / "ref", tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_masks_in_one_folder_and_a_csv_of_paths_work_too(study, tmp_path):
    for number in range(4):
        name = f"case-{number}"
        (tmp_path / "masks").mkdir(exist_ok=True)
        (tmp_path / "masks" / f"{name}.nii.gz").write_bytes((study / "poor" / name / "infarct.nii.gz").read_bytes())
    table = tmp_path / "ref.csv"
    lines = [
        f"case-{n},{os.path.relpath(study / 'ref' / f'case-{n}' / 'infarct.nii.gz', tmp_path)},p{n // 2}"
        for n in range(4)
    ]
    table.write_text("\n".join(["name,infarct,subject", *lines]))
    found = adn.evaluate(tmp_path / "masks", table)
    assert found.methods == ("masks",)
    assert given(found.summary("masks", "dice")).mean == pytest.approx((0.5 + 0.75 + 1 + 0.75) / 4)
    assert {c.case: c.cluster for c in found.cases}["case-3"] == "p1"
    single = adn.evaluate(tmp_path / "masks" / "case-1.nii.gz", study / "ref" / "case-1" / "infarct.nii.gz")
    assert single.cases[0].scores.dice == pytest.approx(0.75)


def test_a_method_that_marks_nothing_shows_missing_distances(study, tmp_path):
    for number in (0, 1):
        case(tmp_path / "pred" / f"case-{number}", block(0), np.zeros(GRID.shape))
    found = adn.evaluate(tmp_path / "pred", study / "ref", tmp_path / "out")
    assert [(one.mean, one.missing) for one in [given(found.summary("pred", "hd95_mm"))]] == [(None, 2)]
    assert given(found.summary("pred", "hd95_or_diagonal_mm")).mean == pytest.approx(
        np.hypot(55.0, 59 * 1.2 * np.sqrt(2))
    )
    assert "| – (2 missing) |" in (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")


def test_ignored_voxels_of_the_reference_are_scored_both_ways(tmp_path):
    case(tmp_path / "ref" / "a", block(2))
    write_volume(Volume(block(4).data - block(2).data, GRID), tmp_path / "ref" / "a" / "ignore.nii.gz")
    case(tmp_path / "ref" / "b", block(1))
    for name, slices in (("a", 4), ("b", 1)):
        case(tmp_path / "pred" / name, block(slices))
    found = adn.evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out")
    dice = {(c.case, c.grid): c.scores.dice for c in found.cases if c.grid.startswith("own")}
    assert dice["a", "own"] == pytest.approx(2 * 2 / (4 + 2))  # taken as no infarct
    assert dice["a", "own+ignore"] == 1.0
    assert dice["b", "own"] == dice["b", "own+ignore"] == 1.0
    assert "ignores counted as infarct" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_another_axis_order_is_the_same_prediction(study, tmp_path):
    case(tmp_path / "pred" / "case-0", block(10, shift=10).reoriented("LAS"))
    assert adn.evaluate(tmp_path / "pred", study / "ref").cases[0].scores.dice == pytest.approx(0.5)


def test_a_different_grid_is_refused_with_the_difference(study, tmp_path):
    thin = Grid.centred((24, 60, 60), (2.5, 1.2, 1.2))
    case(tmp_path / "pred" / "case-0", Volume(np.zeros(thin.shape, np.uint8), thin))
    with pytest.raises(InputError, match=r"case-0: .*shape is 24×60×60.*Resample.*pred/case-0/infarct.nii.gz"):
        adn.evaluate(tmp_path / "pred", study / "ref", tmp_path / "out")
    assert os.listdir(tmp_path) == ["pred"]


def test_other_bad_input_is_reported_in_one_sentence(study, tmp_path):
    with pytest.raises(InputError, match="no masks found"):
        adn.evaluate(study, study / "ref")
    case(tmp_path / "pred" / "someone", block(1))
    with pytest.raises(InputError, match=r"none of its cases \(someone\).*matched by name"):
        adn.evaluate(tmp_path / "pred", study / "ref")
    case(tmp_path / "labels" / "case-0", Volume(block(1).data * 5, GRID))
    with pytest.raises(InputError, match=r"labels/case-0/infarct.nii.gz: a mask must hold 0 and 1 only.* 0, 5"):
        adn.evaluate(tmp_path / "labels", study / "ref")
    case(tmp_path / "hot" / "case-0", block(10), np.full(GRID.shape, 1.5))
    with pytest.raises(InputError, match=r"infarct_probability.nii.gz: A probability must be within"):
        adn.evaluate(tmp_path / "hot", study / "ref")
    table = tmp_path / "table.csv"
    table.write_text("name,infarct\na,nowhere.nii.gz\n")
    with pytest.raises(InputError, match=r"table.csv: row 2 \(a\) names .*nowhere.nii.gz"):
        adn.evaluate(table, study / "ref")
    table.write_text("scan,mask\na,b\n")
    with pytest.raises(InputError, match="needs the columns name and infarct"):
        adn.evaluate(table, study / "ref")


def test_a_failure_writes_nothing_and_other_files_are_not_overwritten(study, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    for overwrite, words in ((False, "already exists"), (True, "not a result")):
        with pytest.raises(OutputError, match=words):
            adn.evaluate(study / "good", study / "ref", tmp_path / "mine", overwrite=overwrite)
    monkeypatch.setattr(report, "render_evaluation", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        adn.evaluate(study / "good", study / "ref", tmp_path / "out")
    assert os.listdir(tmp_path) == ["mine"]


def test_the_command_lists_what_it_could_not_score(study, tmp_path, monkeypatch, capsys):
    case(tmp_path / "part" / "case-1", block(1))
    case(tmp_path / "part" / "extra", block(1))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["adn", "evaluate", *map(str, arguments)])
        code = app.main()
        out, err = capsys.readouterr()
        return code, " ".join(out.split()), " ".join(err.split())

    out = tmp_path / "out"
    code, said, warned = run(study / "good", f"some={tmp_path / 'part'}", study / "ref", "-o", out)
    assert code == 3
    assert "good, 4 cases: Dice 0.750" in said
    assert "some, 1 case: Dice 1.000" in said
    assert said.endswith(DISCLAIMER)
    assert "case-0: no prediction (some)" in warned
    assert "extra: no reference (some)" in warned
    problems = [row["problem"] for row in csv.DictReader((out / "cases.csv").open(encoding="utf-8"))]
    assert (problems.count("no prediction"), problems.count("no reference")) == (3, 1)
    assert "scored on different cases" in (out / "summary.md").read_text(encoding="utf-8")
    assert "Not scored: 4" in (out / "report.html").read_text(encoding="utf-8")
    assert run(study / "good", study / "good", study / "ref", "-o", tmp_path / "b")[0] == 2
    assert run(study / "good", study / "ref", "-o", out, "--overwrite", "--quiet") == (0, "", "")


def test_a_mask_keeps_its_volume_on_another_grid():
    fine = Grid.centred((20, 150, 170), (3.0, 0.45, 0.5), (4.0, -3.0, 2.0)).reoriented("LAS")
    index = np.indices(fine.shape).reshape(3, -1)
    place = (fine.affine[:3, :3] @ index + fine.affine[:3, 3:]).reshape(3, *fine.shape)
    ball = Volume(
        (np.linalg.norm(place - np.reshape([4.0, -3.0, 2.0], (3, 1, 1, 1)), axis=0) < 20).astype(np.uint8), fine
    )
    coarse = carry_mask(ball, Grid.centred((14, 60, 72), (5.0, 1.2, 1.2), (4.0, -3.0, 2.0)))
    assert coarse.data.sum() * coarse.grid.voxel_ml == pytest.approx(4 / 3 * np.pi * 8.0, rel=0.03)
    assert not carry_mask(ball.with_data(ball.data * 0), coarse.grid).data.any()
