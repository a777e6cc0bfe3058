"""`adn info`: facts about this installation and machine."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from adn.results import DISCLAIMER


def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs and bug reports.")] = False,
) -> None:
    """Show versions, weights, recipes and devices."""
    from adn.installation import installation

    facts = installation()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), _words(value))
    console = Console(highlight=False)
    console.print(table)
    console.print(DISCLAIMER)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items() if item != [])
    if isinstance(value, list):
        return "\n".join(_words(item) for item in value) or "none"
    return str(value)
