"""Facts about this installation and machine, gathered without importing torch."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from adn.recipes import recipe_names
from adn.work.pool import cores


def installation() -> dict[str, Any]:
    """Versions, machine, devices, recipes and weights, as plain values for JSON."""
    from adn import __version__
    from adn.io.weights import DEFAULT, list_weights

    return {
        "adn": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "memory_gb": _memory_gb(),
        "devices": ["cpu", *_gpus()],
        "versions": library_versions(),
        "recipes": recipe_names(),
        "weights": [_plain(entry) for entry in list_weights()],
        "default_weights": DEFAULT,
    }


def library_versions() -> dict[str, str]:
    """Version of every library that adn asks for, as installed; 'absent' for optional ones that are not there."""
    try:
        asked = metadata.requires("adn-stroke") or []
    except metadata.PackageNotFoundError:  # run from a source folder
        asked = []
    names = {re.split(r"[ ;<>=!~\[(]", line, maxsplit=1)[0] for line in asked} - {"adn-stroke"}
    return {name: _version(name) for name in sorted(names, key=str.lower)}


def _plain(entry: Any) -> dict[str, Any]:
    values = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(entry).items()}
    del values["ensemble"]
    return values | {"members": [path.stem for path in entry.members]}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, OSError, ValueError):  # not a Unix
        return None


def _gpus() -> list[str]:
    """NVIDIA GPUs, from the driver's own tool or files."""
    tool = shutil.which("nvidia-smi")
    if tool:
        question = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        try:
            answer = subprocess.run(question, capture_output=True, text=True, timeout=10, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            answer = ""
        return [f"cuda:{i} {line.strip()}" for i, line in enumerate(answer.splitlines()) if line.strip()]
    return [f"cuda:{i}" for i, _ in enumerate(sorted(Path("/proc/driver/nvidia/gpus").glob("*")))]
