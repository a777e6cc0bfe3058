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
    table.add_column()
    table.add_column(overflow="fold")  # a path is never cut off
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), "\n".join(map(_weights, value)) if name == "weights" else _words(value))
    console = Console(highlight=False)
    console.print(table)
    console.print(DISCLAIMER)


def _weights(found: dict[str, Any]) -> str:
    """One set of weights; its whole hash is in the JSON."""
    first = f"{found['name']}: {found['megabytes']:.1f} MB, SHA-256 {found['sha256'][:12]}…"
    return "\n".join((first, found["path"], found["licence"].replace("\n", " "), ""))


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(map(str, value)) or "none"
    return str(value)
