"""`benchmark`: trains and scores every method of the paper's Table 1, and newer ones, on equal data and budget."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from adn.brain import find_brain, shipped_tissue
from adn.config import Recipe
from adn.datasets.layouts import Case, find_cases, write_cases
from adn.datasets.splits import read_split
from adn.errors import InputError
from adn.evaluation import evaluate
from adn.feed.aligned import load_aligner
from adn.io import open_scan
from adn.io.atomic import atomic_folder, atomic_path
from adn.io.nifti import read_volume, write_volume
from adn.nn.baselines import build_model
from adn.prediction.model import Model, load_model
from adn.prediction.pipeline import home, infer, locate
from adn.recipes import load_recipe, recipe_from_dict, row_recipe
from adn.report.benchmark import BenchmarkRow, benchmark_markdown
from adn.space.volume import Volume
from adn.training import Begin, Machine, Source, Watch, train
from adn.training.logbook import LOG, read_log
from adn.training.stages import ALIGN
from adn.virtual.folders import synthesize_preset
from adn.virtual.presets import PRESETS
from adn.work.progress import StageProgress

log = logging.getLogger(__name__)
FLAT_EVALUATIONS, FLAT_BAND = 3, 0.02  # a row counts as trained if its last 3 validation Dices lie within 0.02
TABLE, ASKED, T_RUN, POOL = "benchmark.md", "benchmark.json", "align", "patients"


@dataclass(frozen=True)
class Method:
    """A row of the table, defined by `recipes/rows/<name>.toml`. paper: Dice and HD95 (mm) on AISD (paper, Table 1).

    seed: of weights and samples; repeating a row with another seed shows how much varies by chance. None: the recipe's.
    """

    name: str
    title: str
    paper: tuple[float, float] | None = None
    seed: int | None = None

    def of(self, base: Recipe) -> Recipe:
        """The row's recipe, with the grid and budget of `base`."""
        recipe = row_recipe(base, self.name.partition(SEED)[0])
        if self.seed is None:
            return recipe
        return recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": self.seed})})


METHODS = (
    Method("deepmedic", "DeepMedic", (0.4412, 58.20)),
    Method("unet", "3D U-Net", (0.4281, 42.18)),
    Method("resunet", "3D ResUNet", (0.4763, 42.55)),
    Method("clerigues", "Clèrigues et al.", (0.5051, 43.17)),
    Method("sean", "SEAN", (0.5047, 40.07)),
    Method("resunet-aligned", "3D ResUNet", (0.4850, 39.87)),
    Method("adn-without-tissue", "ADN without L_tissue", (0.5090, 39.66)),
    Method("adn", "ADN", (0.5245, 39.18)),
    Method("adn-plus", "ADN+"),
    Method("adn-slicewise", "ADN, slice-wise D and F"),
    Method("nnunet", "nnU-Net-style"),
    Method("asymfex", "AsymFeX-style"),
)
SEED = "@"  # separates a row's name from a seed of its own
REFERENCE = "adn"  # the row that p-values compare with, if it is included


@dataclass(frozen=True)
class FixedSet:
    """A named set of virtual patients for testing; rows train on endless patients made from `anatomy` and `lesions`."""

    name: str
    anatomy: Path | None = None
    lesions: Path | None = None


@dataclass(frozen=True)
class Listener:
    """Callbacks of a benchmark. progress: called with a row's name, returns the callback for its training.

    say: called with a sentence when each part begins or is skipped.
    """

    progress: Callable[[str], StageProgress] | None = None
    say: Callable[[str], object] = log.info


@dataclass(frozen=True)
class _Work:
    """What all rows share."""

    out: Path
    data: Source | FixedSet
    machine: Machine
    listener: Listener

    @property
    def source(self) -> Source:
        """The training data of all rows."""
        data = self.data
        return data if isinstance(data, Source) else Source(anatomy=data.anatomy, lesions=data.lesions)

    def say(self, sentence: str) -> None:
        """Pass a sentence to the listener."""
        self.listener.say(sentence)


HERE, NOBODY = Machine(), Listener()


