"""Puts the image viewer into sdist and wheel.

NiiVue is bundled by Node.js from `web/` (as by `make viewer`), unless the bundle is there already, as it is in every
sdist. Without Node.js an sdist cannot be made; a wheel is made without the viewer, so that installing from a checkout
works everywhere, and says so. An editable install takes what is there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDOR = Path("src/adn/server/static/vendor")
HOW = "Install Node.js 18 or newer with npm and run 'make viewer'."


class ViewerHook(BuildHookInterface):
    """Called by hatchling before each build."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the bundle, or say what is missing. Raises RuntimeError for an sdist without it."""
        root = Path(self.root)
        if version == "editable" or is_built(root):
            return
        try:
            build(root)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            words = f"The image viewer could not be built ({error}). {HOW}"
            if self.target_name == "sdist":
                raise RuntimeError(words) from error
            self.app.display_warning(f"{words} This wheel comes without it.")


def is_built(root: Path) -> bool:
    """True where the bundle is there and is of the pinned version."""
    pin = json.loads((root / "web/package.json").read_text(encoding="utf-8"))["dependencies"]["@niivue/niivue"]
    licences = root / VENDOR / "LICENSES.txt"
    there = (root / VENDOR / "niivue.min.js").is_file() and licences.is_file()
    return there and f"@niivue/niivue {pin} " in licences.read_text(encoding="utf-8")


def build(root: Path) -> None:
    """What `make viewer` does."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm was not found")
    for arguments in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        subprocess.run([npm, *arguments], cwd=root / "web", check=True)
