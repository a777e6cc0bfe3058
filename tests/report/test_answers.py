"""What a stroke reader asks, on the page, in `result.json` and in `results.csv`."""

from dataclasses import replace

import numpy as np
import pytest

from adn.answers import (
    Age,
    Answers,
    Aspects,
    Blood,
    BrightPart,
    MassEffect,
    MassLike,
    NotAssessable,
    OldInfarct,
    RegionFinding,
    VolumeLimit,
    WaterUptake,
)
from adn.atlas import ASPECTS_REGIONS
from adn.findings.measure import versus_limit
from adn.lang import words
from adn.report import csv_row, render_report, result_dict
from adn.report.answer_words import lines, region_rows
from adn.report.numbers import CSV_NUMBERS
from adn.results import TerritoryShare
from fake_prediction import make_prediction

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


def test_the_result_holds_every_answer_or_the_reason_for_its_absence():
    found = result_dict(answered())["answers"]
    assert found["net_water_uptake"]["percent"] == 12.34
    assert found["net_water_uptake"]["because"] is None
    assert (found["aspects"]["left"], found["aspects"]["right"]) == (8, 10)
    assert len(found["aspects"]["regions"]) == 20
    assert result_dict(make_prediction("left"))["answers"]["aspects"] == {"because": "scan_not_assessable"}


def test_the_row_holds_numbers_or_is_empty():
    row = csv_row(result_dict(answered()))
    assert (row["aspects_left"], row["aspects_right"], row["net_water_uptake_percent"]) == (8, 10, 12.34)
    row = csv_row(result_dict(make_prediction("left")))
    assert row["aspects_left"] is row["net_water_uptake_percent"] is None


def test_the_page_gives_the_score_with_its_reason_and_shows_both_levels():
    page = render_report(answered())
    assert "left 8 (insula, M2 marked); right 10" in page
    assert "the two standard levels of ASPECTS" in page


def test_the_page_says_why_there_is_no_score():
    prediction = replace(make_prediction("left"), answers=Answers(aspects=NotAssessable("part_of_head")))
    page = render_report(prediction)
    assert "ASPECTS: only a part of the head was scanned" in page
    assert "the two standard levels" not in page


def test_every_region_has_a_row_with_both_sides():
    rows = region_rows(score(("caudate",)), words())
    assert [row.region for row in rows] == list(ASPECTS_REGIONS)
    assert rows[0].left_affected
    assert not rows[0].right_affected
    assert "40 % of 20 mL marked" in rows[0].left


def told(prediction):
    return {line.name: line.text for line in lines(prediction, words())}


def test_the_lines_are_in_reading_order():
    shifted = MassEffect(4.2, 3.4, (10.0, 20.0), (30.0, 31.0), "left", "none")
    bled = Blood(True, 6.0, (BrightPart("right", 6.0, "thalamus"),))
    answers = Answers(WATER, score(), bled, shifted, Age(0.8, True))
    found = told(replace(make_prediction("left"), answers=answers))
    names = ["ASPECTS", "Volume", "Blood", "Mass effect", "Net water uptake", "Age"]
    assert list(found) == names
    assert found["Mass effect"] == (
        "midline shift at the septum 4.2 mm to the left, at the pineal level 3.4 mm to the left; "
        "left lateral ventricle narrower"
    )
    assert found["Blood"] == "possible: 6.0 mL right thalamus"
    assert found["Age"].startswith("what is marked looks old: 80 %")


@pytest.mark.parametrize(
    ("interval", "says"),
    [
        ((71.0, 90.0), ": above 70 mL"),
        ((3.0, 69.0), ": below 70 mL"),
        ((60.0, 80.0), "may be above or below 70 mL"),
        (None, "no interval"),
    ],
)
def test_the_volume_is_compared_with_the_limit(interval, says):
    prediction = make_prediction("left")
    prediction = replace(
        prediction,
        measurements=replace(prediction.measurements, volume_interval_ml=interval),
        answers=Answers(volume_limit=versus_limit(interval, 70.0)),
    )
    assert says in told(prediction)["Volume"]


def test_a_custom_limit_is_in_the_result_and_in_the_row():
    found = result_dict(replace(make_prediction("left"), answers=Answers(volume_limit=VolumeLimit(100.5, "below"))))
    assert found["answers"]["volume_limit"] == {"because": None, "limit_ml": 100.5, "against": "below"}
    row = csv_row(found)
    assert (row["volume_limit_ml"], row["volume_against_limit"]) == (100.5, "below")


