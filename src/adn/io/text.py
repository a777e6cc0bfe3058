"""Reads tables and JSON that people write, whatever program saved them and in whatever encoding."""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from adn.errors import InputError

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_SEPARATORS = ",;\t"  # German and French spreadsheets write semicolons; UTF-16 exports use tabs
_OLD = "adn-latin-1"


class Row(NamedTuple):
    """One row of a table. number: line number in the file (the header is line 1). cells: stripped values by column."""

    number: int
    cells: dict[str, str]


class Table(NamedTuple):
    """columns: names in lower case, stripped of surrounding spaces."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(path: Path) -> Table:
    """Read a CSV separated by commas, semicolons or tabs, in UTF-8, UTF-16 or Latin-1, with or without a BOM.

    Empty lines are skipped; missing cells are ''. Raises InputError, naming the file, if it is not a table.
    """
    columns, rows = table_rows(path)
    return Table(columns, tuple(rows))


def table_rows(path: Path) -> tuple[tuple[str, ...], Iterator[Row]]:
    """The columns and rows of `read_table`, for tables of any length: rows are read lazily."""
    rows = _lines(path)
    return next(rows), rows  # type: ignore[return-value] - the first item is the header


def _lines(path: Path) -> Iterator[Any]:
    """Yield the columns, then each row."""
    try:
        with path.open("rb") as stream:
            head = stream.read(4)
        encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
        with path.open(encoding=encoding, errors=_OLD if encoding == "utf-8" else "strict", newline="") as lines:
            first = lines.readline().removeprefix("\ufeff")
            while first and not first.strip("\r\n"):
                first = lines.readline()
            separator = max(_SEPARATORS, key=first.count)
            reader = csv.reader(itertools.chain([first] if first else [], lines), delimiter=separator)
            columns = tuple(name.strip().lower() for name in next(reader, []))
            yield columns
            yield from _rows(reader, columns)
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"needed a table (CSV), but it cannot be read ({error}); save it again.", path) from error


def _rows(reader: Any, columns: tuple[str, ...]) -> Iterator[Row]:
    for cells in reader:
        given = [cell.strip() for cell in cells]
        if any(given):
            yield Row(reader.line_num, dict.fromkeys(columns, "") | dict(zip(columns, given, strict=False)))


def read_json(path: Path) -> Any:
    """Read JSON in UTF-8 or UTF-16, with or without a byte order mark. Raises InputError, naming the file."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"needed JSON, but it cannot be read as such ({error}); save it again.", path) from error


def decoded(content: bytes) -> str:
    """Decode bytes, dropping a byte order mark. Bytes that are not UTF-8 are read as Windows code page 1252."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, _OLD if encoding == "utf-8" else "strict")
    return content.decode("utf-8", _OLD)


def letters(name: str) -> str:
    """A file name as printable text if its bytes are not UTF-8; any other name unchanged."""
    return name if name.isascii() else decoded(os.fsencode(name))


def found_path(folder: Path, text: str) -> Path | None:
    """The path that a table names, relative to its folder; None if there is no such file.

    A file whose name on disk is not UTF-8 is found by its code page 1252 bytes.
    """
    for name in (text, _as_bytes(text)):
        try:
            if name and (folder / name).exists():
                return folder / name
        except (OSError, ValueError):  # too long, or contains a zero byte: not a file name
            continue
    return None


def _as_bytes(text: str) -> str:
    try:
        return os.fsdecode(text.encode("cp1252"))
    except UnicodeEncodeError:
        return ""


def _latin_1(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: decode each byte that is not UTF-8 as one letter."""
    assert isinstance(error, UnicodeDecodeError)
    letters = error.object[error.start : error.end]
    return "".join(bytes([one]).decode("cp1252", "replace").replace("\ufffd", chr(one)) for one in letters), error.end


codecs.register_error(_OLD, _latin_1)
