"""`train`: T, then D + F, from virtual patients or from cases on disk; weights at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from adn.config import Recipe
from adn.errors import InputError
from adn.feed.pool import PooledPatients
from adn.feed.samples import collate
from adn.io.atomic import atomic_path
from adn.io.weights import save_weights
from adn.nn.adn import ADN
from adn.nn.align import AlignNet
from adn.nn.baselines import Baseline, build_model
from adn.nn.released_tissue import TissueMaps
from adn.recipes import load_recipe
from adn.results import TrainingPicture
from adn.training.baselines import baseline_data, baseline_objective
from adn.training.checkpoint import Row, load_weights
from adn.training.fit import Progress, fit
from adn.training.initial import take_over
from adn.training.machine import is_first_process, share_of_processes
from adn.training.objectives import align_objective, segment_objective, tissue_maps_objective
from adn.training.record import continue_run, read_run, start_run
from adn.training.sources import Sets, Source, open_sets
from adn.training.tissue import fit_tissue
from adn.training.validate import align_validator, pictures, validator

ALIGN, ALIGN_BEST, START = "align.ckpt", "align-best.ckpt", "start.ckpt"


@dataclass(frozen=True)
class EpochEnd:
    """What a run tells after each epoch. history: the stage's rows of `log.csv`. pictures: of validation samples."""

    run: Path
    stage: str
    history: list[Row]
    pictures: tuple[TrainingPicture, ...] = ()


@dataclass(frozen=True)
class _Run:
    """What every stage needs to know."""

    recipe: Recipe
    out: Path
    device: str
    workers: int
    progress: Progress | None
    on_epoch: Callable[[EpochEnd], None]


