"""Tables and JSON as any spreadsheet saves them, and paths that are not UTF-8."""

import os

import pytest

from adn.errors import InputError
from adn.io.text import Row, decoded, found_path, read_json, read_table

ROW = {"name": "Müller", "ct": "x.nii"}


def written(folder, content):
    path = folder / "cases.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_same_table_is_read_from_every_encoding(encoding, separator, newline, tmp_path):
    lines = [["Name", " CT "], ["Müller", " x.nii"], ["", ""], [], ["", "y.nii"]]
    text = newline.join(separator.join(cells) for cells in lines)
    table = read_table(written(tmp_path, text.encode(encoding)))
    assert table.columns == ("name", "ct")
    assert table.rows == (Row(2, ROW), Row(5, {"name": "", "ct": "y.nii"}))


def test_cells_may_be_quoted_missing_or_too_many(tmp_path):
    table = read_table(written(tmp_path, b'name,ct\n"a,b","c\nd"\ne\nf,g,h\n'))
    assert [row.cells for row in table.rows] == [
        {"name": "a,b", "ct": "c\nd"}, {"name": "e", "ct": ""}, {"name": "f", "ct": "g"}
    ]  # fmt: skip
    assert read_table(written(tmp_path, b"")) == ((), ())


@pytest.mark.parametrize("content", [b"name,ct\na," + b"a" * 140_000, b"\xff\xfen", None])
def test_a_file_that_is_not_a_table_is_refused(content, tmp_path):
    path = tmp_path / "absent.csv" if content is None else written(tmp_path, content)
    with pytest.raises(InputError, match="needed a table"):
        read_table(path)


def test_a_latin_1_letter_in_a_utf_8_table_is_handled():
    assert decoded("é".encode() + b"\xfc\x80") == "éü€"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_is_read_with_and_without_a_byte_order_mark(encoding, tmp_path):
    (tmp_path / "a.json").write_bytes('{"a": "ü"}'.encode(encoding))
    assert read_json(tmp_path / "a.json") == {"a": "ü"}


@pytest.mark.parametrize("content", [b"{", b"\xfc", b"[" * 200_000])
def test_invalid_json_is_refused(content, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match="needed JSON"):
        read_json(tmp_path / "a.json")


def test_file_names_are_matched_as_text_or_bytes(tmp_path):
    old = tmp_path / os.fsdecode(b"d\xfcr")
    for path in (old, tmp_path / "für"):
        path.touch()
    assert found_path(tmp_path, "dür") == old
    assert found_path(tmp_path, "für") == tmp_path / "für"
    assert found_path(tmp_path, str(tmp_path / "für")) == tmp_path / "für"
    for name in ("", "absent", "a" * 5000, "a\0b", "患者"):
        assert found_path(tmp_path, name) is None
