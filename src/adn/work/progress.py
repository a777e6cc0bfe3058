"""Types of the callbacks by which long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], object]  # number done, total
StepProgress = Callable[[str], object]  # the step that begins
StageProgress = Callable[[str, int, int, dict[str, float]], object]  # stage, steps done, total, their latest values
