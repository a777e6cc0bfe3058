"""The cache of prepared cases: each is read, stripped and resampled to the model grid once.

A prepared case is one safetensors file of a few MB, cropped to the brain. Its name ends in a hash of the content of
every source file, the model grid and PREPARE_VERSION, so a case whose files changed is prepared again and nothing ever
has to be invalidated. Deleting the folder costs only time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from adn.config import GridConfig
from adn.datasets.labels import read_infarct, read_labels
from adn.datasets.layouts import Case, find_cases
from adn.errors import InputError
from adn.io import open_scan
from adn.io.atomic import atomic_path, check_writable, sweep
from adn.io.cache import cache_folder
from adn.io.digest import file_sha256, sha256
from adn.io.itk import DETACHED_SUFFIXES
from adn.io.series import files_below
from adn.io.weights import TISSUE, find_weights
from adn.prepare import Conformed, conform
from adn.prepare.part import copies_needed
from adn.space.geometry import bounding_box
from adn.space.labels import TISSUES, TissueLabel
from adn.space.volume import Volume
from adn.work.pool import Failure, map_processes
from adn.work.progress import Progress

PREPARE_VERSION = 6  # raise when reading, stripping, labelling or conforming change, so that cases are prepared again
_UNIT = 65535  # brain intensities are kept as 16-bit fractions of 1: a step is 0.001 HU of an 80 HU window
NOT_SCORED = 2  # value of `Prepared.infarct`
_SEEN = 0.49  # minimum acquired share of a scored voxel; below ½, so that a slice between two model slices counts


@dataclass(frozen=True, eq=False)
class Prepared:
    """A case on the model grid, arrays (D, H, W): brain float32 in [0, 1]; infarct uint8; tissue uint8 (0: unknown).

    infarct is 2 (`NOT_SCORED`) where the reference makes no statement and where nothing was acquired.
    """

    brain: NDArray[np.float32]
    infarct: NDArray[np.uint8]
    tissue: NDArray[np.uint8]


def prepare_case(case: Case, grid: GridConfig) -> Prepared:
    """Read one case and resample intensities, reference and tissue to the model grid, each in its own way.

    A missing brain mask or tissue map comes from the tissue network. If its result is not plausible, the classical
    stripper finds the brain and the case adds nothing to L_tissue. Raises InputError.
    """
    if case.infarct is None:
        raise InputError("needs an infarct mask to be trained on, but there is none.", case.ct)
    scan = open_scan(case.ct).volume
    mask, labels = _brain_and_tissue(case, scan)
    conformed = conform(scan, mask, grid)
    infarct = _on_model(read_infarct(case.infarct, scan), conformed, (1,))[0] >= 0.5
    marks = infarct.astype(np.uint8)
    if case.ignore:
        marks[~infarct & (_on_model(read_infarct(case.ignore, scan), conformed, (1,))[0] >= 0.5)] = NOT_SCORED
    seen = read_infarct(case.seen, scan) if case.seen else scan.with_data(np.ones(scan.grid.shape, np.uint8), "label")
    upright = scan.grid.reoriented("SPL")
    if case.seen or any(copies_needed(upright.shape[0], upright.spacing_mm[0])):
        marks[_on_model(seen, conformed, (1,))[0] < _SEEN] = NOT_SCORED
    tissue = np.zeros(infarct.shape, np.uint8)
    if labels is not None:
        parts = _on_model(labels, conformed, TISSUES)
        tissue = np.where(parts.sum(0) > 0.25, np.take(TISSUES, parts.argmax(0)), TissueLabel.OUTSIDE).astype(np.uint8)
    return Prepared(conformed.brain.data, marks, tissue)


def _brain_and_tissue(case: Case, scan: Volume) -> tuple[Volume, Volume | None]:
    """Brain mask and tissue labels on the scan's grid, the case's own if it has them; tissue is None if unknown."""
    from adn.brain import find_brain, segment_tissue, shipped_tissue

    tissue = read_labels(case.tissue, scan) if case.tissue else None
    if case.brain is None:
        found = find_brain(scan, shipped_tissue(), mirror_average=tissue is None)
        return found.mask, found.tissue if tissue is None else tissue
    if tissue is None:
        labelled = segment_tissue(scan, shipped_tissue())
        tissue = None if labelled.doubt else labelled.tissue
    return read_labels(case.brain, scan), tissue


def _on_model(labels: Volume, conformed: Conformed, values: tuple[int, ...]) -> NDArray[np.float32]:
    """Fraction of each label value on the model grid, (len(values), D, H, W): one-hot first, then linear."""
    return np.stack([conformed.carry(labels.with_data((labels.data == v).astype(np.float32), "1")) for v in values])


def prepared_folder() -> Path:
    """The folder of prepared cases: $XDG_CACHE_HOME/adn/prepared, by default below ~/.cache."""
    return cache_folder("prepared")


def case_key(case: Case, grid: GridConfig) -> str:
    """Hash of all that affects the prepared case: file contents, model grid, version and weights of the network."""
    parts = [f"{PREPARE_VERSION} {grid.model_dump_json(exclude={'box'})}"]
    for kind in ("ct", "infarct", "tissue", "brain", "ignore", "seen"):
        path: Path | None = getattr(case, kind)
        parts += [f"{kind} {file_sha256(file)}" for file in (_files(path) if path else [])]
    if case.tissue is None or case.brain is None:
        parts.append(find_weights(TISSUE).sha256)
    return sha256(*parts)[:16]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return files_below(path)
    beside = path.suffix.lower() in DETACHED_SUFFIXES  # the voxels are in a second file
    return sorted(path.parent.glob(f"{path.stem}.*")) if beside else [path]


def cached_path(case: Case, grid: GridConfig, folder: Path | None = None) -> Path:
    """Path of the prepared case, whether or not it exists yet."""
    return (folder or prepared_folder()) / f"{case.name}-{case_key(case, grid)}.safetensors"


def ensure_prepared(case: Case, grid: GridConfig, folder: Path | None = None) -> tuple[Path, bool]:
    """Prepare a case unless the cache has it; returns its file and whether it was prepared just now.

    The file is never left incomplete. Raises InputError, naming the case, or OutputError.
    """
    try:
        path = cached_path(case, grid, folder)
        if path.is_file():
            return path, False
        prepared = prepare_case(case, grid)
    except InputError as error:
        raise InputError(f"Case {case.name}: {error}") from error
    with atomic_path(path, make_folder=True) as temporary:
        _write(prepared, case, temporary)
    return path, True


@dataclass(frozen=True)
class Preparation:
    """The outcome of `prepare_data`.

    made: number of cases prepared just now. kept: number found in the cache. unmasked: number without an infarct mask.
    failed: the cases that could not be prepared, and why.
    """

    folder: Path
    made: int
    kept: int
    unmasked: int
    failed: tuple[tuple[Case, Failure], ...] = ()


def prepare_data(
    data: Path, grid: GridConfig, jobs: int | None = None, progress: Progress | None = None
) -> Preparation:
    """Prepare every case of a data set that has an infarct mask, into the cache; a failing case does not stop the rest.

    data: any layout of `find_cases`. jobs: cases at a time; None: one per core. progress: called with (done, all).
    Raises InputError if no case has a mask, OutputError if the cache cannot be written.
    """
    folder, found = prepared_folder(), find_cases(data)
    cases = [case for case in found if case.infarct is not None]
    if not cases:
        raise InputError(f"there are {len(found)} scans, but none has an infarct mask to train on.", data)
    check_writable(folder)
    sweep(folder)
    made, failed = [], []
    work = partial(ensure_prepared, grid=grid, folder=folder)
    results = map_processes(work, cases, jobs, clean_up=lambda _: sweep(folder))
    for done, (case, result) in enumerate(results, start=1):
        if isinstance(result, Failure):
            failed.append((case, result))
        else:
            made.append(result[1])
        if progress:
            progress(done, len(cases))
    return Preparation(folder, sum(made), len(made) - sum(made), len(found) - len(cases), tuple(failed))


def _write(prepared: Prepared, case: Case, path: Path) -> None:
    """Write the bounding box of everything that is not empty, and the value of `infarct` outside it."""
    around = int(prepared.infarct[0, 0, 0])  # a corner is outside every head
    used = (prepared.brain > 0) | (prepared.infarct != around) | (prepared.tissue > 0)
    box = bounding_box(used)
    arrays = {
        "brain": np.rint(prepared.brain[box] * _UNIT).astype(np.uint16),
        "infarct": np.ascontiguousarray(prepared.infarct[box]),
        "tissue": np.ascontiguousarray(prepared.tissue[box]),
    }
    facts = {"shape": prepared.brain.shape, "corner": [part.start for part in box], "around": around}
    save_file(arrays, path, {"adn": json.dumps(facts), "case": case.name, "subject": case.subject})


def load_prepared(path: Path) -> Prepared:
    """Read a prepared case. Raises InputError for a damaged file."""
    try:
        with safe_open(path, "np") as file:
            facts = json.loads(file.metadata()["adn"])
            brain, infarct, tissue = (file.get_tensor(name) for name in ("brain", "infarct", "tissue"))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the prepared case is damaged ({error}); delete the file and run again.", path) from error
    box = tuple(slice(start, start + size) for start, size in zip(facts["corner"], brain.shape, strict=True))

    def whole(part: NDArray, dtype: type, around: int = 0) -> NDArray:
        result = np.full(facts["shape"], around, dtype)
        result[box] = part
        return result

    return Prepared(
        whole(brain / np.float32(_UNIT), np.float32),
        whole(infarct, np.uint8, facts["around"]),
        whole(tissue, np.uint8),
    )
