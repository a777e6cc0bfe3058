"""Facts about this installation and machine, gathered without importing torch."""

from __future__ import annotations

import importlib.util
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
    """Installed version of every library that adn requires; 'absent' for optional ones that are not installed."""
    names = {name for name, _, _ in _asked()} - {"adn-stroke"}
    return {name: _version(name) for name in sorted(names, key=str.lower)}


def lacking_libraries() -> list[str]:
    """Required libraries that are absent or too old, as 'scipy 1.10 (1.11 or newer is needed)'.

    A library that can be imported counts as installed, whatever its package's name (conda uses names of its own).
    dcm2niix is left to `adn.io.converter`.
    """
    found = []
    for name, floor, conditional in _asked():
        if conditional or name == "dcm2niix":
            continue
        version = _version(name)
        if version == "absent":
            if importlib.util.find_spec(name.replace("-", "_")) is None:
                found.append(f"{name} (absent)")
        elif is_older(version, floor):
            found.append(f"{name} {version} ({floor} or newer is needed)")
    return found


def floor_of(name: str) -> str:
    """Oldest version of a library that adn accepts; '' where that is not known."""
    return next((floor for asked, floor, _ in _asked() if asked == name), "")


def is_older(version: str, floor: str) -> bool:
    """Whether a version is older than another, compared by their numbers; False if either has none."""
    left, right = ([int(number) for number in re.findall(r"\d+", text)[:3]] for text in (version, floor))
    return bool(left and right) and left < right


def _asked() -> list[tuple[str, str, bool]]:
    """(name, oldest version or '', whether conditional) of each of the package's requirements."""
    try:
        lines = metadata.requires("adn-stroke") or []
    except metadata.PackageNotFoundError:  # run from a source folder
        return []
    asked = []
    for line in lines:
        what, _, condition = line.partition(";")
        floor = re.search(r">=\s*([\w.]+)", what)
        name = re.split(r"[ <>=!~\[(]", what.strip(), maxsplit=1)[0]
        asked.append((name, floor.group(1) if floor else "", bool(condition)))
    return asked


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
