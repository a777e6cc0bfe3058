"""`adn view`: results in the page's viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adn.cli.page import LOOPBACK, Host, Open, Port, Token, check_extra, chosen_token, listening, run_page


def view(
    results: Annotated[
        list[Path], typer.Argument(metavar="OUT", help="Result folders of 'adn predict', or a folder of them.")
    ],
    host: Host = LOOPBACK,
    port: Port = 0,
    token: Token = None,
    open_page: Open = True,
) -> None:
    """Show results in the viewer. No file in OUT is changed; corrected masks are saved as new files."""
    check_extra()
    from adn.server.app import create_app
    from adn.server.cases import Cases
    from adn.server.folders import result_folders

    folders = result_folders(results)
    with listening(host, port) as listener:
        token = chosen_token(host, token)
        app = create_app(Cases(None, opened=folders), None, host=host, token=token)
        count = f"{len(folders)} result{'s' if len(folders) > 1 else ''}"
        run_page(app, listener, host, token, open_page, f"{count}; corrected masks are saved as new files")
