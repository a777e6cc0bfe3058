"""Shared by `adn serve` and `adn view`: where the page can be reached, and by whom."""

from __future__ import annotations

import secrets
import socket
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from adn.errors import InputError, OutputError
from adn.results import DISCLAIMER

if TYPE_CHECKING:
    from fastapi import FastAPI

LOOPBACK = "127.0.0.1"
Host = Annotated[str, typer.Option(help="Address to bind to; any but this machine's own needs a token.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")]
Token = Annotated[
    str | None, typer.Option(help="Token that every visitor must give; generated and printed if --host needs one.")
]
Open = Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")]


def check_extra() -> None:
    """Raise InputError if a library that the page needs is not installed."""
    missing = [name for name in ("fastapi", "uvicorn", "python_multipart") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"The page needs {', '.join(missing)}, which is not installed: pip install 'adn-stroke[serve]'."
        )


def chosen_token(host: str, token: str | None) -> str | None:
    """The token that was given, or a new one if other machines can reach the page."""
    from adn.server.guard import is_loopback

    if token == "":
        raise InputError("--token is empty; give a token, or leave the option out to have one generated.")
    return token if token or is_loopback(host) else secrets.token_urlsafe(24)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket bound to host and port. Raises InputError if it cannot be bound."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            yield listener
    except (OSError, UnicodeError) as error:
        if isinstance(error, OutputError):
            raise
        raise InputError(
            f"{host} port {port}: cannot be listened on ({getattr(error, 'strerror', None) or error}); "
            "choose another --port or --host."
        ) from error


def run_page(app: FastAPI, listener: socket.socket, host: str, token: str | None, open_page: bool, about: str) -> None:
    """Serve until Ctrl-C. about: a sentence to print below the address."""
    import uvicorn

    everywhere = host in ("0.0.0.0", "::")
    name = socket.gethostname() if everywhere else f"[{host}]" if ":" in host else host
    path = f":{listener.getsockname()[1]}/" + (f"?token={token}" if token else "")
    address, near = f"http://{name}{path}", f"http://{LOOPBACK if everywhere else name}{path}"
    # No access log: addresses contain tokens, and what a visitor does is nobody's business.
    settings = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=3)
    server = uvicorn.Server(settings)
    typer.echo(f"{address}\n{about}. Ctrl-C stops.\n{DISCLAIMER}")
    if open_page:
        opener = threading.Timer(0.5, webbrowser.open, [near])
        opener.daemon = True
        opener.start()
    with suppress(KeyboardInterrupt):  # uvicorn has stopped cleanly, and raises the signal again
        server.run(sockets=[listener])
    typer.echo("Stopped.")


@contextmanager
def only_server_of(folder: Path) -> Iterator[None]:
    """Lock a folder, as two servers would work on the same cases. Raises InputError if there is one already."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        _lock(file, folder)
        yield


def _lock(file: IO[str], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however it ends
    except OSError as error:
        raise InputError(
            "another 'adn serve' or 'adn node' is using this folder; choose another folder, or stop it.", folder
        ) from error
