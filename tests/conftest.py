"""Check shapes and dtypes in tensor-space signatures during tests, and only then; provide a shared browser."""

import gc
import logging
import os
import shutil
from functools import cache

import pytest
from jaxtyping import install_import_hook

install_import_hook(["adn.nn", "adn.losses", "adn.asymmetry", "adn.space.warp"], "beartype.beartype")


def pytest_sessionstart():
    gc.disable()  # what is imported while tests are collected stays; to look through it again and again takes seconds


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def logger_as_it_was():
    """A command or script that ran in this process leaves adn's logger, and logging, as other tests expect them."""
    logger = logging.getLogger("adn")
    before = logger.level, logger.propagate, logger.disabled, logger.handlers[:]
    silenced = logging.root.manager.disable
    yield
    logging.disable(silenced)
    logger.setLevel(before[0])
    logger.propagate, logger.disabled, logger.handlers[:] = before[1:]


@pytest.fixture
def taken_as_upright(monkeypatch):
    """`open_scan` does not look whether the head lies upside down, which takes most of its time on a phantom.

    `io/test_upright.py`, `io/test_scan.py` and `io/test_real_scans.py` hold that it does.
    """
    monkeypatch.setattr("adn.io.upright.turned_remarks", lambda volume: [])


@pytest.fixture(scope="session", autouse=True)
def each_average_head_once():
    """The heads that `open_scan` compares a doubtful one with are turned and sized once, not for every scan."""
    from adn.io import upright

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upright, "average_head", cache(upright.average_head))
        yield


@pytest.fixture(scope="session")
def chromium():
    """A headless browser with WebGL2 in software; one for all, since playwright runs once in a process."""
    path = os.environ.get("ADN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
    with sync_api.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
