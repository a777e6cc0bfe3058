"""One table of an archive's results as Parquet: a folder `results.parquet` of parts, made from the ledger.

Each part holds the lines of 10,000 scans by number; one that has changed is written anew as a whole and takes the
other's place. So a case can be there once only, and a reader never meets half a part.
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
    """Write those parts that are absent or older than the ledger. Raises OutputError."""
    folder = out / TABLE
    folder.mkdir(parents=True, exist_ok=True)
    absent = {part for part in ledger.parts() if not _part(folder, part).exists()}
    for part in sorted({*ledger.stale_parts(), *absent}):
        write_part(ledger.rows(part), _part(folder, part))
        ledger.part_written(part)
    ledger.commit()


def write_part(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write lines of `results.csv` as Parquet, with the same columns; numbers as numbers."""
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
