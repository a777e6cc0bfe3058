"""SIGKILL predict, prepare, train and serve at random moments: nothing complete is lost, nothing partial looks whole.

    python benchmarks/quality/kill.py OUT [--rounds 25]

Every round forks a process that runs the command (libraries are already loaded), kills it at a random moment within the
command's usual duration, and examines what is left. The next round continues in the folder as the kill left it, so each
also tests starting again. At the end the command runs through once; its results must equal those of an undisturbed run,
with nothing else left beside them. OUT/kills.csv has a line per kill; a stopped run resumes from it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import socket
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from kill_base import (
    SCANS,
    Found,
    Verb,
    adn_command,
    digest,
    hidden,
    in_child,
    killed,
    result_is_whole,
    through,
    visible,
)

VERBS = ("predict", "prepare", "train", "serve")
RECIPE = """base = "tiny"
[train]
precision = "fp32"
[train.segment]
batch_size = 1
epoch_samples = 3
max_epochs = 3
"""


class Predict(Verb):
    """Three scans; each result, once there, must persist, and is replaced in later rounds (`--overwrite`)."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self.whole: set[str] = set()

    def work(self) -> Callable[[], object]:
        scans = [self.data / f"c{number}" / "ct.nii.gz" for number in range(SCANS)]
        return adn_command("predict", *scans, "-o", self.out, "--overwrite", "-q", "--device", "cpu")

    def look(self) -> Found:
        from adn.io.atomic import sweep

        sweep(self.out)  # as the next command does first: a result about to be replaced is put back
        there = {path.name for path in visible(self.out) if path.is_dir()}
        half = [name for name in there if not result_is_whole(self.out / name)]
        lost = sorted(self.whole - there)
        self.whole |= there - set(half)
        return Found(lost, half)

    def end(self) -> Found:
        code, _ = through(self.work())
        found = self.look()
        left = {path.name for path in visible(self.out)} ^ {"c0", "c1", "c2", "results.csv"}
        return Found([*found.lost, *left, *([f"code {code}"] if code else [])], found.half + hidden(self.out))


class Prepare(Verb):
    """Cases into the cache; every second round begins with an empty one."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self.round = 0
        self.whole: dict[str, str] = {}
        self.cache = out / "adn" / "prepared"

    def work(self) -> Callable[[], object]:
        command = adn_command("data", "prepare", self.data, "--recipe", "tiny", "--jobs", "1", "-q")

        def work() -> object:
            os.environ["XDG_CACHE_HOME"] = str(self.out)
            return command()

        if self.round % 2 == 0:
            for path in visible(self.cache):
                path.unlink()
            self.whole = {}
        self.round += 1
        return work

    def look(self) -> Found:
        from safetensors import SafetensorError, safe_open

        there: dict[str, str] = {}
        half = []
        for path in visible(self.cache):
            try:
                with safe_open(path, "np") as file:
                    for name in file.keys():  # noqa: SIM118 - no dict
                        file.get_tensor(name)
                there[path.name] = digest(path)
            except (OSError, SafetensorError):
                half.append(path.name)
        lost = [name for name, content in self.whole.items() if there.get(name) != content]
        self.whole = there
        return Found(lost, half)

    def end(self) -> Found:
        self.round = 1
        code, _ = through(self.work())
        kept = self.look()
        self.round = 0
        clean, _ = through(self.work())
        before, after = dict(self.whole), self.look()
        anew = [] if len(self.whole) == SCANS else [f"{len(self.whole)} of {SCANS} cases", str(before)]
        wrong = [f"code {code or clean}"] * bool(code or clean)
        return Found(kept.lost + after.lost + anew + wrong, kept.half + hidden(self.cache))


class Train(Verb):
    """A small training on virtual patients, resumed after each kill; its numbers must equal an undisturbed run's."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self.recipe = out.parent / "recipe.toml"
        self.recipe.write_text(RECIPE, encoding="utf-8")
        self.run, self.best = out / "run", 0

    def _begin(self, folder: Path) -> Callable[[], object]:
        return adn_command("train", self.recipe, "--virtual", "-o", folder, "--device", "cpu", "-q")

    def work(self) -> Callable[[], object]:
        if (self.run / "weights.safetensors").exists():  # through: the next one
            self.run, self.best = self.run.with_name(f"run{len(visible(self.out))}"), 0
        begun = (self.run / "run.json").exists() and (self.run / "recipe.json").exists()
        return adn_command("train", "--resume", self.run, "-q") if begun else self._begin(self.run)

    def look(self) -> Found:
        half, steps = [], 0
        for path in visible(self.run):
            try:
                if path.suffix == ".ckpt":
                    saved = torch.load(path, weights_only=True)
                    steps += int(saved.get("step", 0)) if "best" not in path.name else 0
                elif path.suffix == ".json":
                    json.loads(path.read_text(encoding="utf-8"))
                elif path.suffix == ".safetensors":
                    from adn.io.weights import read_weights

                    read_weights(path)
                elif path.suffix == ".csv":
                    with path.open(encoding="utf-8") as file:
                        assert all(None not in row and None not in row.values() for row in csv.DictReader(file))
            except Exception as error:
                half.append(f"{path.name}: {type(error).__name__}")
        lost = [f"step {steps} after {self.best}"] if steps < self.best else []
        self.best = steps
        return Found(lost, half)

    def end(self) -> Found:
        code, _ = through(self.work())
        found = self.look()
        whole = self.out / "undisturbed"
        clean, _ = through(self._begin(whole))
        wrong = [f"code {code or clean}"] * bool(code or clean)
        for run in visible(self.out):
            if (run / "weights.safetensors").exists() and _numbers(run) != _numbers(whole):
                wrong.append(f"{run.name} differs from an undisturbed run")
        return Found(found.lost + wrong, found.half + hidden(*visible(self.out)))


