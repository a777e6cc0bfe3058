"""Records in the run folder how the run was made: the resolved recipe, the request, and where each session ran."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import adn
from adn.config import Recipe
from adn.errors import InputError, OutputError
from adn.io.atomic import atomic_path, sweep
from adn.recipes import load_recipe

log = logging.getLogger(__name__)
RECIPE, RUN = "recipe.json", "run.json"
_PACKAGES = ("torch", "lightning-fabric", "monai", "numpy", "nibabel", "SimpleITK", "tensorboard")


def start_run(out: Path, recipe: Recipe, request: dict[str, Any]) -> None:
    """Write `recipe.json` and `run.json` of a new run. Raises OutputError if the folder is in use."""
    sweep(out)
    if out.exists() and any(entry.name != RECIPE for entry in out.iterdir()):  # RECIPE alone: killed right at the start
        raise OutputError(f"{out}: the run folder is not empty; choose a new one, or continue it with `resume`.")
    out.mkdir(parents=True, exist_ok=True)
    # run.json last: a folder that contains it can be resumed.
    _write_json(out / RECIPE, recipe.model_dump(mode="json"))
    _write_json(out / RUN, {"request": request, "sessions": [environment()]})


def continue_run(out: Path, recipe: Recipe) -> None:
    """Add this session to the run's record. Raises InputError if the run was started with another recipe."""
    before, _ = read_run(out)
    if before != recipe:
        raise InputError(f"{out}: was started with another recipe; resume with that one, or choose a new folder.")
    sweep(out)
    record = json.loads((out / RUN).read_text(encoding="utf-8"))
    now, first = environment(), record["sessions"][0]
    for name in ("threads", "torch", "processor"):
        if now[name] != first[name]:
            log.warning(
                "%s was %s when this run began and is %s now: the last digits of its results will differ from those "
                "of an uninterrupted run",
                *(name, first[name], now[name]),
            )
    _write_json(out / RUN, {**record, "sessions": [*record["sessions"], now]})


def read_run(out: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and the request of a run. Raises InputError for any other folder."""
    try:
        request = json.loads((out / RUN).read_text(encoding="utf-8"))["request"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"is not a run folder (no readable {RUN}); give one that training wrote.", out) from error
    return load_recipe(out / RECIPE), request


def environment() -> dict[str, Any]:
    """Where and how this process runs, as plain data."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "adn": adn.__version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The CPU's model name on Linux; elsewhere what Python's `platform` reports."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """The commit if adn runs from a checkout ('-dirty' if files were changed), else None."""
    here = Path(adn.__file__).parent
    try:
        tracked = ["git", "ls-files", "--error-unmatch", "__init__.py"]
        subprocess.run(tracked, cwd=here, check=True, capture_output=True, timeout=10)
        name = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(name, cwd=here, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
