"""A reader corrects the mask by mouse and keyboard: volumes follow, undo works, a new version is saved beside it."""

import json
import os
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from adn.io import read_volume
from adn.report import save_prediction
from browser.visits import picture, reddish, served, settled, violations
from fake_prediction import lay_on_atlas, make_prediction

PICTURES = os.environ.get("ADN_PICTURES")  # folder for screenshots, to be looked at


@pytest.fixture
def visit(tab, tmp_path):
    folder = save_prediction(make_prediction("left", "RPI", "one"), tmp_path / "results")
    with served("view", folder) as base, urllib.request.urlopen(f"{base}/api/cases") as answer:
        seat = tab(base)
        yield seat, seat.open_case(json.load(answer)[0]), folder


def shot(page, name):
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def now_ml(page):
    return float(page.locator(".sums td").nth(1).inner_text().split(" ")[0])


def test_painting_by_keyboard_is_saved_as_a_new_version(visit):
    seat, page, folder = visit
    original = (folder / "infarct.nii.gz").read_bytes()
    page.focus("canvas")
    page.keyboard.press("e")
    settled(page)
    before = now_ml(page)
    assert button(page, "Save as a new version").is_disabled()
    page.keyboard.press("x")
    page.keyboard.press("]")
    page.keyboard.press(" ")
    erased = now_ml(page)
    assert erased < before
    page.keyboard.press("z")
    assert now_ml(page) == pytest.approx(before)
    page.keyboard.press("b")
    for _ in range(16):
        page.keyboard.press("Shift+ArrowLeft")  # the patient's right is on the left of the picture
    page.keyboard.press(" ")
    settled(page)
    shot(page, "painted")
    left, right = page.locator(".sums td").nth(2).inner_text().split(", ")
    assert float(right.split(" ")[0]) > 0
    assert now_ml(page) > before
    page.keyboard.press("s")
    page.wait_for_selector("text=Saved as version 1")
    kept = read_volume(folder / "corrected_1.nii.gz")
    assert kept.data.sum() * kept.grid.voxel_ml == pytest.approx(now_ml(page), abs=0.1)
    numbers = json.loads((folder / "corrected_1.json").read_text())
    assert numbers["left_ml"] == pytest.approx(float(left.split(" ")[0]), abs=0.1)
    assert numbers["right_ml"] == pytest.approx(float(right.split(" ")[0]), abs=0.1)
    assert (folder / "infarct.nii.gz").read_bytes() == original
    added = kept.data.astype(int) - read_volume(folder / "infarct.nii.gz").data
    assert len(np.unique(np.nonzero(added)[kept.grid.axes.index("I")])) == 1  # one slice alone
    button(page, "Show the original").click()
    page.wait_for_selector("text=The original is shown")
    assert now_ml(page) == pytest.approx(before)
    assert violations(page) == []
    assert seat.complaints == []


def test_aspects_follows_the_brush_strokes(tab, tmp_path):
    folder = save_prediction(make_prediction("left", "RPI", "one"), tmp_path / "results")
    lay_on_atlas(folder)
    with served("view", folder) as base, urllib.request.urlopen(f"{base}/api/cases") as answer:
        seat = tab(base)
        page = seat.open_case(json.load(answer)[0])
        page.focus("canvas")
        page.keyboard.press("e")
        assert score(page) == "left 10, right 10"  # as the result says
        page.keyboard.press("b")
        page.keyboard.press(" ")
        page.wait_for_selector(".sums td:has-text('marked)')")
        shot(page, "aspects")
        assert score(page).endswith("right 10")
        assert "marked)" in score(page)
        for _ in range(13):  # every slice is cleared
            page.keyboard.press("PageUp")
        for _ in range(14):
            page.keyboard.press("Delete")
            page.keyboard.press("PageDown")
        page.wait_for_selector(".sums td:text-is('left 10, right 10')")
        assert seat.complaints == []


def score(page):
    return page.locator(".sums td").last.inner_text()


def test_the_mouse_paints_and_erases(visit):
    seat, page, _ = visit
    button(page, "Correct the mask").click()
    settled(page)
    before, box = now_ml(page), page.locator("canvas").bounding_box()
    seen = reddish(picture(page)).sum()
    x, y = box["x"] + 0.35 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 30, steps=5)
    page.mouse.up()
    settled(page)
    assert now_ml(page) > before
    assert reddish(picture(page)).sum() > seen
    shot(page, "mouse")
    button(page, "Undo").click()
    assert now_ml(page) == pytest.approx(before)
    button(page, "Stop correcting").click()
    settled(page)
    page.mouse.click(x, y)
    assert not page.is_visible(".tools")
    assert seat.complaints == []


def test_the_outline_of_the_brain_is_a_layer(visit):
    _, page, _ = visit
    page.focus("canvas")
    blue = (picture(page)[..., 2] - picture(page)[..., 0] > 80).sum()
    page.keyboard.press("o")
    settled(page)
    shot(page, "outline")
    seen = picture(page)
    assert (seen[..., 2] - seen[..., 0] > 80).sum() > blue + 300
    assert page.is_checked("input[name=brain][value=on]")
