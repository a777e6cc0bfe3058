"""`train`: T, then D + F, from virtual patients or from cases on disk; weights at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adn.config import FitConfig, Recipe
from adn.errors import InputError
from adn.feed.pool import PooledPatients
from adn.feed.samples import collate
from adn.io.atomic import atomic_path, remove_folder
from adn.io.weights import NO_LICENCE, OWN_LICENCE, find_weights, save_weights
from adn.nn.adn import ADN
from adn.nn.align import AlignNet
from adn.nn.baselines import Baseline, build_model
from adn.nn.released_tissue import TissueMaps
from adn.recipes import load_recipe
from adn.results import TrainingPicture
from adn.training.baselines import baseline_data, baseline_objective
from adn.training.checkpoint import Row, load_weights
from adn.training.fit import HERE, Hooks, Machine, Stage, fit
from adn.training.initial import take_over
from adn.training.machine import is_first_process, share_of_processes
from adn.training.objectives import Objective, align_objective, segment_objective, tissue_maps_objective
from adn.training.record import continue_run, read_run, start_run
from adn.training.sources import Sets, Source, open_sets
from adn.training.tissue import collate_heads, fit_tissue
from adn.training.validate import align_validator, pictures, validator
from adn.work.progress import StageProgress

ALIGN, ALIGN_BEST, START = "align.ckpt", "align-best.ckpt", "start.ckpt"


@dataclass(frozen=True)
class EpochEnd:
    """What a run reports after each epoch. history: the stage's rows of `log.csv`. pictures: of validation samples."""

    run: Path
    stage: str
    history: list[Row]
    pictures: tuple[TrainingPicture, ...] = ()


@dataclass(frozen=True)
class Begin:
    """How a run begins.

    start: initial weights, given by name, file or run (`take_over`); T is then not trained unless `stages` names it.
    align: a run whose T is reused; 'align' is then not in `stages`. stages: 'align' trains T, 'segment' D + F,
    'tissue' the tissue network; None: those of the recipe. resume: continue from the run's checkpoints. pool: folder
    for rendered virtual patients, so that runs can share them; None: in the run folder.
    """

    start: Path | str | None = None
    align: Path | str | None = None
    stages: Sequence[str] | None = None
    resume: bool = False
    pool: Path | None = None


@dataclass(frozen=True)
class Watch:
    """Callbacks during a run. progress: called after each step with (stage, step, steps, scalars)."""

    progress: StageProgress | None = None
    on_epoch: Callable[[EpochEnd], None] | None = None

    def tell(self, end: EpochEnd) -> None:
        """Call `on_epoch`, if there is one."""
        if self.on_epoch:
            self.on_epoch(end)


@dataclass(frozen=True)
class _Run:
    """What all stages of a run share."""

    recipe: Recipe
    out: Path
    machine: Machine
    watch: Watch
    licence: str  # licence of the resulting weights

    def stage(self, name: str, config: FitConfig, **settings: Any) -> Stage:
        settings = {"precision": self.recipe.train.precision, "collate": collate, **settings}
        return Stage(name, self.out, config, seed=self.recipe.train.seed, **settings)

    def hooks(self, name: str, validate: Any = None, shown: Callable[[], Any] = tuple) -> Hooks:
        """shown: returns the pictures of validation samples."""
        return Hooks(
            self.watch.progress,
            validate,
            lambda rows: self.watch.tell(EpochEnd(self.out, name, rows, shown())),
        )


VIRTUAL, FROM_NOTHING, SILENT = Source(), Begin(), Watch()


