"""Masks that a reader corrected, saved beside the original as new versions; the original is never overwritten.

A version is two files in the result folder, `corrected_<n>.nii.gz` (0 or 1, on the scan's grid) and
`corrected_<n>.json` (its volumes and ASPECTS); saving the first also puts `scan.nii.gz` there, so that the folder can
be exported for training.
"""

from __future__ import annotations

import json
import re
import zlib
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.answers import Aspects
from adn.findings.aspects import aspects
from adn.findings.measure import measure
from adn.findings.twins import Twins, marked_anew, twins_of
from adn.findings.water import block_noise_hu
from adn.io import read_volume, write_volume
from adn.io.atomic import atomic_path
from adn.io.digest import file_sha256
from adn.report.folder import SUFFIX, read_result, read_scan
from adn.results import DISCLAIMER, RESULT_FILE
from adn.server.models import Correction, LiveScore, LostPoint
from adn.server.problems import ProblemError
from adn.space.geometry import Grid
from adn.space.volume import Volume

INFARCT, MASK, SCAN = f"infarct{SUFFIX}", f"brain_mask{SUFFIX}", f"scan{SUFFIX}"
_VERSION = re.compile(r"corrected_(\d+)\.json")


def corrections(results: Path) -> list[Correction]:
    """The versions in a result folder, oldest first."""
    numbers = sorted(int(match[1]) for path in results.iterdir() if (match := _VERSION.fullmatch(path.name)))
    return [Correction.model_validate_json((results / f"corrected_{number}.json").read_bytes()) for number in numbers]


def save_correction(results: Path, packed: bytes) -> Correction:
    """Save a corrected mask as the next version. packed: see `unpack`. Raises ProblemError 413, 422; OSError."""
    result, original = read_result(results), read_volume(results / INFARCT)
    drawn = Volume(unpack(packed, original.grid.reoriented("RAS").shape), original.grid.reoriented("RAS"), "label")
    mask = drawn.reoriented("SPL")
    hu, brain, aligned = _placed(results, result)
    found = measure(mask.data, hu, brain, aligned)
    number = max((one.number for one in corrections(results)), default=0) + 1
    file = f"corrected_{number}{SUFFIX}"
    score = _aspects(result, twins_of(hu, brain, mask.data, aligned))
    correction = Correction(
        number=number,
        file=file,
        saved=datetime.now(UTC).replace(microsecond=0),
        volume_ml=round(found.volume_ml, 3),
        left_ml=round(found.left_ml, 3),
        right_ml=round(found.right_ml, 3),
        side=found.side,
        aspects=None if score is None else (score.left, score.right),
        original_sha256=file_sha256(results / INFARCT),
    )
    if not (results / SCAN).exists():
        write_volume(_whole(read_scan(results)), results / SCAN)
    write_volume(mask.reoriented(original.grid.axes), results / file)
    with atomic_path(results / f"corrected_{number}.json") as temporary:  # last: only now does the version count
        content = json.loads(correction.model_dump_json()) | {"disclaimer": DISCLAIMER}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return correction


def score_mask(results: Path, packed: bytes) -> LiveScore:
    """ASPECTS of a mask that is being painted; nothing is kept. packed: see `unpack`. Raises ProblemError 413, 422."""
    ground = _ground(results, (results / RESULT_FILE).stat().st_mtime_ns)
    painted = Volume(unpack(packed, ground.grid.shape), ground.grid, "label").reoriented("SPL")
    score = _aspects(ground.result, marked_anew(ground.twins, painted.data)) if ground.twins else None
    if score is None:
        return LiveScore()
    lost = [LostPoint(region=one.region, side=one.side) for one in score.regions if one.affected]
    return LiveScore(aspects=(score.left, score.right), lost=lost)


class _Ground(NamedTuple):
    """What all masks of a case are scored on. grid: RAS. twins: None if ASPECTS was not answered."""

    result: dict[str, Any]
    grid: Grid
    twins: Twins | None


@lru_cache(maxsize=2)  # readers score many masks of one case in a row
def _ground(results: Path, changed_ns: int) -> _Ground:
    """changed_ns: when the result was written, so that a new result is read again."""
    result = read_result(results)
    grid = read_volume(results / INFARCT).grid.reoriented("RAS")
    if not _scored(result):
        return _Ground(result, grid, None)
    hu, brain, aligned = _placed(results, result)
    return _Ground(result, grid, twins_of(hu, brain, np.zeros(hu.data.shape, np.uint8), aligned))


def _placed(results: Path, result: dict[str, Any]) -> tuple[Volume, Volume, NDArray[np.float64]]:
    """HU and brain mask, SPL, and array index → LPS mm in the aligned frame."""
    stored = read_volume(results / MASK)
    brain, hu = stored.reoriented("SPL"), read_scan(results).reoriented("SPL")
    stored_from_spl = np.linalg.inv(stored.grid.affine) @ brain.grid.affine
    return hu, brain, np.array(result["aligned_from_scan"]) @ stored_from_spl


def unpack(packed: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A mask (x, y, z), 0 or 1. packed: gzip of one byte per voxel in RAS order, x fastest, as viewers hold them."""
    size = int(np.prod(shape))
    try:
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        data = reader.decompress(packed, size + 1)
    except zlib.error as error:
        raise ProblemError(422, "A corrected mask must be sent as gzip, but this is not gzip.") from error
    if len(data) != size:
        raise ProblemError(422, f"A corrected mask needs one byte for each of the scan's {size} voxels.")
    mask = np.frombuffer(data, np.uint8).reshape(shape[::-1]).transpose(2, 1, 0)
    if mask.max(initial=0) > 1:
        raise ProblemError(422, "A corrected mask may hold only 0 and 1.")
    return mask


def _scored(result: dict[str, Any]) -> bool:
    """Whether ASPECTS was answered for the original."""
    answered = (result.get("answers") or {}).get("aspects", {}).get("left")
    return result.get("mni_from_aligned") is not None and isinstance(answered, int)


def _aspects(result: dict[str, Any], twins: Twins) -> Aspects | None:
    """ASPECTS of both sides, if it was answered for the original."""
    if not _scored(result):
        return None
    score = aspects(twins, np.array(result["mni_from_aligned"]), block_noise_hu(twins))
    return score if isinstance(score, Aspects) else None


def _whole(scan: Volume) -> Volume:
    """The scan rounded to whole HU, as scanners store them."""
    return scan.with_data(np.rint(scan.data).astype(np.int16))
