"""The program that converts DICOM: dcm2niix from its PyPI package, else the one on the PATH (conda, Debian)."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from importlib import metadata

from adn.errors import AdnError

_VERSION = re.compile(r"\bv(\d+\.\d+\.\d+)")
_SECONDS = 30


def converter() -> str:
    """Path of the program. Raises AdnError if it is not installed."""
    try:
        import dcm2niix
    except ImportError:
        found = shutil.which("dcm2niix")
        if found is None:
            raise AdnError(
                "reading DICOM needs the program dcm2niix, which is neither installed nor on the PATH; install it "
                "(pip install dcm2niix, or conda install -c conda-forge dcm2niix)."
            ) from None
        return found
    return dcm2niix.bin


@cache
def converter_version() -> str:
    """Version such as 1.0.20250506; 'absent' if no program runs, 'unknown' if it does not report a version.

    The program itself is run only if the PyPI package is not installed.
    """
    try:
        return metadata.version("dcm2niix")
    except metadata.PackageNotFoundError:
        pass
    try:
        return reported_version()
    except (AdnError, OSError, subprocess.SubprocessError):
        return "absent"


def reported_version() -> str:
    """The version the program reports. Raises AdnError if it is absent, OSError or SubprocessError if it fails."""
    # its exit code here is 3, so it is not checked
    run = subprocess.run([converter(), "--version"], capture_output=True, text=True, timeout=_SECONDS)
    found = _VERSION.search(run.stdout + run.stderr)
    return found.group(1) if found else "unknown"
