"""Fixed sets of virtual patients: manifests name every file and plan, so that a set is the same everywhere and always.

`tools/make_presets.py` makes the manifests beside this file, `manifest.py` reads them. This module has only their
names, so that the command line can show them without loading the renderer.
"""

from importlib import resources

_FILES = (file.name for file in resources.files(__name__).iterdir())
PRESETS = tuple(sorted(name.removesuffix(".json") for name in _FILES if name.endswith(".json")))