def benchmark(
    recipe: Recipe | str,
    data: Source | FixedSet,
    out: Path | str,
    methods: Sequence[str] | None = None,
    machine: Machine = HERE,
    listener: Listener = NOBODY,
) -> Path:
    """Train and score rows with the same data, evaluation and budget; return the path of `out/benchmark.md`.

    recipe: grid, budget and T of every row. data: a fixed set of virtual patients, or cases on disk, with the test
    cases named by the split (or by the data set itself). If the split has folds, each row is trained once per fold
    (with `Source.fold`, only for that one) and scored on the cases of that fold, which were used neither to train nor
    to select its network; test cases are not opened. methods: names from `METHODS` (None: all); append '@1' for seed
    1. Rows that are finished are skipped, interrupted ones resumed. Raises InputError if `out` holds another benchmark,
    a method or set is unknown, or nothing is held out for testing.
    """
    base = load_recipe(recipe) if isinstance(recipe, str) else recipe
    chosen = _chosen(methods)
    recipes = {method.name: method.of(base) for method in chosen}
    with torch.device("meta"):  # fail now, rather than after hours, if a network cannot be built
        sizes = {name: sum(p.numel() for p in _segmenting(row)) for name, row in recipes.items()}
    work = _Work(Path(out), data, machine, listener)
    if isinstance(data, FixedSet) and data.name not in PRESETS:
        raise InputError(f"There is no set of virtual patients named '{data.name}': choose {', '.join(PRESETS)}.")
    _require_same_request(work, base)
    folds = _folds(data, work)
    if any(row.align.apply for row in recipes.values()):
        _provide_t(base, work)
    for fold, cases in folds.items():
        for method in chosen:
            _run_row(Run(method.name, recipes[method.name], fold), cases, work)
    rows = [_table_row(method, recipes[method.name], sizes[method.name], (work, list(folds))) for method in chosen]
    return _write_table(rows, [case for cases in folds.values() for case in cases], base, work)


@dataclass(frozen=True)
class Run:
    """One training run: a row on all folds but one, or as a split without folds says (fold None)."""

    row: str
    recipe: Recipe
    fold: int | None = None

    def folder(self, out: Path) -> Path:
        """Its folder in the benchmark's folder `out`."""
        return out / self.row if self.fold is None else out / self.row / f"fold-{self.fold}"

    def weights(self, out: Path) -> Path:
        """The weights to score: of the best epoch; with folds of the last one, since the scored fold chose the best."""
        last = self.folder(out) / "last.safetensors"
        return last if self.fold is not None and last.is_file() else self.folder(out) / "weights.safetensors"


def _chosen(methods: Sequence[str] | None) -> list[Method]:
    """The requested rows, in the table's order; repeats with another seed follow the row they repeat."""
    known = [method.name for method in METHODS]
    asked = [name.partition(SEED) for name in (known if methods is None else methods)]
    unknown = [name for name, at, seed in asked if name not in known or (at and not seed.isdigit())]
    if unknown:
        raise InputError(
            f"There is no method '{unknown[0]}' in the benchmark: choose among {', '.join(known)}, "
            f"and add a seed to train one again, as in {REFERENCE}{SEED}1."
        )
    chosen = []
    for method in METHODS:
        for _, at, seed in sorted({one for one in asked if one[0] == method.name}):
            title = f"{method.title}, seed {seed}" if at else method.title
            chosen.append(Method(method.name + at + seed, title, method.paper, int(seed) if at else None))
    return chosen


def _segmenting(recipe: Recipe) -> list[torch.nn.Parameter]:
    """Parameters of a row's networks except T."""
    return [p for name, p in build_model(recipe).named_parameters() if not name.startswith("align.")]


