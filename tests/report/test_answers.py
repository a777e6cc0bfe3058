"""What a stroke reader asks, on the page, in `result.json` and in `results.csv`."""

from dataclasses import replace

import numpy as np
from fake_prediction import make_prediction

from adn.answers import Answers, Aspects, NotAssessable, RegionFinding, WaterUptake
from adn.atlas import ASPECTS_REGIONS
from adn.lang import words
from adn.report import csv_row, render_report, result_dict
from adn.report.answer_words import lines, region_rows

WATER = WaterUptake(12.34, 0.4, 30.0, 34.2, 8.0)


def score(affected=("insula", "M2")):
    """Ten regions a side; those that are named are marked on the left."""
    regions = tuple(
        RegionFinding(region, side, 20.0, 0.4, side == "left" and region in affected, 31.0, 34.0, WATER)
        for side in ("left", "right")
        for region in ASPECTS_REGIONS
    )
    return Aspects(10 - len(affected), 10, regions)


def answered():
    answers = Answers(water_uptake=WATER, aspects=score())
    mni = np.eye(4)
    return replace(make_prediction("left"), answers=answers, mni_from_aligned=mni)


def test_the_result_holds_every_answer_and_the_reason_where_there_is_none():
    found = result_dict(answered())["answers"]
    assert found["net_water_uptake"]["percent"] == 12.34
    assert found["net_water_uptake"]["because"] is None
    assert (found["aspects"]["left"], found["aspects"]["right"]) == (8, 10)
    assert len(found["aspects"]["regions"]) == 20
    assert result_dict(make_prediction("left"))["answers"]["aspects"] == {"because": "scan_not_assessable"}


def test_the_row_holds_numbers_or_nothing():
    row = csv_row(result_dict(answered()))
    assert (row["aspects_left"], row["aspects_right"], row["net_water_uptake_percent"]) == (8, 10, 12.34)
    row = csv_row(result_dict(make_prediction("left")))
    assert row["aspects_left"] is row["net_water_uptake_percent"] is None


def test_the_page_says_the_score_with_its_reason_and_shows_both_levels():
    page = render_report(answered())
    assert "left 8 (insula, M2 marked); right 10" in page
    assert "the two standard levels of ASPECTS" in page


def test_the_page_says_why_there_is_no_score():
    prediction = replace(make_prediction("left"), answers=Answers(aspects=NotAssessable("part_of_head")))
    page = render_report(prediction)
    assert "not assessable, because only a part of the head was scanned" in page
    assert "the two standard levels" not in page


def test_every_region_has_a_row_with_both_sides():
    rows = region_rows(score(("caudate",)), words())
    assert [row.region for row in rows] == list(ASPECTS_REGIONS)
    assert rows[0].left_affected
    assert not rows[0].right_affected
    assert "40 % of 20 mL marked" in rows[0].left


def test_lines_that_have_no_answer_say_so():
    assert not any(line.known for line in lines(Answers(), words()))
