"""What this machine has and lacks for adn, and how fast it is, from small pieces of the work and a virtual patient."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adn.errors import AdnError
from adn.installation import floor_of, installation, is_older, lacking_libraries
from adn.io.atomic import scratch_folder
from adn.io.cache import cache_folder
from adn.io.converter import converter, reported_version
from adn.io.weights import find_weights, list_weights

if TYPE_CHECKING:
    import torch

LEAST_MEMORY_GB, LEAST_DISK_GB = 2.0, 1.0  # for one scan of 60 thick slices and its report
EXTRAS = {  # the package's extras: the modules of each, and what it is for
    "train": (("monai", "tensorboard"), "adn train, adn benchmark"),
    "serve": (("fastapi", "uvicorn", "python_multipart"), "adn serve, adn view"),
    "node": (("pynetdicom", "dicomweb_client", "fastapi"), "adn node"),
    "archive": (
        ("distributed", "pyarrow", "obstore", "cryptography"),
        "whole archives: adn predict of a folder, a table or s3:// with `jobs` or `scheduler`",
    ),
    "import": (("gdcm",), "packed DICOM of public data sets"),
}
# `adn predict` on 56 slices, in pieces of work. On a core with AVX-512 BF16 it took 10 CPU seconds
# (docs/lab/2026-11-29-reliability.md): 2.1 in the networks, 0.025 s a piece (fp32: 0.047 s), and the rest elsewhere,
# 0.030 s a piece.
NETWORK_PIECES, OTHER_PIECES = 82, 265
_TRIES = 5
_BUSY = 0.8  # share of a core; a process that gets less is competing with others


@dataclass(frozen=True)
class Examined:
    """One thing that was checked.

    needed: adn cannot predict without it. said: a sentence, with the remedy. value: the number it is about, in GB or
    seconds, if any.
    """

    name: str
    good: bool
    needed: bool
    said: str
    value: float | None = None


def examine(try_a_scan: bool = True) -> Iterator[Examined]:
    """Check everything that adn needs, one by one. try_a_scan: also predict a virtual patient (some seconds)."""
    facts = installation()
    gpus = ", ".join(facts["devices"][1:]) or "no NVIDIA GPU"
    said = f"{facts['system']}, Python {facts['python']}, {facts['cores']} cores, {gpus}."
    yield Examined("machine", True, True, said)
    yield _memory(facts["memory_gb"], facts["cores"])
    with scratch_folder() as scratch:
        yield _disk("temporary folder", scratch.parent)
    yield _disk("cache folder", cache_folder())
    yield _weights()
    yield _libraries()
    yield _converter()
    torch_found = _torch()
    yield torch_found
    for extra in EXTRAS:
        yield _extra(extra)
    if torch_found.good:
        yield _speed()
        if try_a_scan:
            yield _scan()


def _memory(total_gb: float | None, cores: int) -> Examined:
    if total_gb is None:
        return Examined("memory", True, True, "Unknown on this system.")
    good = total_gb >= LEAST_MEMORY_GB
    at_once = max(1, min(cores, int(total_gb / LEAST_MEMORY_GB)))
    room = f", so at most {at_once} at once here (`jobs` {at_once})" if good else ""
    return Examined("memory", good, True, f"{total_gb:g} GB; one scan needs {LEAST_MEMORY_GB:g} GB{room}.", total_gb)


def _disk(name: str, folder: Path) -> Examined:
    there = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    if not os.access(there, os.W_OK):
        return Examined(name, False, True, f"{there} cannot be written; set TMPDIR or XDG_CACHE_HOME to one that can.")
    free = shutil.disk_usage(there).free / 1e9
    good = free >= LEAST_DISK_GB
    return Examined(name, good, True, f"{folder}: {free:.1f} GB free; needed: {LEAST_DISK_GB:g} GB.", round(free, 1))


def _weights() -> Examined:
    try:
        names = [find_weights(entry.name).name for entry in list_weights()]
    except AdnError as error:
        return Examined("weights", False, True, str(error))
    if not names:
        return Examined("weights", False, True, "This build includes none: install adn again.")
    return Examined("weights", True, True, f"{', '.join(names)}: complete and undamaged.")


def _libraries() -> Examined:
    lacking = lacking_libraries()
    if lacking:
        return Examined("libraries", False, True, f"{', '.join(lacking)}: install adn again, or those.")
    return Examined("libraries", True, True, "All are installed, and recent enough.")


def _converter() -> Examined:
    name = "DICOM converter"
    try:
        where, version = converter(), reported_version()
    except (AdnError, OSError, subprocess.SubprocessError) as error:
        return Examined(name, False, True, f"dcm2niix does not run ({error}): install it again.")
    floor = floor_of("dcm2niix")
    if is_older(version, floor):
        said = f"dcm2niix {version} ({where}) is older than {floor}, the oldest supported: install a newer one."
        return Examined(name, False, False, said)
    return Examined(name, True, True, f"dcm2niix {version} ({where}).")


def _torch() -> Examined:
    try:
        import torch

        from adn.nn.precision import choose_device, choose_precision
    except (ImportError, OSError) as error:
        return Examined("PyTorch", False, True, f"It cannot be loaded ({error}): install torch for this machine.")
    device = choose_device("auto")
    precision = choose_precision("auto", device)
    if device.type == "cuda":
        where = f"on {torch.cuda.get_device_name()}"
    else:
        threads = torch.get_num_threads()
        where = f"{threads} thread{'s' * (threads != 1)} of this processor ({_instructions()})"
    build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    why = "" if precision == "bf16" else ": this processor has no instructions for bf16, so networks take longer"
    return Examined("PyTorch", True, True, f"{torch.__version__}, built {build}; {where}, in {precision}{why}.")


def _instructions() -> str:
    """The processor's instructions that speed up networks, as 'AVX512, bf16, AMX'."""
    import torch
    from torch.cpu import _is_amx_tile_supported, _is_avx512_bf16_supported  # no public names in torch 2.11 to 2.13

    kinds = [torch.backends.cpu.get_cpu_capability()]
    kinds += ["bf16"] if _is_avx512_bf16_supported() else []
    kinds += ["AMX"] if _is_amx_tile_supported() else []
    return ", ".join(kinds)


