"""The source of a run's cases, and the two separate sets it trains on and is validated on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from adn.config import Recipe
from adn.datasets.layouts import Case, read_licence
from adn.errors import InputError
from adn.feed.aligned import ensure_aligned, ensure_pose
from adn.feed.augment import Augmented
from adn.feed.cases import PreparedCases, choose_cases
from adn.feed.mix import Cases, MixedSamples, validation_samples
from adn.feed.pool import PooledPatients
from adn.feed.samples import PosedBrain, Sample
from adn.feed.unaligned import StoredSamples, UnalignedSamples, unaligned_validation
from adn.feed.virtual import AlignedPatients, PosedBrains, PosedPatients
from adn.virtual.library import Library

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """The data that the user named. data: folder of cases; None: virtual patients from `anatomy` and `lesions` folders.

    split, fold: which cases are for training and validation (`choose_cases`). heads, heads_split: whole heads without
    infarct, for recipes that mix sources (`train.mix`); `data` then holds the outlined cases, and `anatomy` and
    `lesions` are for the virtual patients among them. Raises InputError if something is named that would not be used.
    """

    data: Path | None = None
    anatomy: Path | None = None
    lesions: Path | None = None
    split: Path | None = None
    fold: int | None = None
    heads: Path | None = None
    heads_split: Path | None = None

    def __post_init__(self) -> None:
        if (self.heads or self.heads_split) and not (self.data and self.heads):
            raise InputError("`heads` and `heads_split` go with `data`, which holds the outlined cases.")
        if self.data is None and (self.split or self.fold is not None):
            raise InputError("`split` and `fold` choose among cases on disk: use them with `data`.")
        if self.data and (self.anatomy or self.lesions) and not self.heads:
            raise InputError(
                "`anatomy` and `lesions` describe virtual patients: use them without `data`, or with `heads`, too."
            )

    def record(self) -> dict[str, Any]:
        """Plain data with absolute paths, so that a run can be resumed from any folder."""
        return {k: str(v.resolve()) if isinstance(v, Path) else v for k, v in asdict(self).items()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Source:
        """The inverse of `record`."""
        values: dict[str, Any] = {k: Path(v) if isinstance(v, str) else v for k, v in record.items()}
        return cls(**values)

    def licences(self) -> list[str]:
        """Licence notes of the folders of cases, for weights trained on them (`datasets.layouts.read_licence`)."""
        return [note for note in (read_licence(path) for path in (self.data, self.heads) if path) if note]

    def gone(self) -> list[Path]:
        """The named files and folders that no longer exist."""
        named = (self.data, self.anatomy, self.lesions, self.split, self.heads, self.heads_split)
        return [path for path in named if path and not path.exists()]


class Sets(NamedTuple):
    """align: for T, brains in all poses on its coarse copy of the model grid. training, validation: for D + F.

    No patient of `validation` is in a training set; it is empty if nobody is held out. shown: for sample pictures.
    aligned: samples are already on the brain box (virtual patients); otherwise T's pose is applied. groups: the kind of
    each sample of `validation`, if several kinds are scored separately; otherwise empty.
    """

    align: Dataset[PosedBrain]
    align_validation: Sequence[PosedBrain]
    training: Dataset[Sample]
    validation: Sequence[Sample]
    shown: Sequence[Sample]
    aligned: bool
    groups: Sequence[str] = ()


def open_sets(recipe: Recipe, source: Source, pool: Path) -> Sets:
    """The data sets of a run, augmented if the recipe says so. Raises InputError if the data has no cases.

    pool: a folder for rendered patients, for recipes that keep a pool of them (`train.pool`).
    """
    if bool(source.heads) != bool(recipe.train.mix.used):
        raise InputError(
            f"A recipe that mixes sources (train.mix) needs whole heads (`heads`), and no other recipe takes them; "
            f"recipe '{recipe.name}' {'mixes sources' if recipe.train.mix.used else 'does not mix sources'}."
        )
    sets = open_mix(recipe, source, pool) if source.heads else _open_sets(recipe, source, pool)
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
        # otherwise L_F is computed in input space, or the method takes unaligned heads
        aligned = recipe.loss.label_space == "aligned" and recipe.align.apply
        patients = AlignedPatients if aligned else PosedPatients
        if aligned and recipe.train.pool:
            training = PooledPatients(recipe, heads, seed, count, recipe.train.pool, pool)
        else:
            training = patients(recipe, heads, seed, count, recipe.train.segment.curriculum)
        others = library(source, "val")
        held_out = CachedSamples(patients(recipe, others, seed + 1, limit), limit)
        turned = CachedSamples(PosedBrains(recipe, others, seed + 1, limit, pool=min(limit, 8)), limit)
        return Sets(PosedBrains(recipe, heads, seed, align_count), turned, training, held_out, held_out, aligned)
    chosen = choose_cases(source.data, source.split, source.fold, seed)
    log.info(chosen.note)
    cases = PreparedCases(recipe, chosen.train, count)
    brains = PreparedCases(recipe, chosen.train, align_count).coarse_brains()
    if chosen.validation is chosen.train:
        return Sets(brains, (), cases, (), CachedSamples(cases, min(limit, len(chosen.train))), aligned=False)
    others = PreparedCases(recipe, chosen.validation, len(chosen.validation))
    held_out = CachedSamples(others, len(others))
    return Sets(brains, CachedSamples(others.coarse_brains(), len(others)), cases, held_out, held_out, aligned=False)


def library(source: Source, split: str) -> Library:
    """Heads and lesion masks of a split; each head is registered here, once, rather than in every worker."""
    found = Library.from_folders(source.anatomy, source.lesions, split)
    for name in found.heads:
        found.head(name)  # type: ignore[arg-type]
    return found


def open_mix(recipe: Recipe, source: Source, pool: Path) -> Sets:
    """Outlined parts, whole heads and virtual patients together (`feed.mix`). Raises InputError if one is missing.

    Recipes without alignment get the same samples, rotated back to the heads' own poses.
    """
    if source.data is None or source.heads is None:
        raise InputError("A recipe that mixes sources needs a folder of outlined cases and one of whole heads.")
    train, seed, lies = recipe.train, recipe.train.seed, recipe.grid
    if not recipe.align.apply:  # samples are still made on a brain box, then rotated back
        recipe = recipe.model_copy(update={"grid": lies.model_copy(update={"box": train.mix.box})})
    parts, libraries = open_cases(recipe, source)
    heads, count = libraries["train"], train.segment.max_epochs * train.segment.epoch_samples
    virtual: Any = None
    if train.mix.virtual and train.pool:
        virtual = PooledPatients(recipe, heads, seed, count, train.pool, pool)
    elif train.mix.virtual:
        virtual = AlignedPatients(recipe, heads, seed, count)
    held = parts["validation"]
    held = replace(held, outlined=held.outlined[: train.mix.validated], whole=held.whole[: train.mix.validated])
    named = validation_samples(held, seed + 1)
    mixed = MixedSamples(parts["train"], virtual, seed, count)
    training: Any = StoredSamples(mixed, pool / f"fold-{source.fold}-seed-{seed}") if train.mix.kept else mixed
    if not recipe.align.apply:
        training = UnalignedSamples(mixed, training, lies)
        named = unaligned_validation(named, held.outlined, held.whole, lies)
    groups, samples = [name for name, _ in named], [sample for _, sample in named]
    brains = PosedBrains(recipe, heads, seed, train.align.max_epochs * train.align.epoch_samples)
    return Sets(brains, (), training, samples, samples, aligned=True, groups=groups)


def open_cases(recipe: Recipe, source: Source) -> tuple[dict[str, Cases], dict[str, Library]]:
    """Aligned cases and libraries for 'train' and for 'validation', with no patient, head or mask in both.

    Raises InputError if nobody is held out.
    """
    assert source.data
    assert source.heads
    outlined = choose_cases(source.data, source.split, source.fold, recipe.train.seed)
    whole = choose_cases(source.heads, source.heads_split, source.fold, recipe.train.seed)
    log.info("outlined: %s whole heads: %s", outlined.note, whole.note)
    if outlined.validation is outlined.train or whole.validation is whole.train:
        raise InputError(
            f"{source.data} and {source.heads}: each needs cases of two or more patients, so that some can be held out."
        )
    libraries = {"train": library(source, "train"), "validation": library(source, "val")}
    parts = {}
    for part, heads in libraries.items():
        own, theirs = (chosen.train if part == "train" else chosen.validation for chosen in (outlined, whole))
        parts[part] = Cases(recipe, _aligned(own, recipe), _aligned(theirs, recipe), heads.shapes())
    return parts, libraries


def _aligned(cases: Sequence[Case], recipe: Recipe) -> list[Path]:
    """Files of cases on the brain box, made if missing; cases that cannot be prepared are left out with a warning."""
    files = []
    for done, case in enumerate(cases):
        try:
            path, made = ensure_aligned(case, recipe.grid, recipe.train.mix.align_with)
        except InputError as error:
            log.warning("left out: %s", error)
            continue
        if made:
            log.info("aligned %s, %d of %d", case.name, done + 1, len(cases))
        if not recipe.align.apply:
            ensure_pose(case, path, recipe.grid, recipe.train.mix.align_with)
        files.append(path)
    return files


class CachedSamples(Sequence[Any]):
    """The first `size` samples of a data set, made on first use and kept in memory."""

    def __init__(self, dataset: Dataset[Any], size: int) -> None:
        self.dataset, self.size = dataset, size
        self.samples: dict[int, Any] = {}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        """Sample `index`, an integer; slices are not supported."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        if index not in self.samples:
            self.samples[index] = self.dataset[index]
        return self.samples[index]
