"""Splits a data set into training, validation and test patients, stratified by infarct volume, stored as a CSV."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adn.datasets.labels import infarct_ml
from adn.datasets.layouts import Case, find_cases
from adn.errors import InputError, OutputError
from adn.io.atomic import atomic_path, check_writable
from adn.io.text import read_table
from adn.work.progress import Progress

PARTS = ("train", "validation", "test")
COLUMNS = ("case", "subject", "part", "fold", "infarct_ml")
_AGAIN = "; make the split again with 'adn split'."
HELD_OUT = 0.15  # default share of the patients


class Parts(NamedTuple):
    """Names of the cases for training, validation and test; no patient is in two parts."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class SplitRow:
    """One line of a split. part: 'train', 'validation' or 'test'; fold: 0 to k − 1, or None."""

    case: str
    subject: str
    part: str
    fold: int | None = None
    infarct_ml: float | None = None


@dataclass(frozen=True)
class Split:
    """A split of a data set, with folds or as a hold-out."""

    rows: tuple[SplitRow, ...]

    @property
    def folds(self) -> int:
        """Number of folds; 0 for a hold-out."""
        return len({row.fold for row in self.rows if row.fold is not None})

    def parts(self, fold: int | None = None) -> Parts:
        """The three parts. fold: the one used for validation (the others train); required if there are folds.

        Raises InputError for a fold that does not exist, or if one is required but not given.
        """
        if self.folds:
            if fold is None or not 0 <= fold < self.folds:
                raise InputError(f"The split has folds 0 to {self.folds - 1}; choose one as `fold`, got {fold}.")
            chosen = ["validation" if row.fold == fold and row.part == "train" else row.part for row in self.rows]
        elif fold is not None:
            raise InputError(f"The split is a hold-out without folds; leave `fold` {fold} out.")
        else:
            chosen = [row.part for row in self.rows]
        named = [tuple(row.case for row, p in zip(self.rows, chosen, strict=True) if p == part) for part in PARTS]
        return Parts(*named)


def read_split(path: Path | str) -> Split:
    """Read a split: a CSV with columns case, subject or patient, part (train, validation, test), fold (may be empty).

    Raises InputError for a missing column, an unknown part, a case listed twice, folds that are not numbered from 0, or
    a patient in two parts or folds.
    """
    split = read_rows(path)
    problems = leaks(split)
    if problems:
        raise InputError(f"{problems[0]}{_AGAIN}", path)
    return split


def read_rows(path: Path | str) -> Split:
    """The same as `read_split`, without checking for leaks."""
    path = Path(path)
    columns, lines = read_table(path)
    lacking = [name for name in ("case", "part") if name not in columns]
    if lacking:
        raise InputError(
            f"a split needs the columns {', '.join(COLUMNS)}, but lacks {', '.join(lacking)}; 'adn split' writes one.",
            path,
        )
    rows = tuple(_row(path, line, text) for line, text in lines)
    twice = [case for case, count in Counter(row.case for row in rows).items() if count > 1]
    if not rows or twice:
        raise InputError(
            f"{path}: " + (f"case '{twice[0]}' is listed twice{_AGAIN}" if twice else f"the split is empty{_AGAIN}")
        )
    folds = sorted({row.fold for row in rows if row.fold is not None})
    if folds != list(range(len(folds))):
        raise InputError(f"folds must be numbered from 0 without gaps, but are {folds}{_AGAIN}", path)
    return Split(rows)


def _row(path: Path, line: int, text: dict[str, str]) -> SplitRow:
    part, fold = text["part"].lower(), text.get("fold", "")
    if part not in PARTS or not text["case"] or (fold and not fold.isdigit()):
        raise InputError(
            f"{path}, line {line}: needed a case, a part of {', '.join(PARTS)} and a fold number or nothing, "
            f"got '{text['case']}', '{text['part']}', '{fold}'."
        )
    volume = text.get("infarct_ml", "")
    try:
        infarct_ml = float(volume) if volume else None
    except ValueError as error:
        raise InputError(f"{path}, line {line}: infarct_ml must be a number, got '{volume}'.") from error
    subject = text.get("subject") or text.get("patient") or text["case"]
    return SplitRow(text["case"], subject, part, int(fold) if fold else None, infarct_ml)


def leaks(split: Split) -> list[str]:
    """A sentence for every patient who is in more than one part or fold."""
    places: dict[str, set[str]] = defaultdict(set)
    for row in split.rows:
        places[row.subject].add(row.part if row.fold is None else f"{row.part}, fold {row.fold}")
    return [
        f"subject '{subject}' is in {' and in '.join(sorted(found))}"
        for subject, found in places.items()
        if len(found) > 1
    ]


