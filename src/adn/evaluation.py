"""`evaluate`: score predictions of one or more methods against references, case by case and overall with intervals."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adn.config import GridConfig
from adn.errors import InputError
from adn.io.masks import MaskFiles, find_masks, read_mask
from adn.io.nifti import read_volume
from adn.metrics.reliability import reliability, reliability_counts
from adn.metrics.scores import grid_difference, score
from adn.metrics.strata import volume_stratum
from adn.metrics.summary import CaseScores, Evaluation, Unmatched, compare, summarise
from adn.prepare import carry_mask
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.work.progress import Progress

log = logging.getLogger(__name__)
Paths = str | Path


@dataclass(frozen=True)
class _Pair:
    method: str
    prediction: MaskFiles
    reference: MaskFiles


@dataclass(frozen=True, eq=False)
class _Result:
    """One case of one method: its scores on every grid, and counts for the reliability curve if it has any."""

    scores: tuple[CaseScores, ...]
    counts: NDArray[np.float64] | None


def evaluate(
    predictions: Paths | Mapping[str, Paths],
    reference: Paths,
    out: Paths | None = None,
    *,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Score predicted infarcts against reference masks, matched by case name; write the tables and report to `out`.

    Where a reference says which part was acquired (seen.nii.gz), only that part is scored.

    predictions: a folder of cases (as `adn predict` writes them) or of masks, or a CSV of paths (see `find_masks`); or
    several of these by name, with which the others are compared to the first. reference: the same for the experts'
    masks. out: a new folder (None: nothing is written). seed: for the bootstrap. progress: called with the number of
    cases done and the total. Cases without a counterpart are listed in `unmatched`. Raises InputError where no case
    matches, or where a prediction does not lie on its reference's grid; OutputError where `out` exists already.
    """
    from adn.report.evaluation import check_evaluation_folder, save_evaluation

    if out is not None:
        check_evaluation_folder(Path(out), overwrite)
    named = predictions if isinstance(predictions, Mapping) else {method_name(Path(predictions)): predictions}
    pairs, unmatched = _match({name: Path(path) for name, path in named.items()}, Path(reference))
    results: list[_Result] = []
    for result in _score_all(pairs):
        results.append(result)
        if progress:
            progress(len(results), len(pairs))
    evaluation = _sum_up(tuple(named), results, unmatched, _all_in_brain(pairs), seed)
    if out is not None:
        save_evaluation(evaluation, Path(out), overwrite)
    return evaluation


def method_name(path: Path) -> str:
    """The name of a method that was given none."""
    name = path.resolve().name
    return name.removesuffix("".join(path.suffixes)) if path.is_file() else name


def _match(predictions: dict[str, Path], reference: Path) -> tuple[list[_Pair], list[Unmatched]]:
    """The pairs to score, by case and then method, and the cases without a counterpart."""
    references = find_masks(reference)
    pairs: list[_Pair] = []
    unmatched: list[Unmatched] = []
    for method, path in predictions.items():
        found = find_masks(path)
        if path.is_file() and reference.is_file() and len(found) == len(references) == 1:
            found = dict(zip(references, found.values(), strict=True))  # two single masks: clearly a pair
        common = [name for name in references if name in found]
        if not common:
            raise InputError(
                f"none of its cases ({_some(found)}) is in {reference} ({_some(references)}), and cases are "
                "matched by name. Rename them, or give a CSV with the columns name and infarct.",
                path,
            )
        pairs += [_Pair(method, found[name], references[name]) for name in common]
        unmatched += [Unmatched(method, name, "no prediction") for name in references if name not in found]
        unmatched += [Unmatched(method, name, "no reference") for name in found if name not in references]
    return sorted(pairs, key=lambda pair: pair.reference.name), unmatched


def _some(names: Mapping[str, MaskFiles]) -> str:
    return ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")


def _score_all(pairs: list[_Pair]) -> Iterator[_Result]:
    """Score pairs sorted by case, reading each reference once."""
    with_ignored = any(pair.reference.ignore for pair in pairs)
    files: MaskFiles | None = None
    references: dict[str, Volume] = {}
    for pair in pairs:
        if files is not pair.reference:
            files, references = pair.reference, _references(pair.reference, with_ignored)
        reference = references["own"]
        path = pair.prediction.infarct
        own = _on_grid(read_mask(path), reference.grid, pair.reference.name, path, pair.reference.infarct)
        seen = _seen(pair.reference, own.grid)
        own = own if seen is None else own.with_data(own.data & seen)
        paper = carry_mask(own, references["paper"].grid)
        scores = {
            grid: score(paper if grid.startswith("paper") else own, volume) for grid, volume in references.items()
        }
        stratum = volume_stratum(scores["own"].reference_ml)
        name, cluster = pair.reference.name, pair.reference.subject or pair.reference.name
        cases = (CaseScores(pair.method, name, grid, stratum, cluster, found) for grid, found in scores.items())
        yield _Result(tuple(cases), _counts(pair, reference))


