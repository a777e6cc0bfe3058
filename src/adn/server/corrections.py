"""Masks that a reader corrected: kept beside the original as a new version, never over it.

A version is two files in the result folder, `corrected_<n>.nii.gz` (0 or 1, on the scan's grid) and
`corrected_<n>.json` (its volumes); the first that is saved also puts `scan.nii.gz` there, so that the folder can be
exported for training.
"""

from __future__ import annotations

import json
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adn.answers import Aspects
from adn.findings.aspects import aspects
from adn.findings.measure import measure
from adn.findings.twins import twins_of
from adn.findings.water import block_noise_hu
from adn.io import read_volume, write_volume
from adn.io.atomic import atomic_path
from adn.io.digest import file_sha256
from adn.report.folder import SUFFIX, read_result, read_scan
from adn.results import DISCLAIMER
from adn.server.models import Correction
from adn.server.problems import ProblemError
from adn.space.volume import Volume

INFARCT, MASK, SCAN = f"infarct{SUFFIX}", f"brain_mask{SUFFIX}", f"scan{SUFFIX}"
_VERSION = re.compile(r"corrected_(\d+)\.json")


def corrections(results: Path) -> list[Correction]:
    """The versions that a result folder holds, oldest first."""
    numbers = sorted(int(match[1]) for path in results.iterdir() if (match := _VERSION.fullmatch(path.name)))
    return [Correction.model_validate_json((results / f"corrected_{number}.json").read_bytes()) for number in numbers]


def save_correction(results: Path, packed: bytes) -> Correction:
    """Keep a corrected mask as the next version. packed: see `unpack`. Raises ProblemError 413, 422; OSError."""
    result, original = read_result(results), read_volume(results / INFARCT)
    drawn = Volume(unpack(packed, original.grid.reoriented("RAS").shape), original.grid.reoriented("RAS"), "label")
    mask, scan = drawn.reoriented("SPL"), read_scan(results)
    brain = read_volume(results / MASK).reoriented("SPL")
    stored_from_spl = np.linalg.inv(original.grid.affine) @ mask.grid.affine
    aligned, hu = np.array(result["aligned_from_scan"]) @ stored_from_spl, scan.reoriented("SPL")
    found = measure(mask.data, hu, brain, aligned)
    number = max((one.number for one in corrections(results)), default=0) + 1
    file = f"corrected_{number}{SUFFIX}"
    correction = Correction(
        number=number,
        file=file,
        saved=datetime.now(UTC).replace(microsecond=0),
        volume_ml=round(found.volume_ml, 3),
        left_ml=round(found.left_ml, 3),
        right_ml=round(found.right_ml, 3),
        side=found.side,
        aspects=_aspects(result, hu, brain, mask.data, aligned),
        original_sha256=file_sha256(results / INFARCT),
    )
    if not (results / SCAN).exists():
        write_volume(_whole(scan), results / SCAN)
    write_volume(mask.reoriented(original.grid.axes), results / file)
    with atomic_path(results / f"corrected_{number}.json") as temporary:  # last: it makes the version count
        content = json.loads(correction.model_dump_json()) | {"disclaimer": DISCLAIMER}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return correction


def unpack(packed: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A mask (x, y, z), 0 or 1. packed: gzip of a byte for each voxel in RAS order, x fastest, as viewers hold them."""
    size = int(np.prod(shape))
    try:
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        data = reader.decompress(packed, size + 1)
    except zlib.error as error:
        raise ProblemError(422, "A corrected mask comes as gzip, but this is none.") from error
    if len(data) != size:
        raise ProblemError(422, f"A corrected mask has a byte for each of the scan's {size} voxels, but this does not.")
    mask = np.frombuffer(data, np.uint8).reshape(shape[::-1]).transpose(2, 1, 0)
    if mask.max(initial=0) > 1:
        raise ProblemError(422, "A corrected mask holds 0 and 1 alone.")
    return mask


def _aspects(
    result: dict[str, Any], hu: Volume, brain: Volume, infarct: NDArray[np.uint8], aligned: NDArray[np.float64]
) -> tuple[int, int] | None:
    """ASPECTS of both sides, (left, right), where it was answered for the original, too."""
    matrix = result.get("mni_from_aligned")
    if matrix is None or not isinstance((result.get("answers") or {}).get("aspects", {}).get("left"), int):
        return None
    twins = twins_of(hu, brain, infarct, aligned)
    score = aspects(twins, np.array(matrix), block_noise_hu(twins))
    return (score.left, score.right) if isinstance(score, Aspects) else None


def _whole(scan: Volume) -> Volume:
    """Whole HU, as scanners have them."""
    return scan.with_data(np.rint(scan.data).astype(np.int16))
