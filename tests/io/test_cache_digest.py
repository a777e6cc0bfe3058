"""One cache folder, one digest."""

import hashlib
from pathlib import Path

import pytest

from adn.io.cache import cache_folder
from adn.io.digest import file_sha256, sha256, sha256_bytes


@pytest.mark.parametrize("value", [None, "", "relative/folder"])
def test_only_an_absolute_path_in_the_variable_moves_the_cache(monkeypatch, tmp_path, value):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_folder() == tmp_path / ".cache" / "adn"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder("prepared") == tmp_path / "x" / "adn" / "prepared"


def test_parts_are_hashed_in_sequence(tmp_path):
    whole = hashlib.sha256("größe und mehr".encode())
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes("größe ".encode())
    second.write_bytes(b"und mehr")
    assert sha256("größe ", b"und ", "mehr") == file_sha256(first, second) == whole.hexdigest()
    assert sha256_bytes("größe und mehr") == whole.digest()
