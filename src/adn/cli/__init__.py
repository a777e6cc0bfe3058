"""The command line. Heavy libraries are imported inside the commands, so that `adn --help` answers at once."""

from adn.cli.app import main

__all__ = ["main"]
