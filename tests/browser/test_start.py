"""The start page: what it sends when files are dropped or chosen. Uploads are caught before they reach the server."""

import re

import pytest

from browser.visits import served

CASE = {
    "id": "0123456789abcdef",
    "name": "scan-1",
    "state": "failed",
    "created": "2030-01-01T00:00:00Z",
    "error": {"title": "Not a head CT", "detail": "There is no skull in it."},
    "steps": [],
    "files": [],
    "layers": [],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served("serve", tmp_path_factory.mktemp("store") / "cases") as base:
        yield base


@pytest.fixture
def start(tab, server):
    """A start page and what it sends: (address, file names, body) of each upload."""
    page = tab(server).open()
    page.wait_for_selector(".drop")
    sent = []

    def catch(route):
        if route.request.method != "POST":
            return route.continue_()
        body = route.request.post_data_buffer
        sent.append((route.request.url, re.findall(rb'filename="([^"]*)"', body), body))
        return route.fulfill(status=201, json=CASE)

    page.route(re.compile("/api/cases(\\?.*)?$"), catch)
    page.route(f"**/api/cases/{CASE['id']}", lambda route: route.fulfill(json=CASE))
    return page, sent


def test_a_folder_is_one_case_and_its_file_names_are_not_sent(start, tmp_path):
    page, sent = start
    folder = tmp_path / "DOE^JANE"
    (folder / "series 2").mkdir(parents=True)
    for name in ("series 2/IM0001", "series 2/IM0002", ".DS_Store", "DICOMDIR"):
        (folder / name).write_bytes(b"DICM")
    page.check("#seg")
    page.set_input_files("input[webkitdirectory]", folder)
    page.wait_for_selector("text=There is no skull in it.")
    ((address, names, body),) = sent
    assert address.endswith("?dicom_seg=true")
    assert names == [b"dicom/000001.dcm", b"dicom/000002.dcm"]
    assert b"DOE" not in body


def test_scans_dropped_together_become_separate_cases(start):
    page, sent = start
    page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          for (const name of ["Doe.nii.gz", "Roe.NII", "Poe.zip"]) transfer.items.add(new File(["x"], name));
          document.querySelector(".drop").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer }));
        }"""
    )
    for _ in range(300):
        if len(sent) == 3:
            break
        page.wait_for_timeout(100)
    assert [names for _, names, _ in sent] == [[b"scan.nii.gz"], [b"scan.nii"], [b"scan.zip"]]


def test_an_empty_drop_is_reported(start, tmp_path):
    page, sent = start
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/.hidden").write_bytes(b"x")
    page.set_input_files("input[webkitdirectory]", tmp_path / "empty")
    page.wait_for_selector("text=Found nothing to upload")
    assert sent == []


def test_everything_can_be_reached_by_keyboard(start):
    page, _ = start
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.textContent || document.activeElement.id"))
    assert [each.strip() for each in reached[4:7]] == ["Choose file", "Choose DICOM folder", "seg"]
