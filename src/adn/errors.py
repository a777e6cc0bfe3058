"""Errors that a user can cause or must be told about, each with its exit code.

    AdnError (1)
    ├── InputError (2), also a ValueError: the input cannot be processed
    ├── OutputError (2), also an OSError: results cannot be written
    ├── ConfigError (2), also a ValueError: a recipe or setting is wrong
    ├── WeightsError (2): weights are absent, damaged, or made for another network
    └── DeviceError (2): the device that was asked for is not there

A message is one or two sentences: what was needed, what came instead, what to do. It names arguments in backticks, as
`series`; the command line prints the option in their place.
"""

from __future__ import annotations

from pathlib import Path


class AdnError(Exception):
    """Any error that adn raises on purpose. The command line exits with `exit_code`.

    what: the message without the file. path: the file, folder or case that it is about, None where there is none; the
    whole message is then `path: what`.
    """

    exit_code = 1

    def __init__(self, what: str, path: Path | str | None = None) -> None:
        super().__init__(what if path is None else f"{path}: {what}")
        self.what = what
        self.path = None if path is None else str(path)


class InputError(AdnError, ValueError):
    """The input cannot be processed; the message names the file."""

    exit_code = 2


class OutputError(AdnError, OSError):
    """Results cannot be written (folder not writable, disk full)."""

    exit_code = 2


class ConfigError(AdnError, ValueError):
    """A recipe or setting is wrong: unknown key, value out of range, sizes that do not fit."""

    exit_code = 2


class WeightsError(AdnError):
    """Weights are absent, damaged, or made for another network."""

    exit_code = 2


class DeviceError(AdnError):
    """The device that was asked for is not there."""

    exit_code = 2
