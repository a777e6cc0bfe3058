"""The one writer: files are complete or absent, only adn's own are replaced, and leftovers of a kill are swept up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adn.errors import OutputError
from adn.io.atomic import (
    atomic_folder,
    atomic_path,
    check_writable,
    move_folder,
    remove_folder,
    scratch_folder,
    sweep,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from adn.io import atomic
target = Path(sys.argv[2])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "replace":
    atomic._remove, real = die, atomic._remove
    atomic.Path.rename, rename = lambda a, b: die() if "partial" in a.name else rename(a, b), atomic.Path.rename
with (atomic.atomic_path if sys.argv[1] == "file" else atomic.atomic_folder)(
    target, **({} if sys.argv[1] == "file" else {"marker": "done", "overwrite": True})
) as partial:
    (partial if sys.argv[1] == "file" else partial / "done").write_text("new")
    if sys.argv[1] != "replace":
        die()
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def killed_while_writing(kind, target):
    assert subprocess.run([sys.executable, "-c", KILLED, kind, str(target)], check=False).returncode == -9


def filled(folder, **files):
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_a_file_is_moved_into_place_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert (path.read_text(), names(tmp_path)) == ("new", ["a.txt"])


def test_a_missing_folder_is_an_error_or_created(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with pytest.raises(OutputError, match="does not exist"), atomic_path(path) as temporary:
        temporary.write_text("x")
    with atomic_path(path, make_folder=True) as temporary:
        temporary.write_text("x")
    assert path.read_text() == "x"


def test_only_an_earlier_result_is_replaced(tmp_path):
    mine = filled(tmp_path / "mine", **{"notes.txt": "keep"})
    more = filled(tmp_path / "more", done="1", ct="the scan")
    for folder, options in ((mine, {"marker": "done"}), (more, {"marker": "done", "only": ["done"]}), (mine, {})):
        with pytest.raises(OutputError, match="not overwritten"), atomic_folder(folder, overwrite=True, **options):
            pass
    assert (names(mine), names(more)) == (["notes.txt"], ["ct", "done"])
    with atomic_folder(more, marker="done", overwrite=True) as partial:
        (partial / "done").write_text("2")
    assert (names(more), names(tmp_path)) == (["done"], ["mine", "more"])


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_leftovers_of_a_killed_process_are_removed_on_the_next_write(tmp_path, kind):
    killed_while_writing(kind, tmp_path / "a")
    killed_while_writing(kind, tmp_path / "b")
    assert len(names(tmp_path)) == 2
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("x")
    left, written = names(tmp_path)
    assert (left.startswith(".b.partial-"), written) == (True, "a")
    assert (sweep(tmp_path), names(tmp_path)) == (1, ["a"])


def test_a_result_is_restored_if_its_replacement_was_killed(tmp_path):
    filled(tmp_path / "case", done="old")
    killed_while_writing("replace", tmp_path / "case")
    assert not (tmp_path / "case").exists()
    assert sweep(tmp_path, "case") == 2
    assert (names(tmp_path), (tmp_path / "case" / "done").read_text()) == (["case"], "old")


def test_files_of_live_processes_are_left_alone(tmp_path):
    with atomic_folder(tmp_path / "a") as partial, scratch_folder(tmp_path) as scratch:
        other = partial.name.replace(str(os.getpid()), str(os.getppid()))
        elsewhere = ".c.partial-1-0000000000"  # made on a machine of another name
        for name in (other, elsewhere, ".a.partial-1", "a.partial-1-0000000000"):
            (tmp_path / name).mkdir()
        assert sweep(tmp_path) == 0
        assert partial.is_dir()
        assert scratch.is_dir()
    (tmp_path / "a").rmdir()
    assert sweep(tmp_path, owned=True) == 2
    assert names(tmp_path) == [".a.partial-1", "a.partial-1-0000000000"]
    assert sweep(tmp_path / "absent") == 0


def test_files_of_other_users_are_left_alone(tmp_path, monkeypatch):
    killed_while_writing("folder", tmp_path / "case")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert sweep(tmp_path) == 0
    monkeypatch.undo()
    assert sweep(tmp_path) == 1


def test_leftovers_of_a_kill_in_the_temporary_folder_are_removed_by_the_next_run(tmp_path, monkeypatch):
    program = (
        "import os; from adn.io import atomic; a = atomic.scratch_folder(); a.__enter__(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"TMPDIR": str(tmp_path)}, check=False)
    assert len(names(tmp_path)) == 1
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder() as folder:
        assert names(tmp_path) == [folder.name]
    assert names(tmp_path) == []


def test_scratch_folders_are_private_and_folders_can_be_moved(tmp_path):
    with scratch_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        filled(folder / "case", a="1")
        move_folder(folder / "case", tmp_path / "case")
    assert names(tmp_path) == ["case"]
    with scratch_folder() as folder:
        (folder / "x").write_text("x")
    assert not folder.exists()
    with pytest.raises(FileExistsError):
        move_folder(filled(tmp_path / "b"), tmp_path / "case")
    remove_folder(tmp_path / "case")
    remove_folder(tmp_path / "case")
    check_writable(tmp_path / "not" / "there")
    assert names(tmp_path) == ["b"]


def test_a_folder_removed_by_another_process_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "case").mkdir()
    rename = Path.rename

    def late(self, target):
        self.rmdir()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    remove_folder(tmp_path / "case")
    assert list(tmp_path.iterdir()) == []
