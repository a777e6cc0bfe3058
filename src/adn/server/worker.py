"""The process that computes, so that the page stays responsive: one scan at a time, reporting each step."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from adn.prediction.batch import Networks, Outcome, Request, Task, predict_one
from adn.work.pool import begin_worker, serve
from adn.work.progress import StepProgress

Predict = Callable[[Task, Request, Networks, StepProgress], Outcome]


def predict_for_page(task: Task, request: Request, networks: Networks, tell: StepProgress) -> Outcome:
    """Predict as `adn predict` does, plus what the viewer needs. tell: called with the name of each step."""
    from adn.server.layers import write_views

    return predict_one(task, request, networks, progress=tell, also=write_views)


def predict_without_views(task: Task, request: Request, networks: Networks, tell: StepProgress) -> Outcome:
    """Predict as `adn predict` does, with nothing extra for a page."""
    return predict_one(task, request, networks, progress=tell)


@dataclass(frozen=True)
class _PageWork:
    """Handles one pair of Task and Request in the process."""

    predict: Predict
    networks: Networks
    tell: StepProgress

    def __call__(self, asked: tuple[Task, Request]) -> Outcome:
        return self.predict(*asked, self.networks, self.tell)


def work(pipe: Connection, predict: Predict, networks: Networks) -> None:
    """Take pairs of Task and Request; send names of steps, then an Outcome or a Failure; until the pipe closes."""
    begin_worker(threads=None)  # as many as on the command line, since a result's last digits depend on it
    if hasattr(os, "nice"):
        os.nice(5)  # the page comes first
    serve(pipe, _PageWork(predict, networks, pipe.send))
