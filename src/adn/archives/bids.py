"""The two levels of a BIDS App: each participant's derivatives, and one table over all of them.

Runners start `participant` for several participants at once with one output folder, so after the data set's description
that level writes only the participant's own files. Finished scans are skipped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import adn
from adn.archives.layout import GROUP_SUMMARY, GROUP_TABLE, bids_results, describe
from adn.archives.ledger import Item
from adn.archives.work import WORKPLACE, Job
from adn.datasets.layouts import BIDS_CT, bids_scans
from adn.errors import InputError
from adn.io.atomic import atomic_path, check_writable, sweep
from adn.results import DISCLAIMER
from adn.work.pool import Failure, map_processes

OnResult = Callable[[Item, str], object]  # a scan, and why it failed ('' if it did not)


def predict_participants(
    data: Path, job: Job, labels: Sequence[str] = (), jobs: int | None = 1, tell: OnResult | None = None
) -> list[int]:
    """Predict the scans (`sub-*/**/*_ct.nii.gz`) of a BIDS data set into BIDS derivatives; an exit code for each.

    labels: participants, with or without `sub-`; none: all. jobs: as in `map_processes`. Raises InputError where `data`
    is not a BIDS data set, or a participant or all scans are absent; OutputError where nothing can be written.
    """
    items = _items(data, labels)
    out = job.request.out
    check_writable(out)
    out.mkdir(parents=True, exist_ok=True)
    describe(out, "bids", adn.__version__)
    sweep(out / WORKPLACE)
    codes = []
    for item, found in map_processes(job, items, jobs):
        failed = isinstance(found, Failure)
        codes.append(found.code if failed else 0)
        if tell:
            tell(item, found.error if failed else "")
    return codes


def summarize_group(out: Path) -> str:
    """Write all participants' results as a table (`results.tsv`) and a summary (`summary.txt`), which is returned.

    Raises InputError where there are no results, OutputError where nothing can be written.
    """
    from adn.report import csv_row, write_results_csv

    files = bids_results(out)
    if not files:
        raise InputError("needed results of the level `participant`, but there are none; run that level first.", out)
    results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    write_results_csv([csv_row(result, result["case"]) for result in results], out / GROUP_TABLE)
    summary = _summary(results, len({file.relative_to(out).parts[0] for file in files}))
    with atomic_path(out / GROUP_SUMMARY) as partial:
        partial.write_text(summary, encoding="utf-8")
    return summary


def _items(data: Path, labels: Sequence[str]) -> list[Item]:
    if not (data / "dataset_description.json").is_file():
        raise InputError("needed a BIDS data set with a dataset_description.json, but it has none.", data)
    scans = list(bids_scans(data))
    there = {scan.relative_to(data).parts[0] for scan in scans}
    wanted = {f"sub-{label.removeprefix('sub-')}" for label in labels} or there
    if absent := sorted(wanted - there):
        raise InputError(f"needed scans of {', '.join(absent)}, but there is no {absent[0]}/…/*_ct.nii.gz.", data)
    if not scans:
        raise InputError("needed scans called sub-*/…/*_ct.nii.gz, but there are none.", data)
    chosen = [scan for scan in scans if scan.relative_to(data).parts[0] in wanted]
    return [
        Item(number, BIDS_CT.sub("", scan.name), scan.relative_to(data).as_posix(), (str(scan),))
        for number, scan in enumerate(chosen)
    ]


def _summary(results: Sequence[dict], participants: int) -> str:
    """A few lines for people to read."""
    judged = [result for result in results if result["assessable"]]
    sides = Counter(result["side"] for result in judged)
    volumes_ml = [result["volume_ml"] for result in judged if result["side"] != "none"]
    lines = [f"{len(results)} scans of {participants} participants; {len(results) - len(judged)} not assessable."]
    lines.append(f"Of the others {len(volumes_ml)} have an infarct marked, {sides['none']} have none.")
    if volumes_ml:
        least, most = min(volumes_ml), max(volumes_ml)
        lines.append(
            f"Volume where marked: median {median(volumes_ml):.1f} mL, {least:.1f} to {most:.1f} mL; "
            f"left {sides['left']}, right {sides['right']}, both sides {sides['both']}."
        )
    made = sorted({f"adn {one.get('adn_version')}, weights {one.get('weights')}" for one in results})
    lines.append(f"Made by {'; '.join(made)}.")
    if len(made) > 1:
        lines.append("These differ: predict all of them again with the same one before comparing results.")
    return "\n".join([*lines, DISCLAIMER, ""])
