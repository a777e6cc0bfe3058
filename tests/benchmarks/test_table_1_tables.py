"""Table 1 on real patients: patients count once, seeds are averaged, and only the interval decides on a claim."""

import re
from pathlib import Path

import pytest
import table_1_tables
from table_1_tables import (
    COLUMNS,
    SHOWN,
    by_patient,
    claims_table,
    everything,
    main_table,
    over_seeds,
    read,
    seeds_table,
    verdict,
)

ROOT = Path(__file__).parents[2]


def of(*values):
    """Rows of patients P0, P1, … with these Dice."""
    unknown = dict.fromkeys([name for name in COLUMNS if name not in ("patient", "case", "fold")])
    return [unknown | {"patient": f"P{i}", "reference_ml": 5.0, "dice": value} for i, value in enumerate(values)]


def test_the_table_pairs_patients_with_adn():
    lines = table_1_tables.main_table({"adn": by_patient(of(0.5, 0.4, 0.3)), "sean": by_patient(of(0.4, 0.3, 0.2))})
    assert "| sean | 3 | 0.300" in lines[3]
    assert "−0.100 [−0.100, −0.100]" in lines[3]
    assert lines[2].endswith("|  |  |")


def test_series_of_a_patient_count_once_and_unknown_ones_are_left_out():
    rows = [*of(0.2), *of(0.4)]
    rows[1]["hd95_mm"] = 7.0
    assert (by_patient(rows)["P0"]["dice"], by_patient(rows)["P0"]["hd95_mm"]) == (pytest.approx(0.3), 7.0)


def test_a_claim_is_judged_on_the_mean_of_the_seeds():
    found = {name: by_patient(rows) for name, rows in {"adn": of(0.2, 0.4), "adn@1": of(0.4, 0.8)}.items()}
    assert over_seeds(found, "adn") == {"P0": {"dice": pytest.approx(0.3)}, "P1": {"dice": pytest.approx(0.6)}}
    found["resunet-aligned"] = by_patient(of(0.1, 0.4))
    (line,) = claims_table(found)[2:]
    assert "| 2, 1 | +0.200 [+0.200, +0.200] |" in line
    assert line.endswith("| holds |")


def test_a_verdict_follows_the_interval():
    assert verdict((0.1, 0.01, 0.2)) == "holds"
    assert verdict((0.1, -0.01, 0.2)) == verdict(None) == "inconclusive"
    assert verdict((-0.1, -0.2, -0.01)).startswith("does not hold")


def test_files_are_read_in_table_order_part_by_part(tmp_path):
    for name in ("rule-water", "adn", "unet", "adn@1", "adn-test", "adn@1-test", "not-a-row"):
        lines = [",".join(COLUMNS), "P1,c,0,5.0,,1.0,0.5,,,0.5,4.0,1.0,1"]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert list(read(tmp_path, "folds")) == ["unet", "adn", "adn@1", "rule-water"]
    assert list(read(tmp_path, "test")) == ["adn", "adn@1"]
    text = "\n".join(everything(read(tmp_path, "folds")))
    assert text.count("| adn | ") == 3
    assert all(name in text for name in SHOWN)


def page_rows():
    """Cells of every table row of docs/benchmark.md."""
    lines = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8").splitlines()
    return [cells(line) for line in lines if line.startswith("| ")]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_shows_the_claims_that_the_scores_give():
    found = {name: by_patient(rows) for name, rows in read(ROOT / "benchmarks" / "teknofest", "folds").items()}
    shown = page_rows()
    assert all(cells(line) in shown for line in [*claims_table(found), *seeds_table(found)] if "---" not in line)


@pytest.mark.parametrize(("part", "left_out"), [("folds", {1}), ("test", {1, 4, 7})])  # columns not on the page
def test_the_page_shows_the_rows_that_the_scores_give(part, left_out):
    """The last digit may differ, since sums are rounded in another order on other processors."""
    found = {name: by_patient(rows) for name, rows in read(ROOT / "benchmarks" / "teknofest", part).items()}
    rows = page_rows()
    for line in main_table(found)[2:]:
        wanted = [cell for place, cell in enumerate(cells(line)) if place not in left_out]
        shown = numbers(" ".join(" ".join(row) for row in rows if row[0] == wanted[0]))
        assert all(min(abs(a - b) for b in shown) < 1.5e-3 for a in numbers(" ".join(wanted))), line


def numbers(text):
    return [float(number) for number in re.findall(r"[+-]?[0-9]+\.[0-9]+", text.replace("−", "-"))]
