"""Provoke what can go wrong in a hospital: each study must end with one set of results or one clear failure.

    python benchmarks/quality/node_faults.py OUT [--studies 200] [--kills 40] [--only ROW ...]

A node runs as a separate program between a scanner and an archive (pynetdicom) on this machine. Its predictor is the
stand-in from tests/node, which takes a moment and writes three small objects, since the real one would need hours;
everything else is the real node. Times are shortened: a study is complete after 0.5 s, and an hour of the archive being
down takes 30 s. OUT/faults.csv has a line per row. The full disk is a tmpfs of 24 MB, which needs root; without root
that row is skipped. Every patient's name, number and study UID is searched for in the log, in file names, in stored
JSON, and in everything that the page serves.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from node_run import HOUR_S, SLICES, Run, template

from adn.node.status import status
from node.strangers import Archive, free_port, until

COLUMNS: Sequence[str] = (
    *("row", "studies", "one_set", "failed_visibly", "two_sets", "lost", "names_found", "seconds", "remarks"),
)


def in_a_row(run: Run, args: argparse.Namespace) -> None:
    memory, began = [], time.monotonic()
    for number in range(args.studies):
        run.send(run.study())
        if number % 20 == 19:
            memory.append(run.resident_mb())
            print(f"{number + 1} studies, {memory[-1]:.0f} MB", file=sys.stderr, flush=True)
    until(run.quiet, 600)
    run.remarks.append(f"MB of the node after each 20: {' '.join(f'{mb:.0f}' for mb in memory)}")
    run.remarks.append(f"{args.studies / (time.monotonic() - began) * 3600:.0f} studies an hour")


def at_a_time(run: Run, args: argparse.Namespace) -> None:
    studies = [run.study() for _ in range(40)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(run.send, studies))


def kills(run: Run, args: argparse.Namespace) -> None:
    """SIGKILL at random moments while studies come in, are processed and are sent."""
    chance, over = random.Random(31), threading.Event()
    studies = [run.study() for _ in range(20)]

    def scanner() -> None:
        for images in studies:
            run.send(images, patience_s=1800)
            over.wait(chance.uniform(0, 1.5))

    sending = threading.Thread(target=scanner)
    sending.start()
    for _ in range(args.kills):
        time.sleep(chance.uniform(0.1, 4.0))
        run.kill()
        run.start()
    over.set()
    sending.join()
    run.remarks.append(f"{args.kills} kills")


def full_disk(run: Run, args: argparse.Namespace) -> None:
    """Full when images arrive, and full when results are written; later there is room again."""
    ballast = run.folder / "ballast"

    def fill() -> None:
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**14))

    first = [run.study() for _ in range(5)]
    fill()
    sending = threading.Thread(target=lambda: [run.send(images, patience_s=300) for images in first])
    sending.start()
    time.sleep(4)
    ballast.unlink(missing_ok=True)
    sending.join()
    second = [run.study() for _ in range(5)]
    for images in second:
        run.send(images)
    fill()  # while they wait or are processed
    time.sleep(4)
    ballast.unlink(missing_ok=True)
    run.remarks.append("full for 4 s at intake and for 4 s at work")


def archive_down(run: Run, args: argparse.Namespace) -> None:
    run.archive.stop()
    for _ in range(10):
        run.send(run.study())
    time.sleep(HOUR_S)
    run.archive.start()


def half_sent(run: Run, args: argparse.Namespace) -> None:
    """Cut off midway: half of the studies are sent again, the others never are and end as what had arrived."""
    for number in range(10):
        images = run.study()
        run.send(images[:4], cut_off=True)
        if number % 2:
            run.send(images)


def sent_twice(run: Run, args: argparse.Namespace) -> None:
    """Sent again at once, while being processed, and after the results have left."""
    for pause_s in (0.0, 0.7, 1.0, 5.0, 10.0):
        images = run.study()
        run.send(images)
        time.sleep(pause_s)
        run.send(images)


def grown(run: Run, args: argparse.Namespace) -> None:
    """Slices added before and during processing: one set. After the results have left: a second set, of the whole."""
    for pause_s in (0.1, 0.3, 0.6, 1.5, 2.0, 2.5):
        images = run.study("slow 4")
        run.send(images[:5])
        time.sleep(pause_s)
        run.send(images)
    late = run.study()
    run.send(late[:5])
    until(lambda: run.sets(late) == 1)
    until(run.quiet)
    run.send(late)
    until(lambda: run.sets(late) == 2)
    run.wanted[late[0].StudyInstanceUID] = 2
    for images in run.studies:
        made_of = {data.ImageComments for data in run.archive.of_study(images[0].StudyInstanceUID)}
        run.remarks += [] if str(SLICES) in made_of or not made_of else [f"made of {made_of}"]


def cannot_be_processed(run: Run, args: argparse.Namespace) -> None:
    for _ in range(5):
        run.send(run.study("bad"))


ROWS: dict[str, Callable[[Run, argparse.Namespace], None]] = {
    "in a row": in_a_row,
    "20 associations at a time": at_a_time,
    "kill -9 at random moments": kills,
    "full disk": full_disk,
    "archive down for an hour": archive_down,
    "association cut off half-way": half_sent,
    "sent twice": sent_twice,
    "grown by slices": grown,
    "no head CT": cannot_be_processed,
}


def play(name: str, folder: Path, images: list[Path], args: argparse.Namespace) -> dict[str, object]:
    """Run one row from start to end."""
    folder.mkdir(parents=True)
    archive = Archive().start()
    run = Run(folder / "node", folder / "node.log", archive, free_port(), images)
    run.folder.mkdir()
    mounted = name == "full disk"
    if mounted:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", run.folder], check=True)
    began = time.monotonic()
    try:
        run.start()
        ROWS[name](run, args)
        until(run.quiet, 600)
        time.sleep(1.5)
        until(run.quiet, 600)
    except AssertionError as error:
        run.remarks.append(str(error))
    seconds = time.monotonic() - began
    try:
        run.stop()
        return line(name, run, seconds)
    finally:
        archive.stop()
        if mounted:
            subprocess.run(["umount", run.folder], check=True)


def line(name: str, run: Run, seconds: float) -> dict[str, object]:
    """What became of all studies of a row."""
    failed = status(run.folder)["cases"].get("failed", 0)
    more = [run.sets(images) - run.wanted.get(images[0].StudyInstanceUID, 1) for images in run.studies]
    right, twice = sum(one == 0 for one in more), sum(one > 0 for one in more)
    lost = len(more) - right - twice - failed
    told = "; ".join(run.remarks)
    values = (name, len(more), right, failed, twice, lost, run.names_found(), f"{seconds:.0f}", told)
    return dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--only", nargs="*", choices=ROWS, default=list(ROWS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, (args.out / "faults.csv").open("a", newline="") as file:
        images = template(Path(folder))
        table = csv.DictWriter(file, COLUMNS)
        if file.tell() == 0:
            table.writeheader()
        for name in args.only:
            if name == "full disk" and os.geteuid():
                continue
            row = play(name, args.out / name.replace(" ", "-"), images, args)
            table.writerow(row)
            file.flush()
            print(*row.values(), sep=" | ", flush=True)


if __name__ == "__main__":
    main()
