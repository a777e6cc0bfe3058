"""What the report and the result say follows from the remarks, however these are worded."""

from typing import get_args

from adn.lang import words
from adn.remarks import CHECK_ONLY, NOTES, Kind, Remark
from adn.report import result_dict
from adn.report.words import checks, first_line
from fake_prediction import make_prediction
from remark_examples import example


def test_every_remark_is_in_the_result_and_every_warning_is_one_of_them():
    result = result_dict(make_prediction(remarks=tuple(example(kind) for kind in get_args(Kind))))
    assert [one["kind"] for one in result["remarks"]] == list(get_args(Kind))
    quiet = CHECK_ONLY | NOTES
    assert result["warnings"] == [one["sentence"] for one in result["remarks"] if one["kind"] not in quiet]


def test_checks_do_not_depend_on_the_wording(monkeypatch):
    prediction = make_prediction(remarks=(example("noisy"), example("head_turned")))
    before = checks(prediction)
    for kind in get_args(Kind):
        monkeypatch.setitem(words().texts, f"remarks.{kind}", "Other words.")
    after = checks(prediction)
    assert [check._replace(meaning="") for check in after] == [check._replace(meaning="") for check in before]
    assert [check.meaning for check in after if not check.good] == ["Other words.", "Other words."]
    assert [check.name for check in before if not check.good] == ["Head position", "Noise"]
    assert prediction.warnings == ("Other words.",)


def test_the_first_line_says_why_the_scan_is_not_assessable():
    blocks = (Remark("noisy", {"noise_hu": 31.0}, blocks=True), Remark("field_cut", {"cut_cm2": 60.0}, blocks=True))
    line = first_line(make_prediction("none", remarks=blocks))
    assert line == (
        "Not assessable, because the scan is too noisy (31 HU), "
        "and because the field of view cuts off part of the brain"
    )
    marked = first_line(make_prediction("left", remarks=blocks[:1]))
    assert marked.startswith("Not assessable, because the scan is too noisy (31 HU); do not rely on the ")


def test_the_first_line_for_a_partial_scan_is_limited_to_that_part():
    part = Remark("part_of_head", {"slices": 3, "height_mm": 15.0})
    assert first_line(make_prediction("none", remarks=(part,))).endswith(" in the part of the head that was scanned")
    assert first_line(make_prediction("none")) == "No infarct marked"
