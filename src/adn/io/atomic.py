"""Files and folders that appear complete or not at all. No other module renames or removes files or folders, or makes
temporary ones.

While it is being written, a file has a hidden name beside its target, `.<target>.partial-<process>-<machine><random>`.
By that name `sweep` recognises and removes what a killed process left; this also happens whenever the same target is
written again.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adn.errors import OutputError
from adn.io.digest import sha256


def _machine() -> str:
    """Four hexadecimal digits for the machine or container within which process numbers are unique."""
    try:
        container = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        container = ""
    return sha256(f"{platform.node()} {container}")[:4]


_MACHINE = _machine()
_HIDDEN = re.compile(r"\.(?P<name>.+)\.(?P<kind>partial|old|gone)-(?P<process>\d+)-(?P<machine>[0-9a-f]{4})[0-9a-f]{6}")
_at_work: set[str] = set()  # hidden names that this process is writing at the moment


@contextmanager
def atomic_path(path: Path | str, *, make_folder: bool = False) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`; at the end of the block that file replaces `path`.

    If the block ends early (an error, Ctrl-C), the temporary file is removed and `path` stays as it was. Raises
    OutputError if the folder is absent (without `make_folder`) or not writable, or the disk is full.
    """
    path = Path(path)
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        with _hidden(path, "partial") as temporary:
            yield temporary
            os.replace(temporary, path)
    except OSError as error:
        raise OutputError(explain_write_error(error, path)) from error