def _extra(extra: str) -> Examined:
    modules, purpose = EXTRAS[extra]
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    if absent:
        remedy = f"Install it: pip install 'adn-stroke[{extra}]'."
        said = f"Not installed: {purpose}. {', '.join(absent)} cannot be imported. {remedy}"
        return Examined(f"extra {extra}", False, False, said)
    return Examined(f"extra {extra}", True, False, f"Installed: {purpose}.")


def _speed() -> Examined:
    """How long a scan would take, estimated from a convolution like the networks' and from a sample of other work."""
    from adn.nn.precision import choose_device, choose_precision

    device = choose_device("auto")
    network_s, _ = _quickest(_convolution(device, choose_precision("auto", device) == "bf16"))
    other_s, share = _quickest(_other_work)
    seconds = NETWORK_PIECES * network_s + OTHER_PIECES * other_s
    busy = "" if share > _BUSY else " This machine is also busy with other work now; it is faster when idle."
    said = f"A scan of 56 slices takes about {seconds:.0f} s, estimated from short measurements on this machine.{busy}"
    return Examined("speed", True, True, said, round(seconds, 1))


def _quickest(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds taken by the quickest of several runs, and the processor time this process got per second of it."""
    found = []
    for _ in range(_TRIES):
        started, used = time.perf_counter(), time.process_time()
        work()
        seconds = time.perf_counter() - started
        found.append((seconds, (time.process_time() - used) / seconds))
    return min(found)


def _convolution(device: torch.device, lower: bool) -> Callable[[], object]:
    """Three 3D convolutions of 32 channels on 16 × 64 × 64 voxels, in bf16 if `lower`."""
    import torch

    from adn.nn.precision import made_ready

    layer = made_ready(torch.nn.Conv3d(32, 32, 3, padding=1), device)
    x = torch.rand(1, 32, 16, 64, 64, device=device).contiguous(memory_format=torch.channels_last_3d)

    def work() -> object:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=lower):
            for _ in range(3):
                found = layer(x)
        return found.sum().item()  # waits for the GPU

    return work


def _other_work() -> None:
    """Sorting, compression and plain Python on one core, like reading, measuring and the report."""
    values = np.random.default_rng(0).normal(size=500_000).astype(np.float32)
    zlib.compress(values[:200_000].tobytes())
    np.sort(values)
    sum(number * number for number in range(200_000))


def _scan() -> Examined:
    """Predict a virtual patient in a separate process, as a first `adn predict` would."""
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
    said = f"A virtual patient took {seconds:.1f} s from file to report, start included."
    return Examined("a scan", True, True, said, round(seconds, 1))
