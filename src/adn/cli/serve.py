"""`adn serve`: the page that takes scans, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adn.answers import AnswerOptions
from adn.cli import terminal
from adn.cli.options import Device, KeepOld, Lang, VolumeLimit, Weights
from adn.cli.page import (
    LOOPBACK,
    Host,
    Open,
    Port,
    Token,
    check_extra,
    chosen_token,
    listening,
    only_server_of,
    run_page,
)

PORT = 8765


def serve(
    folder: Annotated[Path, typer.Argument(help="Where cases are kept, one folder each.")] = Path("adn-cases"),
    host: Host = LOOPBACK,
    port: Port = PORT,
    token: Token = None,
    open_page: Open = True,
    weights: Weights = None,
    device: Device = "auto",
    lang: Lang = "en",
    volume_limit_ml: VolumeLimit = AnswerOptions.volume_limit_ml,
    keep_old: KeepOld = False,
) -> None:
    """Serve a web page to drop scans on, with progress, viewer and downloads. Cases stay in FOLDER until deleted.

    Only this machine can reach the page, unless --host says otherwise. Nothing is sent anywhere.
    """
    check_extra()
    from adn.io.weights import find_weights
    from adn.prediction.batch import UserOptions
    from adn.server.app import create_app
    from adn.server.cases import Cases
    from adn.server.jobs import Jobs
    from adn.server.models import Limits

    user_options = UserOptions(lang, AnswerOptions(volume_limit_ml, keep_old))
    chosen = find_weights(weights)
    terminal.check_writable(folder)
    limits = Limits()
    with only_server_of(folder), listening(host, port) as listener:
        cases = Cases(folder, waiting=limits.waiting)
        jobs = Jobs(cases, weights=chosen, device=device, user_options=user_options)
        token = chosen_token(host, token)
        app = create_app(cases, jobs, host=host, token=token, limits=limits, weights=_weights(chosen))
        run_page(app, listener, host, token, open_page, f"Cases are kept in {folder.absolute()}")


def _weights(chosen: Any) -> list[Any]:
    from adn.server.models import Weights

    return [Weights(name=chosen.name, summary=f"{chosen.megabytes:.1f} MB, SHA-256 {chosen.sha256[:12]}…")]
