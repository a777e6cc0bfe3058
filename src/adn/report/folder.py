"""A result folder of `adn predict`, read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adn.errors import InputError
from adn.io import read_volume
from adn.results import RESULT_FILE
from adn.space.volume import Volume

SUFFIX = ".nii.gz"
SCAN_PARTS = ("salient", "compensated", "asymmetry_total")  # the scan can be rebuilt from these


def read_result(results: Path) -> dict[str, Any]:
    """The content of `result.json`. Raises InputError where there is no valid one."""
    try:
        return json.loads((results / RESULT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"needed a result folder of adn predict, but its {RESULT_FILE} cannot be read; predict the scan again.",
            results,
        ) from error


def read_scan(results: Path) -> Volume:
    """The scan that was predicted, HU: as kept beside the results, or else rebuilt from their maps."""
    kept = results / f"scan{SUFFIX}"
    return read_volume(kept) if kept.is_file() else rebuilt_scan(results)


def rebuilt_scan(results: Path) -> Volume:
    """X = (X̂ + X̃ − A) / 2, as X̂ = X + Q, X̃ = X + P and A = P + Q; for bright lesions, + A instead."""
    salient, compensated, total = (read_volume(results / f"{part}{SUFFIX}") for part in SCAN_PARTS)
    sign = -1.0 if read_result(results).get("polarity") == "bright" else 1.0
    return salient.with_data((salient.data + compensated.data - sign * total.data) / 2)
