"""Files that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import secrets
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
