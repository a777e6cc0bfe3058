"""The program that converts DICOM: dcm2niix of PyPI's package, else the one on the PATH (conda, Debian)."""

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
    """Path of the program. Raises AdnError where there is none."""
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
    """As 1.0.20250506; 'absent' where there is no program that runs, 'unknown' where it says none.

    The program itself is asked only where PyPI's package is not there.
    """
    try:
        return metadata.version("dcm2niix")
    except metadata.PackageNotFoundError:
        pass
    try:
        return said_version()
    except (AdnError, OSError, subprocess.SubprocessError):
        return "absent"


def said_version() -> str:
    """What the program says. Raises AdnError where there is none, OSError or SubprocessError where it does not run."""
    run = subprocess.run([converter(), "--version"], capture_output=True, text=True, timeout=_SECONDS)  # ends with 3
    found = _VERSION.search(run.stdout + run.stderr)
    return found.group(1) if found else "unknown"
