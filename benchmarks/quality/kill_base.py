"""What `kill.py` needs for any command: small inputs, a child to kill, and checks for completeness."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fuzz_base import make_base

from adn.cli.app import main as run_adn
from adn.io import read_volume, write_volume
from adn.space.volume import Volume

SCANS = 3


@dataclass
class Found:
    """What a kill left. lost: things that were complete before but no longer; half: things that only look complete."""

    lost: list[str]
    half: list[str]


def inputs(folder: Path) -> Path:
    """A few small scans with masks, as cases of a data set; made once."""
    if not (folder / "done").exists():
        base = make_base().volume
        for number in range(SCANS):
            case = folder / f"c{number}"
            case.mkdir(parents=True, exist_ok=True)
            write_volume(Volume(base.data + number, base.grid), case / "ct.nii.gz")
            mask = np.zeros(base.data.shape, np.uint8)
            mask[12, 30:34, 20 : 24 + number] = 1
            write_volume(Volume(mask, base.grid, "label"), case / "infarct.nii.gz")
        (folder / "done").touch()
    return folder


def in_child(work: Callable[[], object]) -> int:
    """Fork; the child does the work silently, in its own process group, and exits."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(quiet, number)
    code = 1
    try:
        code = int(work() or 0)  # type: ignore[call-overload]
    finally:
        os._exit(code)


def adn_command(*arguments: object) -> Callable[[], int]:
    def work() -> int:
        sys.argv = ["adn", *map(str, arguments)]
        return run_adn()

    return work


def killed(work: Callable[[], object], after_s: float) -> bool:
    """Whether it was still at work when the kill came."""
    child = in_child(work)
    time.sleep(after_s)
    ended, _ = os.waitpid(child, os.WNOHANG)
    if ended:
        return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def through(work: Callable[[], object]) -> tuple[int, float]:
    """Exit code and seconds."""
    began = time.monotonic()
    _, status = os.waitpid(in_child(work), 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - began


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def visible(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.exists() else []


def hidden(*folders: Path) -> list[str]:
    """Half-written files left there, and in the temporary folder."""
    everywhere = [*folders, Path(tempfile.gettempdir())]
    return [str(p) for folder in everywhere if folder.exists() for p in folder.rglob(".*") if ".partial-" in p.name]


def result_is_whole(folder: Path) -> bool:
    """Every file of a result is there and reads to its end."""
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        names = [name for name in result["units"] if name.endswith(".nii.gz")]
        for name in names:
            read_volume(folder / name, unit="1")
        return "</html>" in (folder / "report.html").read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError):
        return False


class Verb:
    """A command to be killed. `look` is called after each kill, `end` after the last."""

    def __init__(self, out: Path) -> None:
        self.out, self.data = out, inputs(out.parent / "inputs")

    def work(self) -> Callable[[], object]:
        raise NotImplementedError

    def look(self) -> Found:
        raise NotImplementedError

    def end(self) -> Found:
        raise NotImplementedError
