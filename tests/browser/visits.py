"""Servers to visit, tabs that record what happened, and queries about a page."""

import io
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
PATIENCE_MS = 120_000
NARROW = {"width": 420, "height": 900}


@contextmanager
def served(*arguments):
    """The address of `adn serve` or `adn view`, run with these arguments."""
    command = [sys.executable, "-c", "from adn.cli import main; main()", *map(str, arguments)]
    process = subprocess.Popen(
        [*command, "--no-open", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                wait_for(found[0])
                yield found[0]
                break
        else:
            pytest.fail("".join(said))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def wait_for(base):
    """Until the server answers."""
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{base}/api/info").close()
            return
        except urllib.error.URLError:
            time.sleep(0.1)
    pytest.fail(f"{base} does not answer.")


class Tab:
    """A page that remembers what it asked for and what it complained of."""

    def __init__(self, context, base):
        self.base, self.asked, self.complaints = base, [], []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )

    def open(self, where=""):
        self.page.goto(f"{self.base}/{where}")
        return self.page

    def open_case(self, one):
        """Until its first view is drawn."""
        self.open(f"#/case/{one['id']}")
        self.page.wait_for_selector("canvas[data-ready]")
        return self.page

    def strangers(self):
        """Addresses beside the server's own that were asked for."""
        return [url for url in self.asked if not url.startswith((self.base, "data:", "blob:"))]


def settled(page):
    """Until what was asked of the viewer is drawn."""
    page.wait_for_function("() => document.querySelector('canvas').ariaBusy === 'false'")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def violations(page):
    """What axe-core finds on the page as it is, in words."""
    if not AXE.is_file():
        pytest.skip("needs axe-core (make viewer)")
    # Evaluated by the tool and not as a script of the page, whose policy takes none but its own.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def picture(page):
    """The canvas as (rows, columns, 3) in 0 to 255."""
    page.evaluate("() => window.scrollTo(0, 0)")  # else the banner, which stays in sight, lies over it
    return np.asarray(Image.open(io.BytesIO(page.locator("canvas").screenshot())).convert("RGB")).astype(int)


def reddish(seen):
    """Where the infarct's colour is, opaque or not: green and blue alike and far below red (letters are orange)."""
    red, green, blue = np.moveaxis(seen, -1, 0)
    return (red > 120) & (red - green > 60) & (abs(green - blue) < 40)
