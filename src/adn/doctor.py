"""What this machine has and lacks for adn, and how fast it is: one virtual patient from file to report."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adn.errors import AdnError
from adn.installation import installation
from adn.io.atomic import scratch_folder
from adn.io.cache import cache_folder
from adn.io.weights import find_weights, list_weights

LEAST_MEMORY_GB, LEAST_DISK_GB = 2.0, 1.0  # for one scan of 60 thick slices, and its report
EXTRAS = {  # of the package: a module of each, and what it is for
    "train": ("monai", "adn train, adn benchmark"),
    "serve": ("fastapi", "adn serve, adn view"),
    "node": ("pynetdicom", "adn node"),
    "import": ("gdcm", "packed DICOM of public data sets"),
}


@dataclass(frozen=True)
class Examined:
    """One thing that was looked at. needed: adn cannot predict without it. said: a sentence, with the remedy."""

    name: str
    good: bool
    needed: bool
    said: str


def examine(try_a_scan: bool = True) -> Iterator[Examined]:
    """Look at everything that adn needs, one by one. try_a_scan: predict a virtual patient, too (some seconds)."""
    facts = installation()
    gpus = ", ".join(facts["devices"][1:]) or "no NVIDIA GPU"
    said = f"{facts['system']}, Python {facts['python']}, {facts['cores']} cores, {gpus}."
    yield Examined("machine", True, True, said)
    yield _memory(facts["memory_gb"])
    with scratch_folder() as scratch:
        yield _disk("temporary folder", scratch.parent)
    yield _disk("cache folder", cache_folder())
    yield _weights()
    yield _converter()
    torch_found = _torch()
    yield torch_found
    for extra, (module, purpose) in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        remedy = "" if there else f" Install it: pip install 'adn-stroke[{extra}]'."
        yield Examined(f"extra {extra}", there, False, f"{'There' if there else 'Not there'}: {purpose}.{remedy}")
    if try_a_scan and torch_found.good:
        yield _scan()


def _memory(total_gb: float | None) -> Examined:
    if total_gb is None:
        return Examined("memory", True, True, "Not known on this system.")
    good = total_gb >= LEAST_MEMORY_GB
    return Examined("memory", good, True, f"{total_gb:g} GB; one scan needs {LEAST_MEMORY_GB:g} GB.")


def _disk(name: str, folder: Path) -> Examined:
    there = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    if not os.access(there, os.W_OK):
        return Examined(name, False, True, f"{there} cannot be written; set TMPDIR or XDG_CACHE_HOME to one that can.")
    free = shutil.disk_usage(there).free / 1e9
    good = free >= LEAST_DISK_GB
    return Examined(name, good, True, f"{folder}: {free:.1f} GB free; {LEAST_DISK_GB:g} GB are needed.")


def _weights() -> Examined:
    try:
        names = [find_weights(entry.name).name for entry in list_weights()]
    except AdnError as error:
        return Examined("weights", False, True, str(error))
    if not names:
        return Examined("weights", False, True, "None ship with this build: install adn again.")
    return Examined("weights", True, True, f"{', '.join(names)}: whole.")


def _converter() -> Examined:
    name = "DICOM converter"
    try:
        import dcm2niix

        run = subprocess.run([dcm2niix.bin, "--version"], capture_output=True, text=True, timeout=30)
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        return Examined(name, False, True, f"dcm2niix does not run ({error}): install it again.")
    words = (run.stdout.strip() or run.stderr.strip() or "no version").splitlines()
    return Examined(name, "v" in words[-1], True, f"dcm2niix {words[-1]}.")


def _torch() -> Examined:
    try:
        import torch

        from adn.nn.precision import choose_device, choose_precision
    except (ImportError, OSError) as error:
        return Examined("PyTorch", False, True, f"It cannot be loaded ({error}): install torch for this machine.")
    device = choose_device("auto")
    precision = choose_precision("auto", device)
    why = "" if precision == "bf16" else ": this processor has no instructions for bf16, so networks take longer"
    said = f"{torch.__version__}, {torch.get_num_threads()} threads, on {device.type} in {precision}{why}."
    return Examined("PyTorch", True, True, said)


def _scan() -> Examined:
    """Predict a virtual patient in a process of its own, as a first `adn predict` does."""
    from adn.virtual.folders import synthesize

    with scratch_folder() as folder:
        case = synthesize(1, folder / "patient", 1)[0]
        command = [sys.executable, "-m", "adn", "predict", str(case / "ct.nii.gz"), "-o", str(folder / "out"), "-q"]
        started = time.perf_counter()
        run = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        made = list((folder / "out").glob("*/result.json"))
    if run.returncode or not made:
        return Examined("a scan", False, True, f"Predicting a virtual patient failed: {run.stderr.strip()[-400:]}")
    return Examined(
        "a scan", True, True, f"A virtual patient took {seconds:.1f} s from file to report, start included."
    )
