"""The one cache folder of this user: what is in it can be deleted at no loss but time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str = "") -> Path:
    """$XDG_CACHE_HOME/adn, or ~/.cache/adn where that is not set, empty or not absolute. kind: name of a subfolder.

    It need not exist yet.
    """
    asked = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (asked if asked.is_absolute() else Path.home() / ".cache") / "adn" / kind
