"""Print constraints for pip: the oldest version that pyproject.toml allows of everything adn needs.

    python tools/lowest.py > lowest.txt

PyTorch is the version in constraints.txt, because PyPI has no older builds for Linux without CUDA. The tools that tests
need also come from constraints.txt. `make lowest` installs these versions into a venv and runs tests there.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
AS_PINNED = ("torch", "pytest", "hypothesis", "beartype")
_FLOOR = re.compile(r"(?P<name>[\w.-]+)>=(?P<version>[\w.]+)\s*(?P<marker>;.*)?")


def lowest(needs: list[str], pins: dict[str, str]) -> list[str]:
    """A constraint for each of `needs`, such as 'numpy>=1.24', then one for each tool of the tests.

    pins: name → version, from constraints.txt. Raises ValueError for a need without a least version, or with a further
    condition.
    """
    lines = []
    for need in needs:
        found = _FLOOR.fullmatch(need)
        if found is None:
            raise ValueError(f"'{need}' should be a name, >= and the least version that is tested.")
        if found["name"] not in AS_PINNED:
            lines.append(f"{found['name']}=={found['version']}{found['marker'] or ''}")
    return lines + [f"{name}=={pins[name]}" for name in AS_PINNED]


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    print("\n".join(lowest(project["dependencies"], dict(pinned))))
