import base64
import hashlib
import re
import time
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from importlib import resources
from typing import Literal

import numpy as np
import pytest

from adn.figures import even_slices
from adn.findings.quality import finding_remarks, quality_remarks
from adn.remarks import Remark
from adn.report import render_report, write_report
from adn.report.words import checks, main_arteries, ranges, territory_rows, verdict
from adn.results import DISCLAIMER, TerritoryShare
from fake_prediction import make_prediction

NASTY = "<script>alert('x')</script> & \"Müller\" $x_1$ {{ 7 * 7 }}"
NASTY_REMARK = Remark("several_series", {"read": "'<b>thin</b>'", "others": "none"})
VOID = {"meta", "img", "br", "hr", "link", "input"}


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


@cache
def page_of(side):
    """The report of a plain prediction; drawn once for all tests that only read it."""
    return render_report(make_prediction(side))


@pytest.mark.parametrize(("side", "axes"), [("left", "LAS"), ("right", "PIR"), ("none", "LAS")])
def test_report_is_one_self_contained_file(side, axes):
    text = render_report(make_prediction(side, axes, case=NASTY, remarks=(NASTY_REMARK,)))
    page = Page(text)
    assert not {"link", "iframe", "object", "a"} & {tag for tag, _ in page.tags}
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)  # nothing that came with the scan can run
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in text
    assert script == (resources.files("adn.report") / "report.js").read_text(encoding="utf-8")
    assert not re.search(r"fetch|XMLHttp|import|src=", script)
    links = [
        value for _, attrs in page.tags for key, value in attrs.items() if key in ("src", "href", "srcset", "data")
    ]
    assert links
    assert all(link.startswith("data:image/") for link in links)
    assert not re.search(r"https?://|url\(|@import", text)
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
    assert NASTY in page.text
    assert "'<b>thin</b>' was read" in page.text
    assert page.text.count(DISCLAIMER) == 2


def test_report_identifies_the_patient_by_the_case_name_only():
    assert "name of the file" not in page_of("left")


def test_verdict_is_the_heading():
    prediction = make_prediction("right")
    heading = re.search(r"<h1>(.*?)</h1>", page_of("right"))
    assert heading
    assert (
        heading[1]
        == f"Infarct marked: {prediction.measurements.volume_ml:.1f} mL, right hemisphere, middle cerebral artery"
    )
    assert verdict(make_prediction("none").measurements) == "No infarct marked"
    assert "does not exclude an infarct" in page_of("none")


def test_the_report_is_in_the_requested_language():
    text = render_report(make_prediction("right", remarks=(Remark("noisy", {"noise_hu": 10.0}),)), "de")
    assert '<html lang="de">' in text
    assert re.search(r"<h1>Infarkt markiert: \d+,\d mL, rechte Hemisphäre, A. cerebri media</h1>", text)
    assert not re.search(r"\b(Slice|infarct area|Noise|the scan)\b", Page(text).text)


def test_corrections_are_notes_not_warnings():
    page = render_report(make_prediction(remarks=(Remark("tilt_corrected", {"tilt_deg": 6.0}),)))
    assert '<span class="note">A gantry tilt of 6.0 degrees was corrected.</span>' in page
    assert '<section class="warnings"' not in page


def test_no_warnings_no_box():
    assert "Read with care" not in page_of("left")


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


def test_numbers_are_formatted_readably():
    assert ranges([9, 3, 5, 4]) == "3–5, 9"
    assert ranges([]) == ""


def share(territory, ml, side: Literal["left", "right"] = "left"):
    return TerritoryShare(territory, side, ml)


def test_the_verdict_names_one_artery_or_the_two_largest():
    middle = share("middle cerebral artery, superior branch", 4.0)
    deep = share("lenticulostriate", 3.0)
    assert main_arteries((middle, deep, share("thalamus", 3.0))) == "middle cerebral artery"
    assert main_arteries((middle, share("cerebellum", 3.5))) == "mostly middle cerebral artery and cerebellum"
    assert main_arteries(()) == ""


def test_small_territories_are_counted_together():
    shares = (
        share("cerebellum", 18.0),
        share("thalamus", 2.0, "right"),
        share("brainstem", 1.0),
        share("lenticulostriate", 0.5),
    )
    assert territory_rows(shares) == [("left cerebellum", "18.0 mL"), ("elsewhere", "3.5 mL")]


def test_checks_name_what_to_look_at():
    prediction = make_prediction()
    assert all(check.good for check in checks(prediction))
    quality = replace(
        prediction.quality, brain_ml=700.0, noise_hu=12.0, vertex_cut=True, bright_ml=3.0, asymmetry_after_hu=14.0
    )
    outline = (Remark("vertex_cut"), Remark("brain_small", {"brain_ml": 700.0}))
    bad = replace(prediction, quality=quality, remarks=(*outline, *quality_remarks(quality, "dark")))
    found = {check.name: check for check in checks(bad)}
    assert [name for name, check in found.items() if check.good] == ["Head position", "Sides marked"]
    assert found["Whole brain scanned"].measured == "top cut off"
    both = replace(prediction.measurements, side="both", left_ml=3.0, right_ml=4.0)
    judged = replace(prediction, measurements=both, remarks=finding_remarks(both, prediction.pose))
    found = {check.name: check for check in checks(judged)}
    assert [name for name, check in found.items() if not check.good] == ["Sides marked"]
    assert found["Sides marked"].measured == "left 3.0 mL, right 4.0 mL"
    assert "look at brain outline, whole brain scanned" in render_report(bad)


def test_every_slice_is_in_the_strip_with_its_contours():
    prediction = make_prediction("left")
    text = page_of("left")
    slices = re.findall(r'<path class="b" d="(.*?)"/><path class="i" d="(.*?)"/>', text)
    assert len(slices) == len(even_slices(prediction.brain_mask, 40)) > 5
    places = [[float(x) for x in re.findall(r"[ML](-?\d+) ", infarct)] for _, infarct in slices]
    assert any(places)
    assert all(x > 200 for xs in places for x in xs)  # patient left is image right
