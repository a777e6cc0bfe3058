"""The user's cache folder. Deleting its content costs nothing but time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str = "") -> Path:
    """$XDG_CACHE_HOME/adn, or ~/.cache/adn if that variable is unset, empty or not absolute. kind: a subfolder.

    The folder may not exist yet.
    """
    asked = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (asked if asked.is_absolute() else Path.home() / ".cache") / "adn" / kind
