"""Errors that a user can cause or must hear about, each with its exit code."""


class AdnError(Exception):
    """Any error that adn raises on purpose. The command line exits with `exit_code`."""

    exit_code = 1


class InputError(AdnError, ValueError):
    """What came in cannot be processed.

    The message is one or two sentences: what was needed, what came, what to do; it names the file.
    """

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
