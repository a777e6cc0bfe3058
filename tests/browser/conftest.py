"""The page in headless Chromium (WebGL2 in software), against the real server in a separate process."""

import os
import shutil
from pathlib import Path

import pytest

from browser.visits import Tab

CHROMIUM = os.environ.get("ADN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
DESKTOP = {"width": 1400, "height": 900}


def pytest_collection_modifyitems(items):
    from adn.server.app import VIEWER

    missing = {
        "Chromium (Debian: apt install chromium; or its path in ADN_CHROMIUM)": CHROMIUM is None,
        "the viewer (make viewer)": not VIEWER.is_file(),
    }
    reasons = [what for what, absent in missing.items() if absent]
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if reasons:
                item.add_marker(pytest.mark.skip(reason=f"needs {' and '.join(reasons)}"))


@pytest.fixture
def tab(chromium):
    """Open a tab on a server; the contexts end with the test."""
    contexts = []

    def make(base, **options):
        contexts.append(chromium.new_context(**{"viewport": DESKTOP} | options))
        return Tab(contexts[-1], base)

    yield make
    for context in contexts:
        context.close()
