"""Where the cases of a run come from: what it trains on, and what it is validated on, as two separate sets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from adn.config import Recipe
from adn.feed.augment import Augmented
from adn.feed.cases import PreparedCases, choose_cases
from adn.feed.pool import PooledPatients
from adn.feed.samples import PosedBrain, Sample
from adn.feed.virtual import AlignedPatients, PosedBrains, PosedPatients
from adn.virtual.folders import Library

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """What the user named. data: folder of cases; None: virtual patients of `anatomy` and `lesions` folders.

    split, fold: which of the cases train and which validate (`choose_cases`).
    """

    data: Path | None = None
    anatomy: Path | None = None
    lesions: Path | None = None
    split: Path | None = None
    fold: int | None = None

    def record(self) -> dict[str, Any]:
        """Plain data with absolute paths, so that a run can be resumed from any folder."""
        return {k: str(v.resolve()) if isinstance(v, Path) else v for k, v in asdict(self).items()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Source:
        """The inverse of `record`."""
        values: dict[str, Any] = {k: Path(v) if isinstance(v, str) else v for k, v in record.items()}
        return cls(**values)

    def gone(self) -> list[Path]:
        """What was named and is no longer there."""
        return [path for path in (self.data, self.anatomy, self.lesions, self.split) if path and not path.exists()]


class Sets(NamedTuple):
    """align: for T, brains at all poses on its coarse copy of the model grid. training, validation: for D + F.

    No patient of `validation` is in a training set; it is empty where nobody is held out. shown: for sample pictures.
    aligned: samples lie on the brain box already (virtual patients), else T's pose puts them there.
    """

    align: Dataset[PosedBrain]
    align_validation: Sequence[PosedBrain]
    training: Dataset[Sample]
    validation: Sequence[Sample]
    shown: Sequence[Sample]
    aligned: bool


def open_sets(recipe: Recipe, source: Source, pool: Path) -> Sets:
    """The cases of a run, augmented where the recipe says so. Raises InputError where the data has none.

    pool: a folder for rendered patients, where the recipe keeps a pool of them (`train.pool`).
    """
    sets = _open_sets(recipe, source, pool)
    if recipe.train.augment != "released":  # other augmentations are the baselines' own (`baseline_data`)
        return sets
    seed, (depth, height, width), shrink = recipe.train.seed, recipe.grid.spacing_mm, recipe.align.shrink
    align = Augmented(sets.align, seed, (depth, height * shrink, width * shrink))
    training = Augmented(sets.training, seed, recipe.grid.spacing_mm, sets.aligned)
    return sets._replace(align=align, training=training)


def _open_sets(recipe: Recipe, source: Source, pool: Path) -> Sets:
    seed, limit = recipe.train.seed, recipe.train.validation_samples
    align_count, count = (s.max_epochs * s.epoch_samples for s in (recipe.train.align, recipe.train.segment))
    if source.data is None:
        heads = library(source, "train")
        # else there must be a way home to compute L_F at, or the method takes heads as they lie
        aligned = recipe.loss.label_space == "aligned" and recipe.align.apply
        patients = AlignedPatients if aligned else PosedPatients
        if aligned and recipe.train.pool:
            training = PooledPatients(recipe, heads, seed, count, recipe.train.pool, pool)
        else:
            training = patients(recipe, heads, seed, count, recipe.train.segment.curriculum)
        others = library(source, "val")
        held_out = Kept(patients(recipe, others, seed + 1, limit), limit)
        turned = Kept(PosedBrains(recipe, others, seed + 1, limit, pool=min(limit, 8)), limit)
        return Sets(PosedBrains(recipe, heads, seed, align_count), turned, training, held_out, held_out, aligned)
    chosen = choose_cases(source.data, source.split, source.fold, seed)
    log.info(chosen.note)
    cases = PreparedCases(recipe, chosen.train, count)
    brains = PreparedCases(recipe, chosen.train, align_count).coarse_brains()
    if chosen.validation is chosen.train:
        return Sets(brains, (), cases, (), Kept(cases, min(limit, len(chosen.train))), aligned=False)
    others = PreparedCases(recipe, chosen.validation, len(chosen.validation))
    held_out = Kept(others, len(others))
    return Sets(brains, Kept(others.coarse_brains(), len(others)), cases, held_out, held_out, aligned=False)


def library(source: Source, split: str) -> Library:
    """Heads and lesion masks of a split, each head registered once here and not in every worker."""
    found = Library.from_folders(source.anatomy, source.lesions, split)
    for name in found.heads:
        found.head(name)  # type: ignore[arg-type]
    return found


class Kept(Sequence[Any]):
    """The first `size` samples of a data set, made when first asked for and kept in memory."""

    def __init__(self, dataset: Dataset[Any], size: int) -> None:
        self.dataset, self.size = dataset, size
        self.samples: dict[int, Any] = {}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        """Sample `index`; slices are not needed."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        if index not in self.samples:
            self.samples[index] = self.dataset[index]
        return self.samples[index]
