"""Thousands of mutated inputs through `adn.open_scan`, and some through the whole prediction; nothing may be wrong.

    python benchmarks/quality/fuzz.py OUT.csv                  10,000 inputs through open_scan, 2,000 of them DICOM
    python benchmarks/quality/fuzz.py OUT.csv --predict 200    some of the same inputs through `adn predict`

An error that adn raises on purpose is a valid answer. Findings are: any other exception (fault), a process that dies
(crash), a volume in which a landmark lies more than one voxel from where its own file's header puts it (wrong), more
than 60 s (hang). Input i depends only on (seed, i). A stopped run resumes where it was.
"""

from __future__ import annotations

import argparse
import csv
import faulthandler
import logging
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_base import Base, make_base
from fuzz_dicom import dicom_files
from fuzz_images import meta, nifti, nrrd, zipped
from fuzz_oracle import DamagedError, UnjudgedError, landmarks_of, verdict

import adn
from adn.errors import AdnError

HANG_SECONDS = 60
MEMORY_BYTES = 12 * 2**30  # a header that asks for more ends in MemoryError, which is a fault
KINDS = {
    "dicom": (dicom_files, 0.2),
    "nifti": (nifti, 0.3),
    "nrrd": (nrrd, 0.2),
    "meta": (meta, 0.2),
    "zip": (zipped, 0.1),
}
COLUMNS = ("index", "kind", "change", "outcome", "seconds", "words")


class HangError(BaseException):
    """Took too long. Not an Exception, so that no code on the way handles it as an ordinary error."""


def make_input(base: Base, seed: int, index: int, folder: Path) -> tuple[Path, str, str]:
    """Write input `index` into a folder; its path, kind and what was changed."""
    random = np.random.default_rng([seed, index])
    kind = tuple(KINDS)[int(random.choice(len(KINDS), p=[share for _, share in KINDS.values()]))]
    files, change = KINDS[kind][0](base, random)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    path = folder if kind == "dicom" and (len(files) != 1 or random.random() < 0.9) else folder / next(iter(files))
    if kind == "dicom" and files and random.random() < 0.05:
        path = folder / next(iter(files))
    return path, kind, change


def judge(path: Path) -> tuple[str, str]:
    """What `open_scan` makes of it: outcome and words."""
    try:
        scan = adn.open_scan(path)
    except AdnError as error:
        return "refused", str(error).replace(str(path), "PATH")
    try:
        return verdict(scan, landmarks_of(path))
    except UnjudgedError as error:
        return "unjudged", str(error)
    except DamagedError as error:
        return "wrong", f"read, though damaged: {error}"


def predicted(path: Path, index: int, networks: Any) -> tuple[str, str]:
    """What `adn predict` makes of it: outcome, and its finding or sentence."""
    from adn.prediction.batch import Request, Task, predict_one

    with tempfile.TemporaryDirectory() as out:
        try:
            outcome = predict_one(Task(path, f"case-{index}"), Request(Path(out)), networks)
        except AdnError as error:
            return "refused", str(error).replace(str(path), "PATH")
        left = sorted(os.listdir(out))
        whole = left == [f"case-{index}"]
        return ("predicted" if whole else "half"), f"{outcome.row['side']} {outcome.row['volume_ml']:.1f} mL"


def run(path: Path, work: Any) -> tuple[str, str, float]:
    """Outcome, words and seconds of one input."""
    began = time.monotonic()
    signal.alarm(HANG_SECONDS)
    faulthandler.dump_traceback_later(3 * HANG_SECONDS, exit=True)
    try:
        outcome, words = work(path)
    except HangError:
        outcome, words = "hang", traceback.format_exc(limit=-2)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        ours = next((frame for frame in reversed(where) if "/adn/" in frame.filename), where[-1])
        outcome, words = "fault", f"{type(error).__name__}: {error} at {Path(ours.filename).name}:{ours.lineno}"
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
    return outcome, " ".join(words.split())[:300], time.monotonic() - began


def _hung(number: int, frame: object) -> None:
    raise HangError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="CSV with a line per input; goes on where it ends")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=28)
    parser.add_argument("--predict", type=int, default=0, help="so many inputs, evenly spread, through the prediction")
    parser.add_argument("--only", type=int, nargs="*", help="these inputs alone, to look at")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, _hung)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    base = make_base()
    step = options.count // options.predict if options.predict else 1
    indices = options.only or range(0, options.count, step)
    done, at_work = _done(options.out), options.out.with_suffix(".at-work")
    with options.out.open("a", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        if not done:
            writer.writerow(COLUMNS)
        if at_work.exists() and int(at_work.read_text()) not in done:
            writer.writerow([crashed := int(at_work.read_text()), "", "", "crash", "", "its process died"])
            done.add(crashed)
        predictor = _predictor() if options.predict else None
        for index in indices:
            if index in done and not options.only:
                continue
            at_work.write_text(str(index))
            folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
            try:
                path, kind, change = make_input(base, options.seed, index, folder)
                work = partial(predictor, index=index) if predictor else judge
                outcome, words, seconds = run(path, work)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            writer.writerow([index, kind, change, outcome, f"{seconds:.2f}", words.replace(str(folder), "FOLDER")])
            file.flush()
    at_work.unlink(missing_ok=True)
    print(summary(options.out))


def _predictor() -> Any:
    from adn.prediction.batch import Networks

    networks = Networks(None, "cpu")
    return lambda path, index: predicted(path, index, networks)


def _done(path: Path) -> set[int]:
    if not path.exists():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row["index"]) for row in csv.DictReader(file)}


def summary(path: Path) -> str:
    """A table of outcomes by kind."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    counts = Counter((row["kind"], row["outcome"]) for row in rows)
    outcomes = sorted({row["outcome"] for row in rows})
    lines = ["| kind | " + " | ".join(outcomes) + " |", "|---|" + "---:|" * len(outcomes)]
    for kind in [*KINDS, ""]:
        if any(row["kind"] == kind for row in rows):
            lines.append(
                f"| {kind or 'died'} | " + " | ".join(str(counts[kind, outcome]) for outcome in outcomes) + " |"
            )
    slowest = max(float(row["seconds"] or 0) for row in rows)
    return "\n".join([*lines, f"{len(rows)} inputs, the slowest {slowest:.1f} s"])


if __name__ == "__main__":
    main()
