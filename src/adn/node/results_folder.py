"""A folder that receives results as `adn predict` writes them, where nothing receives DICOM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adn.errors import AdnError
from adn.io.atomic import atomic_folder, atomic_path, copy_file, link_file, remove_file
from adn.node.peers import Sent
from adn.results import RESULT_FILE
from adn.server.models import Record

FAILED = ".failed.txt"  # FOLDER/<name>.failed.txt says why there is no FOLDER/<name>


@dataclass(frozen=True)
class ResultsFolder:
    """FOLDER/<name>/ for each case, or FOLDER/<name>.failed.txt. named: from `Record.study` to the name."""

    folder: Path
    named: Callable[[str], str]
    name: str = "folder"

    def put(self, record: Record, results: Path) -> Sent:
        """Put a finished case's files there, replacing earlier ones of the same name; doing it twice does no harm."""
        target = self.folder / self.named(record.study)
        failure = target.with_name(target.name + FAILED)
        try:
            if record.state == "done":
                with atomic_folder(target, marker=RESULT_FILE, overwrite=True) as partial:
                    for path in sorted(results.iterdir()):
                        _second(path, partial / path.name)
                remove_file(failure)
            else:
                with atomic_path(failure, make_folder=True) as temporary:
                    temporary.write_text(f"{record.error.detail if record.error else ''}\n", encoding="utf-8")
        except (AdnError, OSError) as error:
            return Sent(f"The folder of results cannot be written to ({type(error.__cause__ or error).__name__}).")
        return Sent()


def _second(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where that is impossible: another disk, a share without links."""
    try:
        link_file(source, target)
    except OSError:
        copy_file(source, target)
