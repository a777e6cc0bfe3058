"""The state of a node, read from its folder whether it is running or not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from adn.node.intake import INCOMING
from adn.node.outbox import read_deliveries
from adn.node.priors import read_fetch
from adn.server.cases import RECORD


def status(folder: Path) -> dict[str, Any]:
    """What a node's folder holds, running or not: counts, and a line for each case that needs attention."""
    states: Counter[str] = Counter()
    peers: dict[str, Counter[str]] = {}
    not_taken: dict[str, set[str]] = {}
    look = []
    for path in sorted(folder.glob(f"*/{RECORD}")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        states[record["state"]] += 1
        if record["state"] == "failed":
            look.append({"case": record["id"], "problem": (record.get("error") or {}).get("detail", "")})
        for name, delivery in read_deliveries(path.parent).items():
            peers.setdefault(name, Counter())[delivery.state] += 1
            if delivery.refused:
                not_taken.setdefault(name, set()).update(delivery.refused)
            if delivery.error:
                look.append({"case": record["id"], "problem": f"{delivery.error} Tried {delivery.tries} times."})
        priors = read_fetch(path.parent)
        if priors and priors.error:
            look.append({"case": record["id"], "problem": f"{priors.error} Tried {priors.tries} times."})
    coming = sum(any(study.glob("*.dcm")) for study in (folder / INCOMING).glob("*"))
    return {
        "studies_with_images": coming,
        "cases": dict(states),
        "deliveries": {name: dict(counts) for name, counts in peers.items()},
        "not_taken": {name: sorted(kinds) for name, kinds in not_taken.items()},
        "look": look,
    }
