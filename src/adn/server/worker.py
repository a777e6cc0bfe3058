"""The process that computes, so that the page stays responsive: one scan at a time, telling each step."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from adn.prediction.batch import Outcome, Request, Task, attempt, predict_one
from adn.work.process import begin_worker, end_worker

Predict = Callable[..., Outcome]


def predict_for_page(task: Task, request: Request, models: dict[str, Any], progress: Callable[[str], None]) -> Outcome:
    """As `adn predict` does, and what the viewer needs beside it."""
    from adn.server.layers import write_views

    return predict_one(task, request, models, progress=progress, also=write_views)


def work(pipe: Connection, predict: Predict) -> None:
    """Pairs of Task and Request in; names of steps, then an Outcome, out; until the pipe closes or SIGTERM comes."""
    begin_worker(threads=None)  # as many as the command line, since the last digits of a result depend on it
    if hasattr(os, "nice"):
        os.nice(5)  # the page comes first
    models: dict[str, Any] = {}
    try:
        while True:
            task, request = pipe.recv()
            pipe.send(attempt(task, request, models, partial(predict, progress=pipe.send)))
    except EOFError:
        end_worker()
    except KeyboardInterrupt:
        sys.exit(130)