def _references(files: MaskFiles, with_ignored: bool) -> dict[str, Volume]:
    """The reference on each grid (`CaseScores.grid`); with_ignored adds two where ignored voxels count as infarct."""
    own = read_mask(files.infarct)
    seen = _seen(files, own.grid)
    own = own if seen is None else own.with_data(own.data & seen)
    coarse = paper_grid(own.grid)
    references = {"own": own, "paper": carry_mask(own, coarse)}
    if with_ignored:
        both = own
        if files.ignore:
            ignored = _on_grid(read_mask(files.ignore), own.grid, files.name, files.ignore, files.infarct)
            both = own.with_data(own.data | (ignored.data if seen is None else ignored.data & seen))
        references |= {"own+ignore": both, "paper+ignore": carry_mask(both, coarse)}
    return references


def _seen(files: MaskFiles, grid: Grid) -> NDArray[np.uint8] | None:
    """1 where the reference's scan was acquired, in the axis order of `grid`; None if all of it was."""
    return (
        None
        if files.seen is None
        else _on_grid(read_mask(files.seen), grid, files.name, files.seen, files.infarct).data
    )


def _on_grid(volume: Volume, grid: Grid, name: str, path: Path, reference: Path) -> Volume:
    """The same voxels in the axis order of `grid`. Raises InputError where the grids differ in more than that."""
    turned = volume.reoriented(grid.axes)
    if not turned.grid.same_as(grid):
        raise InputError(
            f"a prediction is scored on its reference's grid, but {grid_difference(turned.grid, grid)}. "
            f"Resample one onto the other (a mask: nearest): {path} and {reference}.",
            name,
        )
    return turned


def _counts(pair: _Pair, reference: Volume) -> NDArray[np.float64] | None:
    """Counts for the reliability curve, over the brain's voxels if the prediction has a brain mask."""
    path, brain = pair.prediction.probability, pair.prediction.brain
    if path is None:
        return None
    where = (reference.grid, pair.reference.name)
    inside = _on_grid(read_mask(brain), *where, brain, pair.reference.infarct).data if brain else None
    seen = _seen(pair.reference, reference.grid)
    if seen is not None:
        inside = seen if inside is None else inside & seen
    probability = _on_grid(read_volume(path, unit="1"), *where, path, pair.reference.infarct)
    try:
        return reliability_counts(probability.data, reference.data, inside)
    except InputError as error:
        raise InputError(error.what, path) from error


def _all_in_brain(pairs: list[_Pair]) -> bool:
    with_probability = [pair for pair in pairs if pair.prediction.probability]
    return bool(with_probability) and all(pair.prediction.brain for pair in with_probability)


def _sum_up(
    methods: tuple[str, ...], results: list[_Result], unmatched: list[Unmatched], in_brain: bool, seed: int
) -> Evaluation:
    cases = tuple(case for result in results for case in result.scores)
    counts: dict[str, list[NDArray]] = {method: [] for method in methods}
    for result in results:
        if result.counts is not None:
            counts[result.scores[0].method].append(result.counts)
    return Evaluation(
        methods=methods,
        cases=cases,
        summaries=tuple(summarise(cases, methods, seed=seed)),
        comparisons=tuple(compare(cases, methods, seed=seed)),
        reliability={method: reliability(found, seed=seed) for method, found in counts.items() if found},
        in_brain=in_brain,
        unmatched=tuple(unmatched),
        seed=seed,
    )


def paper_grid(grid: Grid) -> Grid:
    """The paper's voxels (5 × 1.2 × 1.2 mm, SPL, upright) over the whole of `grid`, centred on it."""
    corners = np.array([[*corner, 1.0] for corner in product(*((-0.5, n - 0.5) for n in grid.shape))])
    sides = np.ptp((corners @ grid.affine.T)[:, :3], axis=0)[::-1]  # along superior, anterior, right
    spacing = GridConfig().spacing_mm
    d, h, w = (int(np.ceil(side / step - 1e-6)) for side, step in zip(sides, spacing, strict=True))
    a, b, c = (float(v) for v in grid.centre_mm)
    return Grid.centred((d, h, w), spacing, (a, b, c))
