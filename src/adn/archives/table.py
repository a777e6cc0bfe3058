"""An archive's results as one Parquet table: a folder `results.parquet` of parts, made from the ledger.

Each part holds the rows of 10,000 scans, by number; a part that has changed is rewritten and replaced as a whole. So
every case appears only once, and readers never see half a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adn.archives.ledger import Ledger
from adn.io.atomic import atomic_path
from adn.report.numbers import CSV_COLUMNS, CSV_NUMBERS
from adn.results import DISCLAIMER

TABLE = "results.parquet"


def update_table(ledger: Ledger, out: Path) -> None:
    """Write the parts that are missing or out of date. Raises OutputError."""
    folder = out / TABLE
    folder.mkdir(parents=True, exist_ok=True)
    absent = {part for part in ledger.parts() if not _part(folder, part).exists()}
    for part in sorted({*ledger.stale_parts(), *absent}):
        write_part(ledger.rows(part), _part(folder, part))
        ledger.part_written(part)
    ledger.commit()


def write_part(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows of `results.csv` as Parquet, with the same columns; numbers stay numbers."""
    import pyarrow
    from pyarrow import parquet

    kinds = {name: pyarrow.float64() if name in CSV_NUMBERS else pyarrow.string() for name in CSV_COLUMNS}
    columns = {
        name: pyarrow.array([_cell({"disclaimer": DISCLAIMER, **row}.get(name), name) for row in rows], kind)
        for name, kind in kinds.items()
    }
    with atomic_path(path) as partial:
        parquet.write_table(pyarrow.table(columns, schema=pyarrow.schema(list(kinds.items()))), partial)


def _part(folder: Path, part: int) -> Path:
    return folder / f"part-{part:06d}.parquet"


def _cell(value: Any, column: str) -> Any:
    if value is None:
        return None
    return float(value) if column in CSV_NUMBERS else str(value).encode("utf-8", "backslashreplace").decode()