def train(
    recipe: Recipe | str,
    out: Path | str,
    source: Source = VIRTUAL,
    begin: Begin = FROM_NOTHING,
    machine: Machine = HERE,
    watch: Watch = SILENT,
) -> Path:
    """Train a recipe and write `out/weights.safetensors`; return its path.

    source: a folder of cases, or virtual patients (the default). With a validation set, the weights of T and of D + F
    are those of the best epoch, and `last.safetensors` holds D + F of the last one. Under torchrun, every process calls
    this. Raises InputError or OutputError for a run folder in use and for data without cases, WeightsError or
    InputError for initial weights that do not fit.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    stages, out = _stages(recipe, begin), Path(out)
    run = _Run(recipe, out, machine, watch, _licence(out, source, begin))
    torch.manual_seed(recipe.train.seed)
    if "tissue" in stages:
        if begin.start:
            raise InputError("The tissue network cannot begin from other weights: train it without `start`.")
        _begin(run, source, begin, stages)
        return _train_tissue(source, run)
    model = build_model(recipe)
    _take_over(model, run, source, begin, stages)
    try:
        sets = open_sets(recipe, source, begin.pool or run.out / "patients")
    except InputError:
        if is_first_process() and not begin.resume:
            with contextlib.suppress(OSError):  # a folder that cannot be renamed, such as a mount, stays
                remove_folder(run.out)  # it was empty before, and can be used again with the right data
        raise
    if recipe.align.apply and "align" in stages:
        _fit_align(model, sets, run)
    elif recipe.align.apply:
        load_weights(run.out / ALIGN, model.align)
    model.align.requires_grad_(False)
    if "segment" in stages:
        _fit_segment(model, sets, run)
    return _save(model, run)


def _stages(recipe: Recipe, begin: Begin) -> list[str]:
    if begin.stages is not None:
        return list(begin.stages)
    return [stage for stage in recipe.train.stages if not (begin.start and stage == "align")]


def _licence(out: Path, source: Source, begin: Begin) -> str:
    """Licence notes for the resulting weights, from the data and from the initial weights."""
    if begin.resume:  # already recorded when the run began
        return str(read_run(out)[1].get("licence", ""))
    notes = source.licences()
    if begin.start:
        licence = find_weights(begin.start).licence
        notes += licence.split("\n") if licence not in (OWN_LICENCE, NO_LICENCE) else []
    return "\n".join(dict.fromkeys(notes))


def _take_over(model: ADN | Baseline, run: _Run, source: Source, begin: Begin, stages: list[str]) -> None:
    """Create the run folder, load the initial weights, and keep a copy of them in the folder."""
    if begin.start and not (run.out / START).is_file():
        take_over(model, begin.start)  # before the run folder is made, so that weights that do not fit leave none
    _begin(run, source, begin, stages)
    if begin.start and not load_weights(run.out / START, model) and is_first_process():
        with atomic_path(run.out / START) as temporary:  # so that resuming does not need the original weights
            torch.save({"model": model.state_dict()}, temporary)


def _save(model: ADN | Baseline, run: _Run) -> Path:
    path, values = run.out / "weights.safetensors", run.recipe.model_dump(mode="json")
    if is_first_process():
        if (run.out / "segment-best.ckpt").is_file():
            save_weights(model.state_dict(), values, run.out / "last.safetensors", licence=run.licence)
            load_weights(run.out / "segment-best.ckpt", model)
        save_weights(model.state_dict(), values, path, licence=run.licence)
    return path


def _begin(run: _Run, source: Source, begin: Begin, stages: list[str]) -> None:
    """Create the run folder, or add this session to its record; copy T from another run if asked."""
    if not is_first_process():
        return
    if begin.resume:
        continue_run(run.out, run.recipe)
    else:
        start = str(begin.start) if begin.start else None
        asked = {"source": source.record(), "stages": stages, "start": start, **asdict(run.machine)}
        asked |= {"licence": run.licence}
        start_run(run.out, run.recipe, asked)
    if begin.align and not (run.out / ALIGN).is_file():
        best = Path(begin.align) / ALIGN_BEST
        with atomic_path(run.out / ALIGN) as temporary:
            shutil.copyfile(best if best.is_file() else Path(begin.align) / ALIGN, temporary)


def resume(run: Path | str, watch: Watch = SILENT) -> Path:
    """Continue a run that was stopped or killed, from its own record; otherwise the same as `train`."""
    recipe, request = read_run(Path(run))
    source = Source.from_record(request["source"])
    if source.gone():
        names = ", ".join(str(path) for path in source.gone())
        raise InputError(f"{run}: was trained from {names}, which no longer exists; put it back to resume.")
    begin = Begin(request.get("start"), stages=request["stages"], resume=True)
    return train(recipe, run, source, begin, Machine(request["device"], request["workers"]), watch)


def _train_tissue(source: Source, run: _Run) -> Path:
    """Train the tissue network, which shares nothing with the others."""
    stage = run.stage("tissue", run.recipe.train.tissue, collate=collate_heads, score="gm")
    network = fit_tissue(run.recipe, source, stage, run.machine, run.hooks("tissue"))
    path = run.out / "weights.safetensors"
    if is_first_process():
        save_weights(network.state_dict(), run.recipe.model_dump(mode="json"), path, licence=run.licence)
    return path


def _fit_align(model: ADN | Baseline, sets: Sets, run: _Run) -> None:
    """Train T, unsupervised unless the recipe weights the known plane; with validation, keep its best epoch."""
    recipe = run.recipe
    assert isinstance(model.align, AlignNet)
    validate = align_validator(model.align, sets.align_validation, recipe)
    stage = run.stage("align", recipe.train.align, precision="fp32", score="loss", lowest=True)
    here = replace(run.machine, workers=0)
    fit(model.align, sets.align, align_objective(recipe), stage, here, run.hooks("align", validate))
    load_weights(run.out / ALIGN_BEST, model.align)


def _fit_segment(model: ADN | Baseline, sets: Sets, run: _Run) -> None:
    """Train D + F, or a baseline's single network, with T frozen."""
    recipe = run.recipe
    training = sets.training
    if isinstance(training, PooledPatients) and run.machine.device != "cpu" and torch.cuda.is_available():
        training.fill(f"cuda:{os.environ.get('LOCAL_RANK', 0)}", *share_of_processes())
    tissue = None
    if isinstance(model, ADN) and recipe.loss.tissue_maps == "network":
        tissue = _fit_tissue_maps(model, sets, run)
    training, objective = segment_task(model, training, recipe, sets.aligned, tissue)
    validate = validator(model, sets.validation, sets.aligned, recipe, sets.groups)
    hooks = run.hooks("segment", validate, lambda: pictures(model, sets.shown, sets.aligned, recipe))
    # with kinds scored separately, Dice alone could select an epoch that marks every head
    stage = run.stage("segment", recipe.train.segment, score="score" if sets.groups else "dice")
    fit(model, training, objective, stage, run.machine, hooks)


def segment_task(
    model: ADN | Baseline, data: Any, recipe: Recipe, aligned: bool, tissue_network: nn.Module | None = None
) -> tuple[Any, Objective]:
    """The training samples as the recipe's method uses them, and what it minimises on them.

    aligned, tissue_network: as in `segment_objective`.
    """
    if isinstance(model, ADN):
        return data, segment_objective(recipe, aligned, tissue_network)
    return baseline_data(data, recipe, model, aligned), baseline_objective(recipe, aligned)


def _fit_tissue_maps(model: ADN, sets: Sets, run: _Run) -> TissueMaps:
    """Train the network that supplies D's tissue maps (`loss.tissue_maps`) on the cases' own maps, then freeze it."""
    recipe = run.recipe
    network = TissueMaps(model.align, recipe)
    objective = tissue_maps_objective(recipe, sets.aligned)
    stage = run.stage("tissue_maps", recipe.train.tissue_maps)
    fit(network, sets.training, objective, stage, run.machine, run.hooks("tissue_maps"))
    return network.requires_grad_(False).eval()
