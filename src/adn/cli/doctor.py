"""`adn doctor`: what this machine has and lacks for adn, and how fast it is."""

from __future__ import annotations

from typing import Annotated

import typer

from adn.results import DISCLAIMER

BLOCKED = 4  # the exit code of `adn data check`, too: something that is needed is not there


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Skip the virtual patient.")] = False,
) -> None:
    """Check this machine: what adn needs, what is missing and how to get it, and how long a scan takes."""
    from adn.doctor import examine

    blocked = []
    for one in examine(try_a_scan=not quick):
        mark = "ok" if one.good else "MISSING" if one.needed else "-"
        typer.echo(f"{mark:8}{one.name}: {one.said}")
        if one.needed and not one.good:
            blocked.append(one.name)
    typer.echo(f"Not ready: {', '.join(blocked)}." if blocked else "Ready.")
    typer.echo(DISCLAIMER)
    if blocked:
        raise typer.Exit(BLOCKED)
