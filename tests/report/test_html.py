import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from fake_prediction import make_prediction

from adn.report import render_report, write_report
from adn.report.html import number, ranges, verdict, volume_text
from adn.results import DISCLAIMER

NASTY = "<script>alert('x')</script> & \"Müller\" $x_1$ {{ 7 * 7 }}"
VOID = {"meta", "img", "br", "hr", "link"}


class Page(HTMLParser):
    """Collects text and attributes, and checks that tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open_tags, self.tags, self.words = [], [], []
        self.feed(text)
        assert not self.open_tags

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.mark.parametrize("side", ["left", "right", "none"])
@pytest.mark.parametrize("axes", ["LAS", "PIR"])
def test_report_is_one_file_that_needs_nothing_else(side, axes):
    text = render_report(make_prediction(side, axes, case=NASTY, warnings=("thick <b>slices</b>",)))
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "a"} & {tag for tag, _ in page.tags}
    links = [
        value for _, attrs in page.tags for key, value in attrs.items() if key in ("src", "href", "srcset", "data")
    ]
    assert links
    assert all(link.startswith("data:image/") for link in links)
    assert not re.search(r"https?://|url\(|@import", text)
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
    assert NASTY in page.text
    assert "thick <b>slices</b>" in page.text
    assert page.text.count(DISCLAIMER) == 2


def test_report_knows_the_patient_by_the_case_name_only():
    assert "name of the file" not in render_report(make_prediction())


def test_verdict_is_the_heading():
    prediction = make_prediction("right")
    heading = re.search(r"<h1>(.*?)</h1>", render_report(prediction))
    assert heading
    assert heading[1] == f"Infarct marked: {prediction.measurements.volume_ml:.1f} mL, right hemisphere"
    assert verdict(make_prediction("none").measurements) == "No infarct marked"
    assert "does not exclude an infarct" in render_report(make_prediction("none"))


def test_no_warnings_no_box():
    assert "Read with care" not in render_report(make_prediction())


def test_oblique_volume_is_shown_along_its_nearest_axes():
    angle = np.deg2rad(20)
    affine = make_prediction(axes="SPL").scan.volume.grid.affine.copy()
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, :3] = turn @ affine[:3, :3]
    assert "left hemisphere" in render_report(make_prediction(axes="LAS", affine=affine))


def test_a_noisy_clinical_scan_makes_a_small_file_quickly(tmp_path):
    prediction = make_prediction(shape=(30, 512, 512), spacing_mm=(5.0, 0.4, 0.4), noise_hu=8.0)
    start = time.perf_counter()
    write_report(prediction, tmp_path / "report.html")
    assert time.perf_counter() - start < 30
    assert (tmp_path / "report.html").stat().st_size <= 5_000_000


def test_numbers_read_well():
    assert ranges([9, 3, 5, 4]) == "3–5, 9"
    assert ranges([]) == ""
    assert [volume_text(ml) for ml in (0, 0.034, 12.34)] == ["0.0 mL", "0.03 mL", "12.3 mL"]
    assert [number(value, 1, "°") for value in (-0.04, -7.06, None)] == ["0.0°", "−7.1°", "–"]