def train(
    recipe: Recipe | str,
    out: Path | str,
    data: Path | str | None = None,
    anatomy: Path | str | None = None,
    lesions: Path | str | None = None,
    resume: bool = False,
    stages: Sequence[str] | None = None,
    device: str = "auto",
    workers: int = 0,
    progress: Progress | None = None,
    on_epoch: Callable[[EpochEnd], None] | None = None,
    split: Path | str | None = None,
    fold: int | None = None,
    align: Path | str | None = None,
    start: Path | str | None = None,
) -> Path:
    """Train a recipe and write `out/weights.safetensors`; returns its path.

    data: folder of cases, of which `split` and `fold` say which train and which validate (`choose_cases`). None:
    endless virtual patients (of `anatomy` and `lesions` folders, else of the installed MNI priors). align: a run whose
    T is taken over; 'align' is then not in `stages`. start: weights (a name, a file, a run) that networks begin from
    (`take_over`); T then stays as it is unless `stages` names it. resume: go on from the run's checkpoints.
    stages: 'align' is T, 'segment' is D + F; None: those of the recipe. progress: called after each step, on_epoch
    after each epoch. Where there is a validation set the weights, of T and of D + F, are those of its best epoch, and
    `last.safetensors` holds the last of D + F.
    Under torchrun every process calls this. Raises InputError or OutputError for a run folder in use and for data
    without cases, WeightsError or InputError for weights that it cannot start from.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    if stages is None:
        stages = [stage for stage in recipe.train.stages if not (start and stage == "align")]
    folders = {"data": data, "anatomy": anatomy, "lesions": lesions, "split": split}
    source = Source(fold=fold, **{name: Path(path) if path else None for name, path in folders.items()})
    run = _Run(recipe, Path(out), device, workers, progress, on_epoch or (lambda _: None))
    if "tissue" in stages:
        if start:
            raise InputError("The tissue network cannot begin from other weights: train it without `start`.")
        _begin(run, resume, {"source": source.record(), "stages": list(stages)}, align)
        torch.manual_seed(recipe.train.seed)
        return _train_tissue(source, run)
    torch.manual_seed(recipe.train.seed)
    model = build_model(recipe)
    if start and not (run.out / START).is_file():
        take_over(model, start)  # before there is a run folder: weights that do not fit leave none
    record = {"source": source.record(), "stages": list(stages), "start": str(start) if start else None}
    _begin(run, resume, record, align)
    if start and not load_weights(run.out / START, model) and is_first_process():
        with atomic_path(run.out / START) as temporary:  # so that the run goes on without the weights
            torch.save({"model": model.state_dict()}, temporary)
    sets = open_sets(recipe, source, run.out / "patients")
    if recipe.align.apply and "align" in stages:
        _fit_align(model, sets, run)
    elif recipe.align.apply:
        load_weights(run.out / ALIGN, model.align)
    model.align.requires_grad_(False)
    if "segment" in stages:
        _fit_segment(model, sets, run)
    path = run.out / "weights.safetensors"
    if is_first_process():
        if (run.out / "segment-best.ckpt").is_file():
            save_weights(model.state_dict(), recipe.model_dump(mode="json"), run.out / "last.safetensors")
            load_weights(run.out / "segment-best.ckpt", model)
        save_weights(model.state_dict(), recipe.model_dump(mode="json"), path)
    return path


def _begin(run: _Run, resume: bool, asked: dict[str, Any], align: Path | str | None) -> None:
    """Make the run folder, or add this session to its record; take over T from another run."""
    if not is_first_process():
        return
    if resume:
        continue_run(run.out, run.recipe)
    else:
        start_run(run.out, run.recipe, {**asked, "device": run.device, "workers": run.workers})
    if align and not (run.out / ALIGN).is_file():
        best = Path(align) / ALIGN_BEST
        with atomic_path(run.out / ALIGN) as temporary:
            shutil.copyfile(best if best.is_file() else Path(align) / ALIGN, temporary)


def resume(
    run: Path | str, progress: Progress | None = None, on_epoch: Callable[[EpochEnd], None] | None = None
) -> Path:
    """Go on with a run that was stopped or killed, from its own record; as `train` otherwise."""
    recipe, request = read_run(Path(run))
    source = Source.from_record(request["source"])
    if source.gone():
        names = ", ".join(str(path) for path in source.gone())
        raise InputError(f"{run}: was trained from {names}, which is no longer there; put it back to resume.")
    options = {name: request[name] for name in ("device", "workers")}
    return train(recipe, run, **asdict(source), resume=True, stages=request["stages"], start=request.get("start"),
                 **options, progress=progress, on_epoch=on_epoch)  # fmt: skip


def _train_tissue(source: Source, run: _Run) -> Path:
    """The tissue network, which shares nothing with the others."""
    network = fit_tissue(run.recipe, source, run.out, run.device, run.workers, run.progress,
                         lambda rows: run.on_epoch(EpochEnd(run.out, "tissue", rows)))  # fmt: skip
    path = run.out / "weights.safetensors"
    if is_first_process():
        save_weights(network.state_dict(), run.recipe.model_dump(mode="json"), path)
    return path


def _fit_align(model: ADN | Baseline, sets: Sets, run: _Run) -> None:
    """T; unsupervised unless the recipe weighs the known plane. Where there is validation it is left as it was best."""
    recipe = run.recipe
    assert isinstance(model.align, AlignNet)
    validate = align_validator(model.align, sets.align_validation, recipe)
    fit(model.align, sets.align, align_objective(recipe), recipe.train.align, run.out, "align", "fp32", 0, collate,
        run.progress, validate, run.device, seed=recipe.train.seed, score="loss", lowest=True,
        on_log=lambda rows: run.on_epoch(EpochEnd(run.out, "align", rows)))  # fmt: skip
    load_weights(run.out / ALIGN_BEST, model.align)


def _fit_segment(model: ADN | Baseline, sets: Sets, run: _Run) -> None:
    """D + F, or a baseline's one network, with T frozen."""
    recipe = run.recipe

    def tell(rows: list[Row]) -> None:
        run.on_epoch(EpochEnd(run.out, "segment", rows, pictures(model, sets.shown, sets.aligned, recipe)))

    training = sets.training
    if isinstance(training, PooledPatients) and run.device != "cpu" and torch.cuda.is_available():
        training.fill(f"cuda:{os.environ.get('LOCAL_RANK', 0)}", *share_of_processes())
    if isinstance(model, ADN):
        tissue = _fit_tissue_maps(model, sets, run) if recipe.loss.tissue_maps == "network" else None
        objective = segment_objective(recipe, sets.aligned, tissue)
    else:
        training = baseline_data(training, recipe, model, sets.aligned)
        objective = baseline_objective(recipe, sets.aligned)
    validate = validator(model, sets.validation, sets.aligned, recipe)
    fit(model, training, objective, recipe.train.segment, run.out, "segment",
        recipe.train.precision, run.workers, collate, run.progress, validate, run.device, seed=recipe.train.seed,
        on_log=tell)  # fmt: skip


def _fit_tissue_maps(model: ADN, sets: Sets, run: _Run) -> TissueMaps:
    """The network that D's tissue maps come from, where the recipe wants one: it learns those of the cases first."""
    recipe = run.recipe
    network = TissueMaps(model.align, recipe)
    objective = tissue_maps_objective(recipe, sets.aligned)
    fit(network, sets.training, objective, recipe.train.tissue_maps, run.out, "tissue_maps", recipe.train.precision,
        run.workers, collate, run.progress, device=run.device, seed=recipe.train.seed,
        on_log=lambda rows: run.on_epoch(EpochEnd(run.out, "tissue_maps", rows)))  # fmt: skip
    return network.requires_grad_(False).eval()
