"""Files and folders that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adn.errors import OutputError


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`; at the end of the block the file there takes `path`'s place.

    Whatever ends the block early (an error, Ctrl-C) removes the temporary file and leaves `path` as it was. Raises
    OutputError where the folder is absent or not writable, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(explain_write_error(error, path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path, *, marker: str, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden folder beside `target`; at the end of the block it is renamed to `target`, as a whole.

    Whatever ends the block early leaves nothing. overwrite: replace an earlier result, known by its file `marker`.
    Raises OutputError where `target` is there already, or the disk is full or not writable.
    """
    check_folder_free(target, marker=marker, overwrite=overwrite)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        try:
            yield partial
            check_folder_free(target, marker=marker, overwrite=overwrite)  # another run may have been quicker
            _replace_folder(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # gone already where all went well
    except OSError as error:
        # Files inside explain themselves by the hidden folder's name: say it again with the name the user gave.
        reason = error.__cause__ if isinstance(error, OutputError) else error
        if not isinstance(reason, OSError):
            raise
        raise OutputError(explain_write_error(reason, target)) from reason


def check_folder_free(target: Path, *, marker: str, overwrite: bool = False) -> None:
    """Raise OutputError where `target` is there already, unless it may be overwritten and is an earlier result."""
    if not (target.exists() or target.is_symlink()):
        return
    if not overwrite:
        raise OutputError(
            f"{target} is already there and is not overwritten: "
            f"choose another output folder, remove it, or ask for overwriting."
        )
    if not (target / marker).is_file():
        raise OutputError(f"{target} is not a result of adn, so it is not overwritten: choose another output folder.")


def _replace_folder(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
        return
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def explain_write_error(error: OSError, path: Path) -> str:
    """One sentence for a failed write: what was to be written, why it failed, what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = "the disk is full or the quota is used up; free some space and run again"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "the folder is not writable; choose another one or change its permissions"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        reason = "the folder does not exist; create it first"
    else:
        reason = error.strerror or str(error) or type(error).__name__
    return f"Cannot write {path}: {reason}."
