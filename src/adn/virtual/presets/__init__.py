"""Fixed sets of virtual patients: manifests name every file and plan, so that a set is the same everywhere and always.

`tools/make_presets.py` makes the manifests beside this file, `manifest.py` reads them. Here are their names alone, so
that the command line can show them without loading what renders patients.
"""

from importlib import resources

_FILES = (file.name for file in resources.files(__name__).iterdir())
PRESETS = tuple(sorted(name.removesuffix(".json") for name in _FILES if name.endswith(".json")))