def write_split(split: Split, path: Path | str) -> None:
    """Write a split as a CSV for `read_split`; whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in split.rows:
            volume = "" if row.infarct_ml is None else f"{row.infarct_ml:.2f}"
            writer.writerow([row.case, row.subject, row.part, "" if row.fold is None else row.fold, volume])


@dataclass(frozen=True)
class Shares:
    """How a data set is to be split. folds: k for k-fold over the non-test cases; 0: one validation part.

    validation: fraction of the patients, if there are no folds. test: fraction of the patients; None: `HELD_OUT`, or 0
    if there are folds or the data set itself reserves cases for testing.
    """

    folds: int = 0
    validation: float = HELD_OUT
    test: float | None = None
    seed: int = 0


def split_data(
    data: Path,
    out: Path,
    shares: Shares,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Split:
    """Split a data set by patient, every infarct size in every part, and write the CSV `out`.

    data: any layout of `find_cases`; cases without infarct mask are left out, and those it reserves for testing stay in
    the test part. progress: called with (done, all) as masks are measured. Raises InputError if there are no masks or
    too few patients, OutputError if `out` cannot be written, or already exists and `overwrite` is False.
    """
    check_writable(out.parent)
    if shares.folds == 1:
        raise InputError("`folds` must be 2 or more, or 0 for one validation part.")
    if out.exists() and not overwrite:
        raise OutputError(
            "already exists; a new split could mix tested cases into training. Set `overwrite` to replace it.", out
        )
    cases = [case for case in find_cases(data) if case.infarct is not None]
    if not cases:
        raise InputError("there are scans, but no infarct masks to split by.", data)
    measured, reserved = [], []
    for done, case in enumerate(cases, start=1):
        volume_ml = infarct_ml(case.infarct) if case.infarct else 0.0
        if case.test:
            reserved.append(SplitRow(case.name, case.subject, "test", None, volume_ml))
        else:
            measured.append((case.name, case.subject, volume_ml))
        if progress:
            progress(done, len(cases))
    test = (0.0 if shares.folds or reserved else HELD_OUT) if shares.test is None else shares.test
    made = make_split(measured, shares.seed, shares.folds, shares.validation, test)
    made = Split((*made.rows, *reserved))
    write_split(made, out)
    return made


def cases_of_part(cases: Sequence[Case], split: Path, part: str, fold: int | None = None) -> list[Case]:
    """The cases in one part of a split, a CSV from `adn split`. fold: the one used for validation.

    The test part is the same for every fold, so it needs no `fold`. Raises InputError if a case is absent.
    """
    parts = read_split(split)
    names = getattr(parts.parts(fold or 0 if part == "test" and parts.folds else fold), part)
    chosen = [case for case in cases if case.name in set(names)]
    if len(chosen) < len(names) or not chosen:
        raise InputError(
            f"its part '{part}' has {len(names)} cases, but only {len(chosen)} of them are in the data set; give the "
            "data set that was split, or split this one.",
            split,
        )
    return chosen


def make_split(
    cases: Sequence[tuple[str, str, float]],
    seed: int = 0,
    folds: int = 0,
    validation: float = HELD_OUT,
    test: float = HELD_OUT,
) -> Split:
    """Split (case, subject, infarct mL) by subject so that every part has its share of every infarct size.

    folds: k for k-fold over all but the test cases (`validation` is then unused); 0: a hold-out. test, validation:
    shares of the subjects. A subject is ranked by its largest infarct. The same seed gives the same split, whatever the
    order of `cases`. Raises InputError if there are too few subjects.
    """
    largest: dict[str, float] = defaultdict(float)
    for _, subject, volume in cases:
        largest[subject] = max(largest[subject], volume)
    rng = np.random.default_rng(seed)
    ranked = sorted(sorted(largest), key=lambda subject: largest[subject])
    testing = _spread(ranked, test, rng)
    rest = [subject for subject in ranked if subject not in testing]
    place: dict[str, int | None] = dict.fromkeys(ranked)
    validating: set[str] = set()
    if folds:
        place |= _fold(rest, folds, rng)
    else:
        validating = _spread(rest, validation * len(ranked) / max(len(rest), 1), rng)
    if len(rest) - len(validating) < 1 or (folds and len(rest) < folds):
        raise InputError(
            f"A split needs a patient for every part, but there are {len(ranked)}; ask for fewer folds, or give more."
        )
    rows = [
        SplitRow(name, subject, _part(subject, testing, validating), place[subject], volume)
        for name, subject, volume in sorted(cases)
    ]
    return Split(tuple(rows))


def _part(subject: str, testing: set[str], validating: set[str]) -> str:
    return "test" if subject in testing else "validation" if subject in validating else "train"


def _spread(ranked: Sequence[str], fraction: float, rng: np.random.Generator) -> set[str]:
    """Pick one at random from every 1 / fraction neighbours by volume; at least one if `fraction` is above 0."""
    count = min(max(round(fraction * len(ranked)), int(fraction > 0)), len(ranked))
    blocks = np.array_split(np.arange(len(ranked)), count) if count else []
    return {ranked[int(rng.choice(block))] for block in blocks}


def _fold(ranked: Sequence[str], folds: int, rng: np.random.Generator) -> dict[str, int]:
    """Deal each run of k neighbours by volume to the k folds, in random order."""
    return {
        ranked[start + i]: int(fold)
        for start in range(0, len(ranked), folds)
        for i, fold in enumerate(rng.permutation(folds)[: len(ranked) - start])
    }
