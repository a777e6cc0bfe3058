"""The demo patient from end to end: drop, follow, view, download; the mask equals the command line's byte for byte."""

import hashlib
import json
import subprocess
import sys
import urllib.request

import pytest

from browser.visits import served, settled, violations

PLANTED = "DOE_JANE_19500101"  # a file name as it comes from a scanner


def adn(*arguments):
    command = [sys.executable, "-c", "from adn.cli import main; main()", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """The patient of `make demo`, under a name that must not leave the browser."""
    folder = tmp_path_factory.mktemp("patient")
    adn("synth", "-n", "1", "--seed", "1", "-o", folder)
    (made,) = folder.glob("*/ct.nii.gz")
    return made.rename(folder / f"{PLANTED}.nii.gz")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store") / "cases"


@pytest.fixture(scope="module")
def server(store):
    with served("serve", store) as base:
        yield base


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_problem_on_the_start_page(tab, server, scheme):
    seat = tab(server, color_scheme=scheme)
    seat.open().wait_for_selector("text=None yet.")
    assert violations(seat.page) == []


def test_a_file_that_is_not_a_scan_is_refused_with_a_reason(tab, server, tmp_path):
    page = tab(server).open()
    (tmp_path / "letter.zip").write_bytes(b"Dear colleague,")
    page.set_input_files("input[accept]", tmp_path / "letter.zip")
    page.wait_for_selector("[role=alert]:not(:empty)")
    assert "zip" in page.inner_text("[role=alert]")


def test_a_dropped_scan_gets_its_mask(tab, server, store, scan, tmp_path):
    seat = tab(server)
    page = seat.open()
    page.set_input_files("input[accept]", scan)
    page.wait_for_selector(".steps .running")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []
    page.reload()  # the address holds the case
    page.wait_for_selector("canvas[data-ready]", timeout=600_000)
    settled(page)
    assert page.inner_text("h1").startswith("Infarct marked: ")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []
    page.check("input[name=map][value=infarct_probability]", force=True)
    settled(page)
    assert page.get_attribute("canvas", "data-shown") == "scan.nii.gz infarct_probability.nii.gz"
    page.fill("#slice", "3")
    assert page.inner_text("#place").startswith("Slice 3 of ")
    with page.expect_download() as coming:
        page.click("[aria-label='Download infarct.nii.gz']")
    assert coming.value.suggested_filename == "infarct.nii.gz"
    served_mask = hashlib.sha256(coming.value.path().read_bytes()).hexdigest()

    adn("predict", scan, "-o", tmp_path)
    (mask,) = tmp_path.glob("*/infarct.nii.gz")
    assert served_mask == hashlib.sha256(mask.read_bytes()).hexdigest()

    assert PLANTED not in page.content()
    assert not [path for path in store.rglob("*") if PLANTED in path.name or PLANTED.encode() in _plain(path)]
    assert seat.strangers() == []
    assert seat.complaints == []


def test_a_case_is_listed_and_can_be_deleted(tab, server, store):
    seat = tab(server)
    page = seat.open()
    row = page.locator(".cases li", has_text="scan-1")
    row.wait_for()
    assert "Done" in row.inner_text()
    assert " mL, " in row.inner_text()
    row.locator("text=Delete").click()
    page.keyboard.press("Escape")  # not sure
    assert row.count() == 1
    row.locator("text=Delete").click()
    assert violations(page) == []
    page.click("dialog >> text=Delete >> nth=-1")
    page.wait_for_selector("text=None yet.")
    with urllib.request.urlopen(f"{server}/api/cases") as answer:
        assert json.load(answer) == []
    assert not list(store.glob("*/case.json"))


def test_a_running_case_is_cancelled(tab, server, scan):
    page = tab(server).open()
    page.set_input_files("input[accept]", scan)
    page.wait_for_selector(".steps")
    page.click("text=Cancel")
    page.wait_for_selector("h1:text('Cancelled')")
    assert violations(page) == []


def _plain(path):
    return path.read_bytes() if path.is_file() and path.suffix in (".json", ".html") else b""