def _numbers(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if "seconds" not in k} for row in csv.DictReader(file)]


class Serve(Verb):
    """A server that accepts a scan and works on it; after the next start the scan must be there, done or waiting."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self.taken: dict[str, str] = {}
        self.port = _free_port()

    def work(self) -> Callable[[], object]:
        self.port = _free_port()
        return adn_command("serve", self.out, "--port", self.port, "--no-open", "--device", "cpu")

    def kill_round(self, after_s: float) -> bool:
        """Start, see what is there, upload one, kill."""
        child = in_child(self.work())
        began, up = time.monotonic(), False
        while time.monotonic() - began < 120 and not up:
            time.sleep(0.05)
            up = self._cases() is not None
        states = {case["id"]: case for case in self._cases() or []}
        self.missing = [one for one in self.taken if one not in states]
        if len([one for one in states.values() if one["state"] in ("queued", "running")]) < 3:
            self._upload()
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        time.sleep(1.0)  # its worker ends with it
        return True

    def _cases(self) -> list | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/cases", timeout=20) as answer:
                return json.loads(answer.read())
        except OSError:
            return None

    def _upload(self) -> None:
        scan = (self.data / "c0" / "ct.nii.gz").read_bytes()
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/cases",
            data=head + scan + b"\r\n--x--\r\n",
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.taken[json.loads(answer.read())["id"]] = "taken"
        except OSError:
            return

    def look(self) -> Found:
        half, lost = [], list(self.missing)
        for folder in visible(self.out):
            if not folder.is_dir():
                continue
            record = json.loads((folder / "case.json").read_text(encoding="utf-8"))
            results = [path for path in visible(folder) if path.is_dir() and path.name != "upload"]
            half += [str(path) for path in results if not result_is_whole(path)]
            if record["state"] in ("queued", "running") and not any((folder / "upload").iterdir()):
                lost.append(f"the upload of {folder.name}")
            if record["state"] == "done" and not results:
                lost.append(f"the results of {folder.name}")
        return Found(lost, half)

    def end(self) -> Found:
        child, found = in_child(self.work()), Found([], [])
        end = time.monotonic() + 900
        while time.monotonic() < end:
            cases = self._cases()
            if cases is not None and all(case["state"] in ("done", "failed") for case in cases):
                failed = [case["error"] or {} for case in cases if case["state"] == "failed"]
                # tried twice, killed twice: said so
                found.lost += [str(one) for one in failed if one.get("title") != "Interrupted"]
                break
            time.sleep(1)
        else:
            found.lost.append("not through after 900 s")
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        self.missing = [one for one in self.taken if not (self.out / one).exists()]
        after = self.look()
        return Found(found.lost + after.lost, after.half + hidden(self.out))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def rounds(name: str, verb: Verb, count: int, random: np.random.Generator, took_s: float) -> Iterator[tuple]:
    for _ in range(count):
        after_s = float(random.uniform(0, took_s))
        hit = verb.kill_round(after_s) if isinstance(verb, Serve) else killed(verb.work(), after_s)
        found = verb.look()
        yield name, f"{after_s:.2f}", "killed" if hit else "through", " ".join(found.lost), " ".join(found.half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="new folder, or one to go on in")
    parser.add_argument("--rounds", type=int, default=25, help="kills of each command")
    parser.add_argument("--verbs", nargs="*", default=list(VERBS), choices=VERBS)
    options = parser.parse_args()
    out = options.out.absolute()
    os.environ["TMPDIR"] = tempfile.tempdir = str(out / "tmp")
    (out / "tmp").mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    import adn.prediction.assemble
    import adn.report
    import adn.training  # noqa: F401 - loaded once, before the forks

    table = out / "kills.csv"
    done = table.read_text(encoding="utf-8") if table.exists() else ""
    classes = {"predict": Predict, "prepare": Prepare, "train": Train, "serve": Serve}
    for number, name in enumerate(options.verbs):
        if f"{name},end" in done:
            continue
        first, _ = _timed(classes[name], out / f"{name}-first")
        verb = classes[name](out / name)
        with table.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            for line in rounds(name, verb, options.rounds, np.random.default_rng(number), first):
                writer.writerow(line)
                file.flush()
            found = verb.end()
            writer.writerow([name, "end", "", " ".join(found.lost), " ".join(found.half)])
    print(table.read_text(encoding="utf-8"))


def _timed(kind: type[Verb], out: Path) -> tuple[float, int]:
    """Seconds that the command takes undisturbed."""
    if kind is Serve:
        return through(Predict(out).work())[1] / SCANS + 12.0, 0  # its worker loads the libraries
    code, seconds = through(kind(out).work())
    assert code == 0, f"{kind.__name__} ended with {code}"
    return seconds, code


if __name__ == "__main__":
    main()
