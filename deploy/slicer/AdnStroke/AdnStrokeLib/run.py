"""adn's command line as a process of its own, which is looked after from a timer and can be stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

CASE = "scan"  # no name of a patient in any file
GRACE_S = 10.0  # adn removes what it half wrote when it is asked to stop; after that it is killed
_KEPT_LINES = 200
_NO_CONSOLE = 0x08000000  # CREATE_NO_WINDOW


def command(program: list[str], scan: Path, out: Path, weights: str = "", device: str = "auto") -> list[str]:
    """`adn predict` for one scan. program: what starts adn, such as ['PythonSlicer', '-m', 'adn']."""
    chosen = ["--weights", weights] if weights else []
    return [*program, "predict", str(scan), "-o", str(out), "--device", device, "--quiet", *chosen]


class Run:
    """One process at work. Nothing here waits for it.

    env: environment of the process; None: that of this one. lines: the last that it printed.
    """

    def __init__(self, arguments: list[str], env: dict[str, str] | None = None) -> None:
        windows = os.name == "nt"
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._stop_at: float | None = None
        self._process = subprocess.Popen(
            arguments,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=not windows,
            creationflags=_NO_CONSOLE if windows else 0,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def poll(self) -> int | None:
        """The exit code, or None while it works. Kills what was asked to stop and did not."""
        code = self._process.poll()
        if code is None and self._stop_at is not None and time.monotonic() > self._stop_at:
            self._end(kill=True)
        if code is not None:
            self._reader.join(1.0)
        return code

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop_at is not None

    @property
    def error(self) -> str:
        """What it said last, which for adn is one sentence about the error."""
        said = [line for line in self.lines if line.strip()]
        return said[-1].strip() if said else "adn ended without a word."

    def cancel(self) -> None:
        """Ask it to stop, with all that it started; asking again changes nothing."""
        if self._stop_at is None and self._process.poll() is None:
            self._stop_at = time.monotonic() + GRACE_S
            self._end(kill=False)

    def _end(self, kill: bool) -> None:
        if os.name == "nt":  # no signal there reaches a tree of processes
            words = ["taskkill", "/F", "/T", "/PID", str(self._process.pid)]
            subprocess.run(words, check=False, capture_output=True, timeout=GRACE_S)
            return
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.killpg(self._process.pid, signal.SIGKILL if kill else signal.SIGTERM)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self.lines.append(line.rstrip("\n"))
