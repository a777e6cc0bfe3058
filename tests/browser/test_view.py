"""What the viewer shows of a known phantom: sides, slices, layers, windows, and what it says when it cannot draw."""

import json
import urllib.request

import numpy as np
import pytest

from adn.remarks import Remark
from adn.report import save_prediction
from browser.visits import NARROW, picture, reddish, served, settled, violations
from fake_prediction import make_prediction

CASES = {
    "left": {"side": "left"},
    "right-rpi": {"side": "right", "axes": "RPI"},
    "left-spl": {"side": "left", "axes": "SPL"},
    "none": {"side": "none", "remarks": (Remark("slices_thick", {"slice_mm": 12.0}),)},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for name, made in CASES.items():
        save_prediction(make_prediction(case=name, **made), folder)
    with served("view", folder) as base:
        yield base


@pytest.fixture(scope="module")
def cases(server):
    with urllib.request.urlopen(f"{server}/api/cases") as answer:
        return {one["name"]: one for one in json.load(answer)}


@pytest.mark.parametrize(("name", "half"), [("left", 1), ("left-spl", 1), ("right-rpi", 0)])
@pytest.mark.parametrize("space", ["scan", "aligned"])
def test_the_patients_left_is_on_the_right(tab, server, cases, name, half, space):
    page = tab(server).open_case(cases[name])
    page.check("input[value=axial]", force=True)
    page.check("input[value=filled]", force=True)
    page.check(f"input[name=space][value={space}]", force=True)
    settled(page)
    seen = reddish(picture(page))
    halves = [part.sum() for part in np.array_split(seen, 2, axis=1)]
    assert halves[half] > 500
    assert halves[1 - half] == 0


def test_the_viewer_starts_at_the_largest_infarct_and_numbers_slices_as_the_report(tab, server, cases):
    page = tab(server).open_case(cases["right-rpi"])
    page.check("input[value=axial]", force=True)
    settled(page)
    place = page.locator("#place")
    stored = cases["right-rpi"]["results"]["slices"]  # from the top down in this file
    first = place.inner_text()
    assert first.startswith(f"Slice {stored[len(stored) // 2]} of 0–13: infarct ")
    page.focus("canvas")
    page.keyboard.press("ArrowUp")  # towards the vertex, where these slices have lower numbers
    assert place.inner_text().startswith(f"Slice {stored[len(stored) // 2] - 1} of")
    page.fill("#slice", "0")  # the skull base
    assert place.inner_text() == "Slice 13 of 0–13: no infarct marked"
    assert not reddish(picture(page)).any()
    page.click("text=Largest infarct")
    assert place.inner_text() == first
    assert reddish(picture(page)).any()


def test_the_position_is_kept_when_switching_spaces(tab, server, cases):
    page = tab(server).open_case(cases["right-rpi"])
    first = page.locator("#place").inner_text()
    for space in ("aligned", "scan"):
        page.check(f"input[name=space][value={space}]", force=True)
        settled(page)
        assert "At the cross: 27 HU" in page.locator("#value").inner_text()  # brain has 33, the infarct 27
    assert page.locator("#place").inner_text() == first


def test_every_layer_can_be_shown(tab, server, cases):
    seat = tab(server)
    page = seat.open_case(cases["left"])
    before = picture(page)
    for name in ("infarct_probability", "relative_hypodensity", "asymmetry_total", "asymmetry_pathological"):
        page.check(f"input[name=map][value={name}]", force=True)
        settled(page)
        assert page.get_attribute("canvas", "data-shown") == f"scan.nii.gz {name}.nii.gz"
        assert np.abs(picture(page) - before).sum() > 10_000
    assert "P: 6 HU" in page.locator("#value").inner_text()
    page.check("input[name=map][value='']", force=True)
    for name in ("salient", "compensated"):
        page.check(f"input[name=scan][value={name}]", force=True)
        settled(page)
        assert page.get_attribute("canvas", "data-shown") == f"{name}.nii.gz"
    page.check("input[name=space][value=aligned]", force=True)
    settled(page)
    assert page.get_attribute("canvas", "data-shown") == "aligned_compensated.nii.gz"
    assert seat.complaints == []
    assert seat.strangers() == []


def test_windows_can_be_chosen_by_key(tab, server, cases):
    page = tab(server).open_case(cases["left"])
    assert (page.input_value("#width"), page.input_value("#level")) == ("40", "40")
    stroke = picture(page)
    page.focus("canvas")
    page.keyboard.press("4")
    settled(page)
    assert (page.input_value("#width"), page.input_value("#level")) == ("2000", "500")
    assert np.abs(picture(page) - stroke).mean() > 1
    page.fill("#width", "50")
    page.keyboard.press("Tab")
    settled(page)
    assert page.locator("input[name=window]:checked").count() == 0  # a window of one's own
    page.focus("canvas")
    page.keyboard.press("i")
    settled(page)
    assert page.is_checked("input[value=off]")
    assert not reddish(picture(page)).any()


def test_a_case_without_infarct_is_shown(tab, server, cases):
    page = tab(server).open_case(cases["none"])
    assert page.inner_text("h1") == "No infarct marked"
    assert "does not exclude an infarct" in page.inner_text("main")
    assert "Thick slices (12.0 mm)" in page.inner_text(".warnings")
    assert page.is_disabled("text=Largest infarct")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [None, NARROW])
def test_axe_finds_no_problem(tab, server, cases, scheme, viewport):
    options = {"color_scheme": scheme} | ({"viewport": viewport} if viewport else {})
    seat = tab(server, **options)
    seat.open().wait_for_selector(".cases")
    assert violations(seat.page) == []
    page = seat.open_case(cases["left"])
    page.check("input[name=map][value=relative_hypodensity]", force=True)
    page.evaluate("() => document.querySelectorAll('details').forEach((each) => (each.open = true))")
    settled(page)
    assert violations(page) == []
    page.goto("about:blank")
    seat.open_case(cases["none"])
    assert violations(page) == []
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0  # nothing to scroll sideways


def test_without_webgl2_the_report_is_offered(tab, server, cases):
    seat = tab(server)
    seat.page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page = seat.open(f"#/case/{cases['left']['id']}")
    page.wait_for_selector("text=WebGL2 is missing")
    assert page.get_attribute("main >> text=open the report", "href").endswith("/files/report.html")
    assert violations(page) == []


def test_without_the_bundle_it_names_the_command(tab, server, cases):
    seat = tab(server)
    info = json.loads(urllib.request.urlopen(f"{server}/api/info").read()) | {"viewer": False}
    seat.page.route("**/api/info", lambda route: route.fulfill(json=info))
    seat.open(f"#/case/{cases['left']['id']}").wait_for_selector("text=make viewer")


def test_a_missing_case_is_reported(tab, server):
    page = tab(server).open("#/case/0123456789abcdef")
    page.wait_for_selector("text=There is no such case")
    page.click("text=All cases")
    page.wait_for_selector(".cases")
