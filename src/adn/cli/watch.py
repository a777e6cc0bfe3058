"""`adn watch`: scans that are put into a folder, results in another or sent on."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from adn.answers import AnswerOptions
from adn.cli import terminal
from adn.cli.node import Forward, QuietS, check_node_extra, until_signal
from adn.cli.options import Device, KeepOld, Lang, VolumeLimit, Weights
from adn.cli.page import only_server_of
from adn.results import DISCLAIMER

WORK = ".adn"  # in the folder of results


def watch(
    folder: Annotated[Path, typer.Argument(help="Folder to watch for scans and folders of DICOM images.")],
    out: Annotated[Path, typer.Argument(help="Results: OUT/<name>/ for each scan; the queue is kept in OUT/.adn.")],
    forward: Forward = None,
    aet: Annotated[str, typer.Option(help="AE title to send as.")] = "ADN",
    quiet_s: QuietS = 20.0,
    settle_s: Annotated[
        float, typer.Option(min=0, help="Seconds without a change after which a file is complete.")
    ] = 5.0,
    weights: Weights = None,
    device: Device = "auto",
    lang: Lang = "en",
    volume_limit_ml: VolumeLimit = AnswerOptions.volume_limit_ml,
    keep_old: KeepOld = False,
    status: Annotated[
        bool, typer.Option("--status", help="Print the state of the watch in OUT as JSON, and exit.")
    ] = False,
) -> None:
    """Watch a folder: mark infarcts in every scan that is put there, once, and keep the results in OUT.

    Files of the watched folder are never changed. A scan that fails leaves OUT/<name>.failed.txt, which says why.
    Unfinished work resumes at the next start.
    """
    work = out / WORK
    if status:
        from adn.node.status import status as read_status

        typer.echo(json.dumps(read_status(work), indent=2))
        return
    check_node_extra()
    from adn.io.weights import find_weights
    from adn.node.intake import IntakeLimits
    from adn.node.peers import Caller, parse_peer
    from adn.node.results_folder import ResultsFolder
    from adn.node.service import Node, Retention
    from adn.node.watch import Watch
    from adn.prediction.batch import UserOptions
    from adn.server.worker import predict_without_views

    user_options = UserOptions(lang, AnswerOptions(volume_limit_ml, keep_old))
    terminal.check_writable(out)
    logging.getLogger("adn").setLevel(logging.INFO)
    with only_server_of(work):
        made = Node(
            work,
            peers=[parse_peer(text) for text in forward or ()],
            caller=Caller(aet),
            limits=IntakeLimits(quiet_s),
            keep=Retention(cases=timedelta(0)),  # results are in OUT
            weights=find_weights(weights),
            device=device,
            user_options=user_options,
            predict=predict_without_views,
        )
        watched = Watch(folder, out, made.intake, work, settle_s)
        made.outbox.peers.append(ResultsFolder(out, watched.named))
        made.also(watched.look)
        typer.echo(f"Watching {folder.absolute()}; results go to {out.absolute()}. Ctrl-C stops.\n{DISCLAIMER}")
        made.start()
        try:
            until_signal()
        finally:
            made.close()
    typer.echo("Stopped.")
