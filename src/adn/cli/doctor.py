"""`adn doctor`: what this machine has and lacks for adn, and how fast it is."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Annotated

import typer

from adn.cli.terminal import with_options
from adn.results import DISCLAIMER

BLOCKED = 4  # exit code, shared with `adn data check`: something that is needed is missing


def doctor(
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Do not predict a virtual patient; estimate the time from short measurements."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs and bug reports.")] = False,
) -> None:
    """Check this machine: what adn needs, what is missing and how to get it, and how long a scan takes."""
    from adn.doctor import examine

    looked, blocked = [], []
    for one in examine(try_a_scan=not quick):
        one = replace(one, said=with_options(one.said))
        looked.append(asdict(one))
        if one.needed and not one.good:
            blocked.append(one.name)
        if not as_json:
            mark = "ok" if one.good else "MISSING" if one.needed else "-"
            typer.echo(f"{mark:8}{one.name}: {one.said}")
    if as_json:
        typer.echo(json.dumps({"ready": not blocked, "missing": blocked, "checks": looked}, indent=2))
    else:
        typer.echo(f"Not ready: {', '.join(blocked)}." if blocked else "Ready.")
        typer.echo(DISCLAIMER)
    if blocked:
        raise typer.Exit(BLOCKED)
