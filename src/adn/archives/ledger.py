"""The state of every scan of an archive, on disk: `archive.sqlite` in the results folder.

Its rows are the queue, the record that survives a stop, and the source of the table. One run holds it at a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adn.archives.places import File
from adn.archives.sources import Found
from adn.errors import OutputError
from adn.io.digest import sha256

LEDGER = "archive.sqlite"
WAITING, DONE, FAILED, SET_ASIDE = range(4)
ROWS_A_PART = 10_000  # rows in each part of the table
_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS scans (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE COLLATE NOCASE, scan TEXT UNIQUE, study TEXT,
    state INTEGER DEFAULT 0, line TEXT);
CREATE INDEX IF NOT EXISTS by_state ON scans (state, number);
CREATE TABLE IF NOT EXISTS files (place TEXT PRIMARY KEY, stamp TEXT, study TEXT);
CREATE INDEX IF NOT EXISTS by_study ON files (study, place);
CREATE TABLE IF NOT EXISTS stale (part INTEGER PRIMARY KEY);
"""


@dataclass(frozen=True)
class Item:
    """A scan to predict. files: where it lies, one file or all images of a study. scan: its name in the table."""

    number: int
    case: str
    scan: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """How many scans are in each state."""

    waiting: int = 0
    done: int = 0
    failed: int = 0
    set_aside: int = 0

    @property
    def found(self) -> int:
        """All of them."""
        return self.waiting + self.done + self.failed + self.set_aside