def _require_same_request(work: _Work, base: Recipe) -> None:
    """Record recipe and data in the folder, or raise InputError if it holds a benchmark of others."""
    source = work.source
    data = work.data.name if isinstance(work.data, FixedSet) else str(source.data.resolve()) if source.data else ""
    asked = {"recipe": base.model_dump(mode="json"), "data": data}
    paths = {name: getattr(source, name) for name in ("split", "anatomy", "lesions", "heads", "heads_split")}
    asked |= {name: str(path.resolve()) if path else None for name, path in paths.items()}
    path = work.out / ASKED
    if not path.is_file():
        work.out.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")
    elif _settings_filled(json.loads(path.read_text(encoding="utf-8"))) != asked:
        raise InputError(
            f"{work.out}: holds a benchmark with another recipe or other data, so its rows cannot be compared with "
            "these; choose a new folder."
        )


def _settings_filled(asked: dict) -> dict:
    """A stored request, with settings that did not exist when it was written filled in with their defaults."""
    kept = {"heads": None, "heads_split": None, **{name: value for name, value in asked.items() if name != "fold"}}
    return kept | {"recipe": recipe_from_dict(asked["recipe"]).model_dump(mode="json")}


def _folds(data: Source | FixedSet, work: _Work) -> dict[int | None, list[Case]]:
    """The cases on which each fold's networks are scored; the key is None if there are no folds."""
    if isinstance(data, FixedSet):
        return {None: _fixed_cases(data, work)}
    split = read_split(data.split) if data.split and data.data else None
    if split is None or not split.folds:
        return {None: _test_cases(data)}
    assert data.data
    cases = {case.name: case for case in find_cases(data.data) if case.infarct}
    return {
        fold: [cases[name] for name in split.parts(fold).validation if name in cases]
        for fold in (range(split.folds) if data.fold is None else (data.fold,))
    }


def _provide_t(base: Recipe, work: _Work) -> None:
    """Provide the T that all aligned rows share: train it, or copy the one by which mixed samples were aligned."""
    run = work.out / T_RUN
    if (run / "weights.safetensors").is_file() or ((run / ALIGN).is_file() and base.train.mix.used):
        return
    if not base.train.mix.used:
        work.say("training T, which all aligned rows share")
        _train(base, work, run, Begin(stages=("align",)))
        return
    aligner = load_aligner(base.train.mix.align_with)
    if aligner.recipe.align != base.align:
        raise InputError(
            f"All rows use the T of {base.train.mix.align_with}, with which samples are aligned, but the section "
            f"[align] of recipe '{base.name}' is not that of those weights; copy it from there."
        )
    with atomic_path(run / ALIGN, make_folder=True) as temporary:
        torch.save({"model": aligner.network.state_dict()}, temporary)


def _fixed_cases(data: FixedSet, work: _Work) -> list[Case]:
    """The patients of a fixed set, without their true brain masks, which a user would not have."""
    work.say(f"making the test cases, {data.name}")
    synthesize_preset(data.name, work.out / "cases", anatomy=data.anatomy, lesions=data.lesions)
    return [replace(case, brain=None) for case in find_cases(work.out / "cases")]


def _test_cases(data: Source) -> list[Case]:
    """The cases that a split, or the data set itself, reserves for testing."""
    if data.data is None:
        raise InputError("A benchmark needs a folder of cases, or a fixed set of virtual patients, to test on.")
    cases = {case.name: case for case in find_cases(data.data) if case.infarct}
    if data.split:
        wanted = [row.case for row in read_split(data.split).rows if row.part == "test"]
    else:
        wanted = [name for name, case in cases.items() if case.test]
    found = [cases[name] for name in wanted if name in cases]
    if not found:
        raise InputError(
            f"{data.split or data.data}: a benchmark needs test cases with reference masks, but none is held out; "
            f"make a split with 'adn split {data.data}' and give it as `split`."
        )
    return found


def _train(recipe: Recipe, work: _Work, run: Path, begin: Begin, fold: int | None = None) -> None:
    progress, name = work.listener.progress, str(run.relative_to(work.out))
    begin = replace(begin, resume=(run / "run.json").is_file(), pool=work.out / POOL)
    source = work.source if fold is None else replace(work.source, fold=fold)
    train(recipe, run, source, begin, work.machine, Watch(progress(name) if progress else None))


