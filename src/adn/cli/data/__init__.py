"""`adn data …`: prepares a user's own scans and masks for training; one file per command."""

from __future__ import annotations

import typer

from adn.cli.data.check import check
from adn.cli.data.export import export
from adn.cli.data.import_aisd import import_aisd
from adn.cli.data.import_cpaisd import import_cpaisd
from adn.cli.data.import_teknofest import import_teknofest
from adn.cli.data.import_tissue import import_tissue
from adn.cli.data.list import list_cases
from adn.cli.data.prepare import prepare
from adn.results import DISCLAIMER

data = typer.Typer(
    help="Check and prepare your own scans and masks, import public data sets, and write cases in other layouts.",
    epilog=DISCLAIMER,
    no_args_is_help=True,
)
data.command("import-aisd", epilog=DISCLAIMER)(import_aisd)
data.command("import-cpaisd", epilog=DISCLAIMER)(import_cpaisd)
data.command("import-teknofest", epilog=DISCLAIMER)(import_teknofest)
data.command("import-tissue", epilog=DISCLAIMER)(import_tissue)
data.command(epilog=DISCLAIMER)(check)
data.command(epilog=DISCLAIMER)(prepare)
data.command("list", epilog=DISCLAIMER)(list_cases)
data.command(epilog=DISCLAIMER)(export)
