"""Exit codes, one sentence for every error, and what reaches stderr."""

from __future__ import annotations

import errno
import logging
import os
import warnings
from collections.abc import Iterable

from adn.errors import AdnError

DONE, OUR_FAULT, BAD_INPUT, SOME_FAILED, BLOCKED, INTERRUPTED = 0, 1, 2, 3, 4, 130
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def overall_code(codes: Iterable[int]) -> int:
    """Exit code for several items: 0 all done, 3 some failed; if all failed, 2 if all were bad input, else 1."""
    found = set(codes)
    if found <= {DONE}:
        return DONE
    if DONE in found:
        return SOME_FAILED
    return BAD_INPUT if found == {BAD_INPUT} else OUR_FAULT


def explain(error: BaseException) -> tuple[int, str]:
    """The exit code for an error, and the sentence that a user sees."""
    if isinstance(error, AdnError):
        return error.exit_code, str(error)
    if isinstance(error, OSError) and error.errno in _CANNOT_WRITE:
        where = f" {error.filename}" if error.filename else ""
        return BAD_INPUT, f"Files could not be read or written:{where} ({error.strerror}). Check space and permissions."
    if isinstance(error, MemoryError):
        return OUR_FAULT, "Not enough memory. Use fewer `jobs`, or a machine with more memory."
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return OUR_FAULT, (
        f"Something went wrong unexpectedly ({what}). "
        "Please report it with the output of 'adn info' and of the same command run with ADN_DEBUG=1 set."
    )


def debugging() -> bool:
    """True where tracebacks are wanted: ADN_DEBUG is set, which worker processes inherit."""
    return bool(os.environ.get("ADN_DEBUG"))


def set_up_logging() -> None:
    """Let only adn's own warnings reach stderr; with ADN_DEBUG set, everything does."""
    if debugging():
        logging.basicConfig(level=logging.INFO)
        logging.getLogger("adn").setLevel(logging.DEBUG)
        return
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("adn: %(levelname)s: %(message)s"))
    logger = logging.getLogger("adn")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING)
    logger.propagate = False
