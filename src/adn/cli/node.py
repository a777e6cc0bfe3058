"""`adn node`: studies in from a scanner or a PACS by DICOM, results back."""

from __future__ import annotations

import json
import logging
import signal
import threading
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adn.answers import AnswerOptions
from adn.cli import terminal
from adn.cli.options import Device, KeepOld, Lang, VolumeLimit, Weights
from adn.cli.page import LOOPBACK, check_extra, chosen_token, listening, only_server_of, run_page
from adn.errors import InputError
from adn.results import DISCLAIMER

if TYPE_CHECKING:
    from adn.node.service import Node

PORT = 11112
Forward = Annotated[
    list[str] | None,
    typer.Option(metavar="AET@HOST:PORT|URL", help="Where results go: a DICOM node, or DICOMweb. Repeatable."),
]
QuietS = Annotated[float, typer.Option(min=0, help="Seconds without a new image after which a study is complete.")]


def node(
    folder: Annotated[Path, typer.Argument(help="Where studies and cases are kept.")] = Path("adn-node"),
    aet: Annotated[str, typer.Option(help="AE title of this node.")] = "ADN",
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs --from or TLS.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = PORT,
    forward: Forward = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="AET", help="AE title that may connect; default: any. Repeatable."),
    ] = None,
    networks: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="NETWORK", help="Address or network that may connect. Repeatable."),
    ] = None,
    tls: Annotated[
        tuple[Path, Path, Path] | None,
        typer.Option(
            metavar="CERT KEY CA", help="PEM files: TLS in both directions; callers need a certificate issued by CA."
        ),
    ] = None,
    seg: Annotated[bool, typer.Option("--seg/--no-seg", help="Send the infarct as DICOM SEG.")] = True,
    sr: Annotated[bool, typer.Option("--sr/--no-sr", help="Send volume and side as DICOM SR.")] = True,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Send key images, for viewers that show no SEG.")
    ] = True,
    quiet_s: QuietS = 20.0,
    longest_s: Annotated[
        float, typer.Option(min=1, help="Seconds after which a study is complete, even if images still arrive.")
    ] = 900.0,
    keep_images: Annotated[
        float,
        typer.Option(
            min=0, metavar="DAYS", help="How long to keep received images after their results were delivered."
        ),
    ] = 0.0,
    keep_cases: Annotated[float, typer.Option(min=0, metavar="DAYS", help="How long to keep results here.")] = 30.0,
    priors: Annotated[
        str | None,
        typer.Option(metavar="URL", help="DICOMweb address from which to fetch the patient's latest earlier head CT."),
    ] = None,
    page: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Also serve the page of 'adn serve' on this local port.")
    ] = None,
    weights: Weights = None,
    device: Device = "auto",
    lang: Lang = "en",
    volume_limit_ml: VolumeLimit = AnswerOptions.volume_limit_ml,
    keep_old: KeepOld = False,
    status: Annotated[
        bool, typer.Option("--status", help="Print the state of the node in FOLDER as JSON, and exit.")
    ] = False,
) -> None:
    """Receive CT studies by DICOM (C-STORE), mark infarcts, and send SEG, SR and key images back.

    A study is processed when it is complete. Results that cannot be sent are retried for three days. Unfinished work
    resumes at the next start. Only this machine can reach the node, unless --host says otherwise.
    """
    if status:
        from adn.node.status import status as read_status

        typer.echo(json.dumps(read_status(folder), indent=2))
        return
    check_node_extra()
    from adn.io.weights import find_weights
    from adn.node.intake import IntakeLimits
    from adn.node.outbox import Kind, Sending
    from adn.node.peers import Caller, parse_peer
    from adn.node.priors import Priors
    from adn.node.receiver import Gate, tls_context
    from adn.node.service import Node, Retention
    from adn.prediction.batch import UserOptions
    from adn.server.guard import is_loopback
    from adn.server.worker import predict_for_page, predict_without_views

    if not (is_loopback(host) or networks or tls):
        raise InputError("--host admits other machines: say which with --from, or require certificates with --tls.")
    files = [str(path) for path in tls or ()]
    user_options = UserOptions(lang, AnswerOptions(volume_limit_ml, keep_old))
    gate = Gate(tuple(accept or ()), tuple(networks or ()), tls_context(*files, server=True) if files else None)
    wanted: dict[Kind, bool] = {"seg": seg, "sr": sr, "pictures": pictures}
    terminal.check_writable(folder)
    logging.getLogger("adn").setLevel(logging.INFO)  # here the log should say what becomes of each study
    with only_server_of(folder):
        made = Node(
            folder,
            peers=[parse_peer(text) for text in forward or ()],
            caller=Caller(aet, tls_context(*files, server=False) if files else None),
            limits=IntakeLimits(quiet_s, longest_s),
            keep=Retention(timedelta(days=keep_images), timedelta(days=keep_cases)),
            weights=find_weights(weights),
            device=device,
            user_options=user_options,
            predict=predict_without_views if page is None else predict_for_page,
            sending=Sending(tuple(kind for kind in wanted if wanted[kind])),
        )
        if priors:
            made.also(Priors(made.cases, priors).look)
        receiver = made.listen(aet, host, port, gate)
        typer.echo(f"{aet}@{host}:{receiver.port}\nStudies and cases are kept in {folder.absolute()}. Ctrl-C stops.")
        made.start(jobs=page is None)
        try:
            _wait(made, page)
        finally:
            receiver.close()
            made.close()
    typer.echo("Stopped.")


def check_node_extra() -> None:
    """Raise InputError if a library that the node needs is not installed."""
    check_extra()
    missing = [name for name in ("pynetdicom", "dicomweb_client") if find_spec(name) is None]
    if missing:
        raise InputError(f"The node needs {', '.join(missing)}, which is missing: pip install 'adn-stroke[node]'.")


def until_signal() -> None:
    """Wait for SIGTERM or Ctrl-C."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(0.5):  # so that Python sees signals
        pass


def _wait(made: Node, page: int | None) -> None:
    """Run until a signal arrives; with the page, if one is wanted."""
    if page is None:
        typer.echo(DISCLAIMER)
        until_signal()
        return
    from adn.server.app import create_app

    with listening(LOOPBACK, page) as listener:
        app: Any = create_app(made.cases, made.jobs, host=LOOPBACK, token=chosen_token(LOOPBACK, None))
        run_page(app, listener, LOOPBACK, None, False, "Cases of the node")
