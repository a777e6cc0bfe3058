"""`adn bids`: adn as a BIDS App."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from adn.answers import AnswerOptions
from adn.cli import terminal
from adn.cli.options import Device, KeepOld, Lang, Quiet, VolumeLimit, Weights
from adn.results import DISCLAIMER
from adn.work.exits import overall_code

if TYPE_CHECKING:
    from adn.archives.ledger import Item


def bids(
    bids_dir: Annotated[Path, typer.Argument(metavar="BIDS_DIR", help="BIDS data set with *_ct.nii.gz.")],
    output_dir: Annotated[Path, typer.Argument(metavar="OUTPUT_DIR", help="Folder for the results: BIDS derivatives.")],
    level: Annotated[
        Literal["participant", "group"],
        typer.Argument(
            metavar="participant|group", help="participant: mark infarcts; group: make one table of all results."
        ),
    ],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[LABEL]...", help="Further participants.", hidden=True)
    ] = None,
    participant_label: Annotated[
        list[str] | None,
        typer.Option(
            "--participant-label", "--participant_label", help="Participants, with or without sub-; default: all."
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            min=1, help="How many scans to process at once, each in its own process with its share of the cores."
        ),
    ] = 1,
    weights: Weights = None,
    device: Device = "auto",
    lang: Lang = "en",
    volume_limit_ml: VolumeLimit = AnswerOptions.volume_limit_ml,
    keep_old: KeepOld = False,
    skip_bids_validator: Annotated[
        bool,
        typer.Option(
            "--skip-bids-validator",
            "--skip_bids_validator",
            hidden=True,
            help="Accepted and ignored: adn runs no validator.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Mark infarcts in a BIDS data set, as a BIDS App: first with level participant, then with level group.

    participant writes BIDS derivatives for each scan and skips finished scans. Several such commands may run at once.

    group writes OUTPUT_DIR/results.tsv and summary.txt over all participants.
    """
    from adn.archives.bids import predict_participants, summarize_group
    from adn.archives.work import Job
    from adn.io.weights import find_weights
    from adn.prediction.batch import Networks, Request, UserOptions

    labels = [*(participant_label or []), *(more or [])]
    if level == "group":
        summary = summarize_group(output_dir)
        if not quiet:
            typer.echo(summary, nl=False)
        return
    request = Request(output_dir, user_options=UserOptions(lang, AnswerOptions(volume_limit_ml, keep_old)))
    job = Job(request, Networks(find_weights(weights), device), "bids")
    with terminal.progress_bar(quiet) as bar:
        row = bar.add_task("scans", total=None)

        def tell(item: Item, error: str) -> None:
            bar.advance(row)
            if error:
                terminal.print_error(bar.console, f"{item.case}: {error}")

        codes = predict_participants(bids_dir, job, labels, jobs, tell)
    if not quiet:
        typer.echo(f"{codes.count(terminal.DONE)} of {len(codes)} scans done; {output_dir}\n{DISCLAIMER}")
    raise typer.Exit(overall_code(codes))
