"""Cases on disk as training samples: prepared once, cached, and read on demand."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.data import Dataset

from adn.config import Recipe
from adn.datasets.labels import infarct_ml
from adn.datasets.layouts import Case, find_cases
from adn.datasets.splits import HELD_OUT, make_split, read_split
from adn.errors import InputError
from adn.feed.cache import NOT_SCORED, ensure_prepared, load_prepared
from adn.feed.samples import UNKNOWN_POSE, PosedBrain, Sample, shrink_in_plane

log = logging.getLogger(__name__)


class Chosen(NamedTuple):
    """The cases for training and for validation, and a sentence that describes the choice."""

    train: list[Case]
    validation: list[Case]
    note: str


def choose_cases(data: Path, split: Path | None = None, fold: int | None = None, seed: int = 0) -> Chosen:
    """Choose the training and validation cases of a data set; test cases of a split are in neither.

    data: any layout of `find_cases`; cases without an infarct mask are left out. split: a CSV file from `adn split`.
    fold: the fold used for validation. Without a split, cases that the data set reserves for testing are left out. If
    the split has no validation part, a seeded share of the patients is held out. Raises InputError if the split names
    cases that the data set lacks, or if nothing is left to train on.
    """
    cases = {case.name: case for case in find_cases(data) if case.infarct is not None}
    if not cases:
        raise InputError("there are scans, but none has an infarct mask to train on (<case>/infarct.nii.gz).", data)
    if split is None:
        names: Sequence[str] = tuple(name for name, case in cases.items() if not case.test)
        validation: Sequence[str] = ()
    else:
        names, validation, test = read_split(split).parts(fold)
        absent = [name for name in (*names, *validation, *test) if name not in cases]
        if absent:
            raise InputError(
                f"lists {len(absent)} cases that {data} does not hold with a mask, such as '{absent[0]}'; "
                "make the split from this data set.",
                split,
            )
    if not names:
        raise InputError("leaves no case to train on; make the split again with smaller held-out parts.", split or data)
    where = f"as {split} says" if split else "chosen by the seed"
    if not validation:
        names, validation = _hold_out([cases[name] for name in names], seed)
        where = "chosen by the seed"
    train, held = [cases[name] for name in names], [cases[name] for name in validation]
    if not held:
        return Chosen(train, train, "There is only one patient, so none is held out for validation.")
    return Chosen(train, held, f"{len(train)} cases for training; {len(held)} held out for validation, {where}.")


def _hold_out(cases: list[Case], seed: int) -> tuple[Sequence[str], Sequence[str]]:
    """Names for training and validation, with a share of patients of all infarct sizes held out; none if only one."""
    if len({case.subject for case in cases}) < 2:
        return [case.name for case in cases], []
    measured = [(case.name, case.subject, infarct_ml(case.infarct)) for case in cases if case.infarct]
    parts = make_split(measured, seed, validation=HELD_OUT, test=0.0).parts()
    return parts.train, parts.validation


class PreparedCases(Dataset[Sample]):
    """Cases on the model grid, from the cache. Missing ones are prepared first (`adn data prepare` does it faster).

    count: length of the data set; each pass over the cases has a new seeded order. See `cache.prepare_case` for cases
    without a brain mask or tissue map.
    """

    def __init__(self, recipe: Recipe, cases: Sequence[Case], count: int) -> None:
        self.recipe, self.count = recipe, count
        self.files: list[Path] = []
        for done, case in enumerate(cases):
            path, made = ensure_prepared(case, recipe.grid)
            if made:
                log.info("prepared %s, %d of %d", case.name, done + 1, len(cases))
            self.files.append(path)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Sample index % n in the shuffled order of pass index // n, with n cases."""
        n = len(self.files)
        generator = torch.Generator().manual_seed(self.recipe.train.seed * 1_000_003 + index // n)
        prepared = load_prepared(self.files[int(torch.randperm(n, generator=generator)[index % n])])
        infarct = torch.from_numpy(prepared.infarct)[None].float()
        return Sample(
            torch.from_numpy(prepared.brain)[None],
            torch.where(infarct == NOT_SCORED, -1.0, infarct),
            torch.from_numpy(prepared.tissue)[None],
        )

    def coarse_brains(self) -> Dataset[PosedBrain]:
        """The same cases as T sees them, downsampled in plane."""
        return _CoarseBrains(self, self.recipe.align.shrink)


class _CoarseBrains(Dataset[PosedBrain]):
    def __init__(self, cases: PreparedCases, shrink: int) -> None:
        self.cases, self.shrink = cases, shrink

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> PosedBrain:
        return PosedBrain(shrink_in_plane(self.cases[index].brain[0], self.shrink)[None], UNKNOWN_POSE)