class Ledger:
    """Raises OutputError where another run holds it, or it was made with other settings."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        try:
            self._base = sqlite3.connect(path, timeout=1.0)
            self._base.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._base.execute("BEGIN EXCLUSIVE")
            self._base.commit()
            self._base.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise OutputError(
                f"cannot be used ({error}): wait until the other run here has ended, or choose another folder.",
                path,
            ) from error
        self._check({name: json.dumps(value) for name, value in settings.items()})
        self._counts = dict(self._base.execute("SELECT state, COUNT(*) FROM scans GROUP BY state").fetchall())

    def _check(self, settings: Mapping[str, str]) -> None:
        there = dict(self._base.execute("SELECT name, value FROM settings").fetchall())
        other = [name for name, value in settings.items() if there.get(name, value) != value]
        if other:
            self.close()
            raise OutputError(
                f"holds results made with another `{other[0]}`; choose another output folder, or the "
                "same options as before.",
                self.path.parent,
            )
        self._base.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", settings.items())
        self._base.commit()

    def close(self) -> None:
        """Save everything and release the ledger."""
        self._base.commit()
        self._base.close()

    def commit(self) -> None:
        """Write what is new to the disk."""
        self._base.commit()

    @property
    def counts(self) -> Counts:
        """The current counts."""
        return Counts(*(self._counts.get(state, 0) for state in (WAITING, DONE, FAILED, SET_ASIDE)))

    def add(self, found: Found) -> str | None:
        """Record a scan; returns its case's name if it is already done, else None."""
        key = f"{found.scan} {found.study}" if found.study else found.scan
        there = self._base.execute("SELECT name, state FROM scans WHERE scan = ?", (key,)).fetchone()
        if there:
            return there[0] if there[1] == DONE else None
        for name in (found.name, f"{found.name}-{sha256(key)[:8]}", f"{found.name}-{sha256(key)[:32]}"):
            put = self._base.execute(
                "INSERT OR IGNORE INTO scans (name, scan, study) VALUES (?, ?, ?)", (name, key, found.study)
            )
            if put.rowcount:
                self._count(WAITING, 1)
                break
        return None

    def again(self, case: str) -> None:
        """Put a scan whose results are gone back into the queue."""
        number, key, study, state = self._base.execute(
            "SELECT number, scan, study, state FROM scans WHERE name = ?", (case,)
        ).fetchone()
        self._base.execute("DELETE FROM scans WHERE number = ?", (number,))
        self._base.execute("INSERT INTO scans (name, scan, study) VALUES (?, ?, ?)", (case, key, study))
        self._mark_stale(number)
        self._count(state, -1)
        self._count(WAITING, 1)

    def retry_failed(self) -> None:
        """Put everything that failed or was set aside back into the queue."""
        for (number,) in self._base.execute("SELECT number FROM scans WHERE state > ?", (DONE,)).fetchall():
            self._mark_stale(number)
        self._base.execute("UPDATE scans SET state = ?, line = NULL WHERE state > ?", (WAITING, DONE))
        self._base.commit()
        self._count(WAITING, self._counts.pop(FAILED, 0) + self._counts.pop(SET_ASIDE, 0))

    def waiting(self, after: int, limit: int) -> list[Item]:
        """The next scans in the queue, in the order they were found. after: the number of the last one taken."""
        rows = self._base.execute(
            "SELECT number, name, scan, study FROM scans WHERE state = ? AND number > ? ORDER BY number LIMIT ?",
            (WAITING, after, limit),
        ).fetchall()
        return [self._item(*row) for row in rows]

    def _item(self, number: int, case: str, key: str, study: str) -> Item:
        if not study:
            return Item(number, case, key, (key,))
        rows = self._base.execute("SELECT place FROM files WHERE study = ? ORDER BY place", (study,)).fetchall()
        return Item(number, case, key.removesuffix(f" {study}"), tuple(place for (place,) in rows))

    def finish(self, number: int, state: int, row: Mapping[str, Any]) -> None:
        """Record a scan's outcome. row: its row of the table."""
        self._base.execute("UPDATE scans SET state = ?, line = ? WHERE number = ?", (state, json.dumps(row), number))
        self._mark_stale(number)
        self._count(WAITING, -1)
        self._count(state, 1)

    def _count(self, state: int, by: int) -> None:
        self._counts[state] = self._counts.get(state, 0) + by

    def _mark_stale(self, number: int) -> None:
        self._base.execute("INSERT OR IGNORE INTO stale VALUES (?)", (number // ROWS_A_PART,))

    def stale_parts(self) -> list[int]:
        """Parts of the table that lag behind the ledger."""
        return [part for (part,) in self._base.execute("SELECT part FROM stale ORDER BY part").fetchall()]

    def parts(self) -> set[int]:
        """Parts of the table that should exist."""
        last = self._base.execute("SELECT MAX(number) FROM scans WHERE state > ?", (WAITING,)).fetchone()[0]
        return set() if last is None else set(range(last // ROWS_A_PART + 1))

    def rows(self, part: int) -> list[dict[str, Any]]:
        """The rows of one part of the table."""
        first = part * ROWS_A_PART
        lines = self._base.execute(
            "SELECT line FROM scans WHERE number >= ? AND number < ? AND line IS NOT NULL ORDER BY number",
            (first, first + ROWS_A_PART),
        ).fetchall()
        return [json.loads(line) for (line,) in lines]

    def part_written(self, part: int) -> None:
        """Record that a part of the table matches the ledger."""
        self._base.execute("DELETE FROM stale WHERE part = ?", (part,))

    def set_aside(self) -> Iterator[str]:
        """The names of cases whose process died twice."""
        for (name,) in self._base.execute("SELECT name FROM scans WHERE state = ? ORDER BY number", (SET_ASIDE,)):
            yield name

    def known(self, file: File) -> bool:
        """As `sources.Studies`."""
        found = self._base.execute("SELECT stamp FROM files WHERE place = ?", (file.place,)).fetchone()
        return found is not None and found[0] == file.stamp

    def keep(self, file: File, study: str) -> None:
        """As `sources.Studies`."""
        self._base.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (file.place, file.stamp, study))

    def studies(self) -> Iterator[tuple[str, str, str]]:
        """As `sources.Studies`."""
        yield from self._base.execute(
            "SELECT study, MIN(place), MAX(place) FROM files WHERE study != '' GROUP BY study ORDER BY study"
        )