def _run_row(run: Run, cases: list[Case], work: _Work) -> None:
    """Train the run and predict its test cases, skipping whatever is already done."""
    name = run.row if run.fold is None else f"{run.row}, fold {run.fold}"
    if not (run.folder(work.out) / "weights.safetensors").is_file():
        work.say(f"{name}: training")
        begin = Begin(stages=("segment",), align=work.out / T_RUN if run.recipe.align.apply else None)
        _train(run.recipe, work, run.folder(work.out), begin, run.fold)
    done = work.out / run.row / "predictions"
    left = [case for case in cases if not (done / case.name).is_dir()]
    if not left:
        work.say(f"{name}: done already")
        return
    work.say(f"{name}: predicting {len(left)} test cases")
    model = load_model(run.weights(work.out), work.machine.device)
    for case in left:
        infarct = _predict(case, model, work)
        with atomic_folder(done / case.name, marker="infarct.nii.gz") as folder:
            write_volume(infarct, folder / "infarct.nii.gz")


def _predict(case: Case, model: Model, work: _Work) -> Volume:
    """The infarct on the scan's grid (axes in SPL order), as in `predict`, but without maps and measurements."""
    located = locate(open_scan(case.ct), model, strip=partial(_brain, case, work))
    found = home(infer(located, model), located, model.recipe)
    return located.volume.with_data(found.infarct, "label")


def _brain(case: Case, work: _Work, scan: Volume) -> Volume:
    """The case's own brain mask, as in training, else the tissue network's, made once for all rows; in SPL order."""
    path = case.brain or work.out / "brains" / f"{case.name}.nii.gz"
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        write_volume(find_brain(scan, shipped_tissue()).mask, path)
    return read_volume(path, unit="label").reoriented("SPL")


def is_flat(validation: Sequence[float]) -> bool:
    """Whether the last 3 validation Dices lie within 0.02 of each other, and above 0.02 (so the network has learnt)."""
    last = validation[-FLAT_EVALUATIONS:]
    return len(last) == FLAT_EVALUATIONS and min(last) > FLAT_BAND and max(last) - min(last) <= FLAT_BAND


def _table_row(method: Method, recipe: Recipe, parameters: int, where: tuple[_Work, list[int | None]]) -> BenchmarkRow:
    """A row of the table, with budget and validation curve (the mean over folds) from the logs of its runs."""
    work, folds = where
    logs = [read_log(Run(method.name, recipe, fold).folder(work.out) / LOG) for fold in folds]
    curves, total, seconds = [], 0, 0.0
    for log_rows in logs:
        history = [row for row in log_rows if row["stage"] == "segment"]
        curves.append([float(row["val_dice"]) for row in history if "val_dice" in row])
        steps = np.diff([0, *(int(row["step"]) for row in history)])
        seconds += sum(n * float(row["step_seconds"]) for n, row in zip(steps, history, strict=True))
        total += int(steps.sum())
    validation = tuple(float(np.mean(values)) for values in zip(*curves, strict=False))
    return BenchmarkRow(
        name=method.name,
        title=method.title,
        aligned=recipe.align.apply,
        trained=all(is_flat(curve) for curve in curves),
        validation=validation,
        samples=total * recipe.train.segment.batch_size,
        hours=float(seconds) / 3600,
        parameters=parameters,
        paper_dice=method.paper[0] if method.paper else None,
        paper_hd95_mm=method.paper[1] if method.paper else None,
    )


def _write_table(rows: list[BenchmarkRow], cases: list[Case], base: Recipe, work: _Work) -> Path:
    """Score every row, and write `evaluation/` and the table."""
    if isinstance(work.data, FixedSet):
        where, reference = work.data.name, work.out / "cases"
    else:
        where, reference = str(work.data.data), work.out / "test.csv"
        write_cases(cases, reference)
    first = sorted(rows, key=lambda row: row.name != REFERENCE)  # stable: the others keep their order
    predictions = {row.name: work.out / row.name / "predictions" for row in first}
    evaluation = evaluate(predictions, reference, work.out / "evaluation", overwrite=True)
    path = work.out / TABLE
    with atomic_path(path) as temporary:
        temporary.write_text(benchmark_markdown(rows, evaluation, base.name, where), encoding="utf-8")
    return path
