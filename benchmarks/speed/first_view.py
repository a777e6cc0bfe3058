"""Seconds from navigation to the first drawn view of a finished case, in headless Chromium, and the bytes sent for it.

python benchmarks/speed/first_view.py OUT/case [--repeats 5]     (a result folder of adn predict; after make viewer)

Without a GPU the browser draws in software (SwiftShader); every visit starts with an empty cache.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]


def main() -> None:
    from playwright.sync_api import sync_playwright

    from browser.visits import served

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    browser_path = os.environ.get("ADN_CHROMIUM") or shutil.which("chromium")
    with served("view", asked.case) as base, sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=browser_path, args=FLAGS)
        seconds, sent = [], 0
        for _ in range(asked.repeats):
            page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
            page.goto(f"{base}/api/info")
            case_id = page.evaluate(
                "() => fetch('/api/cases').then((answer) => answer.json()).then((all) => all[0].id)"
            )
            page.goto(f"{base}/#/case/{case_id}")
            page.wait_for_selector("canvas[data-ready]", timeout=120_000)
            seconds.append(int(page.get_attribute("canvas", "data-ready") or 0) / 1000)
            sizes = "() => performance.getEntriesByType('resource').reduce((sum, one) => sum + one.transferSize, 0)"
            sent = page.evaluate(sizes)
            page.context.close()
        browser.close()
    shown = ", ".join(f"{one:.1f}" for one in seconds)
    print(f"first view: median {statistics.median(seconds):.1f} s of {shown} s; {sent / 1e6:.1f} MB sent")


if __name__ == "__main__":
    main()
