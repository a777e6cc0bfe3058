"""All commands, and `main`, which turns whatever happens into an exit code."""

from __future__ import annotations

import os
import traceback
from typing import Annotated

import typer

from adn.cli import terminal
from adn.cli.benchmark import benchmark
from adn.cli.bids import bids
from adn.cli.compare import compare
from adn.cli.data import data
from adn.cli.doctor import doctor
from adn.cli.evaluate import evaluate
from adn.cli.info import info
from adn.cli.node import node
from adn.cli.predict import predict
from adn.cli.serve import serve
from adn.cli.split import split
from adn.cli.synth import synth
from adn.cli.tissue import tissue
from adn.cli.train import train
from adn.cli.view import view
from adn.cli.watch import watch
from adn.results import DISCLAIMER

EXIT_CODES = (
    "Exit codes: 0 done, even if a scan is not assessable; 1 a bug in adn; 2 wrong usage or bad input; 3 some scans"
    " failed; 4 a data set or this machine has problems that block the work; 130 interrupted."
)

app = typer.Typer(
    name="adn",
    help="Mark acute ischemic infarcts in non-contrast head CT, with asymmetry maps that explain the marks.",
    epilog=f"{EXIT_CODES}\n\n{DISCLAIMER}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from adn import __version__

        typer.echo(f"adn {__version__}")
        raise typer.Exit


@app.callback()
def _every_command(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="On an error, show the traceback (also: ADN_DEBUG=1).")
    ] = False,
) -> None:
    if debug:
        os.environ["ADN_DEBUG"] = "1"
    terminal.set_up_logging()


app.command(epilog=DISCLAIMER)(predict)
app.command(epilog=DISCLAIMER)(bids)
app.command(epilog=DISCLAIMER)(compare)
app.command(epilog=DISCLAIMER)(synth)
app.command(epilog=DISCLAIMER)(train)
app.command(epilog=DISCLAIMER)(evaluate)
app.command(epilog=DISCLAIMER)(benchmark)
app.command(epilog=DISCLAIMER)(split)
app.command(epilog=DISCLAIMER)(tissue)
app.command(epilog=DISCLAIMER)(serve)
app.command(epilog=DISCLAIMER)(view)
app.command(epilog=DISCLAIMER)(node)
app.command(epilog=DISCLAIMER)(watch)
app.add_typer(data, name="data")
app.command(epilog=DISCLAIMER)(info)
app.command(epilog=DISCLAIMER)(doctor)


def main() -> int:
    """Run the command line and return its exit code."""
    terminal.unwind_on_signals()
    terminal.spell_out_unknown_letters()
    console = terminal.stderr()
    try:
        app(prog_name="adn")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except KeyboardInterrupt:
        code = terminal.INTERRUPTED
    except Exception as error:
        if terminal.debugging():
            traceback.print_exc()
        code, sentence = terminal.explain(error)
        terminal.print_error(console, sentence)
    else:
        code = terminal.DONE
    if code == terminal.INTERRUPTED:
        terminal.print_error(console, "Interrupted. Finished results are complete; nothing half-written was kept.")
    return code