@contextmanager
def atomic_folder(
    target: Path, *, marker: str = "", only: Collection[str] = (), overwrite: bool = False
) -> Iterator[Path]:
    """Yield a hidden folder beside `target`; at the end of the block it is renamed to `target` as a whole.

    If the block ends early, nothing is left. overwrite: replace an earlier result, recognised by its file `marker` and,
    if `only` is given, by holding nothing but files of these names. Raises OutputError if `target` already exists, or
    the disk is full or not writable.
    """
    sweep(target.parent, target.name)
    check_folder_free(target, marker=marker, only=only, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _hidden(target, "partial") as partial:
            partial.mkdir()
            yield partial
            # another run may have created it meanwhile
            check_folder_free(target, marker=marker, only=only, overwrite=overwrite)
            _replace_folder(partial, target)
    except OSError as error:
        # The error names the hidden folder: raise it with the user's name for the folder instead.
        reason = error.__cause__ if isinstance(error, OutputError) else error
        if not isinstance(reason, OSError):
            raise
        raise OutputError(explain_write_error(reason, target)) from reason


@contextmanager
def scratch_folder(inside: Path | None = None) -> Iterator[Path]:
    """Yield a new working folder, readable by its owner only, removed with its content at the end of the block.

    inside: where to create it, so that its content can be moved from there (`move_folder`); None: the system's
    temporary folder.
    """
    target = Path(tempfile.gettempdir()) / "adn" if inside is None else inside / "scratch"
    with _hidden(target, "partial") as folder:
        folder.mkdir(mode=0o700)
        yield folder


def move_folder(source: Path, target: Path) -> None:
    """Rename a folder atomically on the same disk. Raises FileExistsError if `target` exists."""
    if target.exists():
        raise FileExistsError(errno.EEXIST, "is there already", str(target))
    source.rename(target)


def move_file(source: Path, target: Path) -> None:
    """Rename a file atomically on the same disk, replacing `target` if it exists."""
    os.replace(source, target)


def link_file(source: Path, target: Path) -> None:
    """Hard-link a file on the same disk. Raises FileExistsError if `target` exists."""
    os.link(source, target)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file into a folder that nobody reads yet (`scratch_folder`, `atomic_folder`) and flush it to disk."""
    shutil.copyfile(source, target)
    with target.open("r+b") as file:
        os.fsync(file.fileno())


def remove_file(path: Path) -> None:
    """Remove a file that adn made; a missing file is not an error."""
    path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder that adn made, hiding it from readers before deleting it. A missing folder is not an error.

    Raises OSError if it cannot be renamed; then nothing in it has been touched.
    """
    if not folder.exists():
        return
    with _hidden(folder, "gone") as gone, suppress(FileNotFoundError):  # another process has just removed it
        folder.rename(gone)


def check_folder_free(target: Path, *, marker: str = "", only: Collection[str] = (), overwrite: bool = False) -> None:
    """Raise OutputError if `target` exists, unless it may be overwritten and is an earlier result.

    marker, only: as in `atomic_folder`.
    """
    if not (target.exists() or target.is_symlink()):
        return
    if not overwrite:
        raise OutputError(
            f"{target} already exists and is not overwritten: "
            "choose another output folder, remove it, or set `overwrite`."
        )
    if not marker or not (target / marker).is_file():
        raise OutputError(f"{target} is not a result of adn, so it is not overwritten: choose another output folder.")
    others = sorted(path.name for path in target.iterdir() if path.name not in only) if only else []
    if others:
        raise OutputError(
            f"{target} holds more than a result of adn ({others[0]}), so it is not overwritten: "
            "choose another output folder."
        )


def check_writable(folder: Path) -> None:
    """Raise OutputError unless files can be created in `folder` or its nearest existing parent. Leaves no trace."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise OutputError(
            f"Results need a writable folder, but {folder} is not one ({error.strerror}); choose another."
        ) from error


def sweep(folder: Path, name: str | None = None, *, owned: bool = False) -> int:
    """Remove half-written files and folders that killed processes left in `folder`; return how many.

    name: only for this target. Leftovers of running processes, or of other machines and users, are left alone unless
    the folder is `owned`, meaning that only this process writes there. A result that was about to be replaced when its
    process was killed is restored.
    """
    count = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _HIDDEN.fullmatch(entry.name) if entry.name.startswith(f".{name or ''}") else None
            if (
                match is None
                or (name is not None and match["name"] != name)
                or not (owned or _is_leftover(entry, match))
            ):
                continue
            _put_back_or_remove(Path(entry.path), match)
            count += 1
    return count


def _is_leftover(entry: os.DirEntry[str], match: re.Match[str]) -> bool:
    """Whether it belongs to this user and machine, and nothing is writing it any more."""
    mine = not hasattr(os, "geteuid") or entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    if match["machine"] != _MACHINE or not mine:
        return False
    process = int(match["process"])
    return match[0] not in _at_work if process == os.getpid() else not _alive(process)


def _put_back_or_remove(path: Path, match: re.Match[str]) -> None:
    target = path.with_name(match["name"])
    if match["kind"] == "old" and not target.exists():
        with suppress(OSError):
            path.rename(target)
        return
    _remove(path)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it belongs to another user
    return True


@contextmanager
def _hidden(target: Path, kind: str) -> Iterator[Path]:
    """Yield a hidden name beside `target`, after sweeping leftovers; remove it at the end of the block."""
    sweep(target.parent, target.name)
    path = _hidden_name(target, kind)
    _at_work.add(path.name)
    try:
        yield path
    finally:
        _remove(path)
        _at_work.discard(path.name)


def _hidden_name(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}-{os.getpid()}-{_MACHINE}{secrets.token_hex(3)}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _replace_folder(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
        return
    old = _hidden_name(target, "old")
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    _remove(old)


def explain_write_error(error: OSError, path: Path | None = None) -> str:
    """One sentence about a failed write: what was to be written, why it failed, what to do.

    path: the intended output; None: something in the system's temporary folder.
    """
    what = str(path) if path else f"to the temporary folder {tempfile.gettempdir()} ($TMPDIR)"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = "the disk is full or the quota is used up; free some space and run again"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "the folder is not writable; choose another one or change its permissions"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        reason = "the folder does not exist; create it first"
    else:
        reason = error.strerror or str(error) or type(error).__name__
    return f"Cannot write {what}: {reason}."
