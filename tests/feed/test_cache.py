"""Prepared cases: the same numbers from the cache, looked up by content, remade on changes, complete or absent."""

import shutil

import numpy as np
import pytest

from adn.datasets.layouts import find_cases
from adn.errors import InputError
from adn.feed import cache
from adn.feed.cache import cached_path, case_key, ensure_prepared, load_prepared, prepare_case
from adn.recipes import load_recipe
from damaged import patient, write_patient

GRID = load_recipe("tiny").grid


@pytest.fixture
def case(tmp_path):
    write_patient(tmp_path / "data" / "p")
    return find_cases(tmp_path / "data")[0]


def test_the_cache_returns_what_was_prepared(case, tmp_path):
    fresh = prepare_case(case, GRID)
    path, made = ensure_prepared(case, GRID, tmp_path / "cache")
    assert made
    kept = load_prepared(path)
    assert np.abs(kept.brain - fresh.brain).max() <= 0.5 / 65535 + 1e-7
    assert np.array_equal(kept.infarct, fresh.infarct)
    assert np.array_equal(kept.tissue, fresh.tissue)
    assert kept.infarct.sum() * np.prod(GRID.spacing_mm) / 1000 == pytest.approx(4 / 3 * np.pi * 1.7**3, rel=0.15)
    assert path.stat().st_size < fresh.brain.nbytes
    assert ensure_prepared(case, GRID, tmp_path / "cache") == (path, False)


def test_the_key_depends_only_on_content_and_grid(case, tmp_path, monkeypatch):
    key = case_key(case, GRID)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    (copied,) = find_cases(tmp_path / "copy")
    assert case_key(copied, GRID) == key
    assert case_key(case, GRID.model_copy(update={"box": None})) == key
    assert case_key(case, GRID.model_copy(update={"window_hu": (0.0, 100.0)})) != key
    changed = patient()["infarct"]
    write_patient(tmp_path / "copy" / "p", infarct=changed.with_data(np.roll(changed.data, 1, 2)))
    assert case_key(copied, GRID) != key
    monkeypatch.setattr(cache, "PREPARE_VERSION", 999)
    assert case_key(case, GRID) != key


def test_an_interruption_leaves_nothing(case, tmp_path, monkeypatch):
    folder = tmp_path / "cache"

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cache, "_write", stop)
        with pytest.raises(KeyboardInterrupt):
            ensure_prepared(case, GRID, folder)
    assert list(folder.iterdir()) == []


def test_the_error_names_a_case_without_mask_or_with_another_grid(tmp_path):
    mask = patient()["infarct"]
    write_patient(tmp_path / "bare", infarct=None)
    write_patient(tmp_path / "odd", infarct=mask.with_data(mask.data * 2))
    bare, odd = find_cases(tmp_path)
    with pytest.raises(InputError, match=r"Case bare: .*needs an infarct mask"):
        ensure_prepared(bare, GRID, tmp_path / "cache")
    with pytest.raises(InputError, match=r"Case odd: .*holds 0, 2"):
        ensure_prepared(odd, GRID, tmp_path / "cache")


def test_a_damaged_prepared_case_says_to_delete_it(case, tmp_path):
    path = cached_path(case, GRID, tmp_path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="delete"):
        load_prepared(path)
