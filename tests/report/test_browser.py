"""The report in headless Chromium: the script passes the page's own policy, and the slider moves the strip."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from adn.figures import key_slices
from adn.remarks import Remark
from adn.report import write_report
from fake_prediction import make_prediction

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt install chromium)"),
]


def opened(page, folder, *options):
    """The page's document after its scripts ran."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", *options]
    done = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120)
    return html.unescape(done.stdout)


@pytest.mark.parametrize("side", ["left", "none"])
def test_the_slider_starts_at_the_largest_infarct(tmp_path, side):
    prediction = make_prediction(side)
    write_report(prediction, tmp_path / "report.html")
    text = opened(tmp_path / "report.html", tmp_path / "profile")
    place = re.search(r'<output id="place" for="slider">(.*?)</output>', text)
    assert place
    if side == "left":
        assert place[1].startswith(f"Slice {key_slices(prediction)[0]}: infarct")
    assert 'id="browse">' in text  # no longer hidden


def test_without_javascript_the_slider_stays_hidden(tmp_path):
    write_report(make_prediction("left"), tmp_path / "report.html")
    page = tmp_path / "changed.html"
    page.write_text((tmp_path / "report.html").read_text(encoding="utf-8").replace("const strip", "const  strip"))
    text = opened(page, tmp_path / "profile")
    assert 'id="browse" hidden' in text  # a script other than ours does not run
    assert text.count("<figcaption>") > 5


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core (make viewer)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("side", ["left", "none"])
def test_axe_finds_no_problem(chromium, tmp_path, side, scheme):
    write_report(
        make_prediction(side, remarks=(Remark("slices_thin", {"slice_mm": 1.0}), Remark("contrast_recorded"))),
        tmp_path / "report.html",
    )
    page = chromium.new_page(color_scheme=scheme)
    page.goto((tmp_path / "report.html").as_uri())
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    page.close()
    assert [f"{rule['id']}: {rule['nodes'][0]['html']}" for rule in found["violations"]] == []
