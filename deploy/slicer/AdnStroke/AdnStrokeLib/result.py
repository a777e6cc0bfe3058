"""What adn wrote about a scan, in lines that a person reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """One result folder. doubts: why the scan cannot be judged, and what else is to be known of it.

    finding: volume and side, or why there is none. assessable: whether the scan can be judged at all.
    """

    folder: Path
    assessable: bool
    doubts: tuple[str, ...]
    finding: str
    disclaimer: str

    @property
    def lines(self) -> list[str]:
        """What to show, in the order in which it is to be read: doubts stand before the finding."""
        finding = f"{self.finding}."
        found = [*self.doubts, finding] if self.assessable else [finding, *self.doubts]
        return [*found, self.disclaimer]

    def file(self, name: str) -> Path:
        """One of its files, such as 'infarct.nii.gz'."""
        return self.folder / name


def read_result(folder: Path) -> Result:
    """Read `result.json`. Raises ValueError where it is not there or not adn's."""
    path = folder / "result.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        interval = values["volume_interval_ml"]
        finding = values["verdict"].rstrip(".")
        if interval and values["side"] != "none" and values["assessable"]:
            finding += f" (80 % interval {interval[0]:.1f} to {interval[1]:.1f} mL)"
        return Result(folder, values["assessable"], tuple(values["warnings"]), finding, values["disclaimer"])
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"adn ended without a result that can be read ({path}: {error}).") from error