def test_a_row_with_every_answer_has_a_number_in_each_column_of_numbers_and_words_in_the_others():
    answers = Answers(
        WATER, score(), Blood(True, 3.0, ()), MassEffect(-0.75, 1.5, (9.0, 8.0), (20.0, 21.0), "none", "none"),
        Age(0.1, looks_old=False), VolumeLimit(70.0, "below"), OldInfarct(1.0, False),
        MassLike(4.0, 22.0, -1.0, looks_so=False),
    )  # fmt: skip
    row = csv_row(result_dict(replace(make_prediction("left"), answers=answers)))
    numbers = {name for name, value in row.items() if isinstance(value, int | float)}
    assert numbers == CSV_NUMBERS, "the table of an archive has these columns as numbers"


@pytest.mark.parametrize(("left_out", "says"), [(True, "is not marked"), (False, "of what is marked")])
def test_an_old_infarct_is_named_with_its_volume(left_out, says):
    answers = Answers(old_infarct=OldInfarct(12.0, left_out))
    prediction = replace(make_prediction("left"), answers=answers)
    found = told(prediction)["Old infarct"]
    assert says in found
    assert found.startswith("12.0 mL")
    assert csv_row(result_dict(prediction))["old_infarct_ml"] == 12.0
    assert "Old infarct" not in told(replace(prediction, answers=Answers(old_infarct=OldInfarct(0.0, False))))


def test_a_possible_mass_is_reported_only_if_it_looks_like_one():
    prediction = replace(make_prediction("left"), answers=Answers(mass_like=MassLike(11.2, 22.0, 6.0, looks_so=True)))
    assert "22 mm wide" in told(prediction)["Other than infarct"]
    assert result_dict(prediction)["answers"]["mass_like"]["contrast_hu"] == 11.2
    assert csv_row(result_dict(prediction))["looks_like_mass"] == "yes"
    quiet = replace(prediction, answers=Answers(mass_like=MassLike(4.0, 22.0, -1.0, looks_so=False)))
    assert "Other than infarct" not in told(quiet)
    assert csv_row(result_dict(quiet))["looks_like_mass"] == "no"


def test_one_line_lists_what_was_not_judged_and_why():
    part = NotAssessable("part_of_head")
    answers = Answers(NotAssessable("no_infarct"), part, Blood(False, 0.0, ()), part, NotAssessable("no_infarct"))
    found = told(replace(make_prediction("none"), answers=answers))
    assert list(found) == ["Blood", "Not judged"]
    assert found["Not judged"].startswith("ASPECTS, Mass effect: only a part")


def test_the_line_names_structures_that_were_not_found():
    answers = Answers(mass_effect=NotAssessable("not_seen"))
    assert "the third ventricle was not found" in render_report(replace(make_prediction("left"), answers=answers))


def test_a_shift_within_the_error_counts_as_none():
    answers = Answers(mass_effect=MassEffect(None, -1.2, (10.0, 10.0), (3.0, 3.0), "none", "none"))
    text = told(replace(make_prediction("none"), answers=answers))["Mass effect"]
    assert text == "no midline shift at the pineal level (1.2 mm); septum not seen"
    both = Answers(mass_effect=MassEffect(0.8, -1.2, (10.0, 10.0), (3.0, 3.0), "none", "none"))
    text = told(replace(make_prediction("none"), answers=both))["Mass effect"]
    assert text == "no midline shift (septum 0.8 mm, pineal level 1.2 mm)"


def placed(*shares):
    """Marked on the left, in these territories; no region of ASPECTS lost its point."""
    territories = tuple(TerritoryShare(territory, "left", ml) for territory, ml in shares)
    return replace(make_prediction("left"), answers=Answers(aspects=score(())), territories=territories)


def test_aspects_says_nothing_of_an_infarct_outside_its_regions():
    found = told(placed(("posterior cerebral artery", 30.0), ("lenticulostriate", 5.0)))
    assert list(found)[:2] == ["Volume", "Territories"]
    assert found["ASPECTS"].startswith("does not apply")
    found = told(placed(("middle cerebral artery, inferior branch", 30.0)))
    assert next(iter(found)) == "ASPECTS"
    assert found["ASPECTS"] == "left 10 (less than a fifth of any region marked); right 10"
    nothing = told(replace(make_prediction("none"), answers=Answers(aspects=score(()))))
    assert nothing["ASPECTS"] == "10 of 10 on both sides, as nothing is marked"


def test_territories_have_a_line_if_the_verdict_does_not_name_them_all():
    assert "Territories" not in told(placed(("cerebellum", 39.0), ("posterior cerebral artery", 1.0)))
    found = told(placed(("cerebellum", 30.0), ("posterior cerebral artery", 10.0)))
    assert found["Territories"] == "left cerebellum 30.0 mL; left posterior cerebral artery 10.0 mL"
