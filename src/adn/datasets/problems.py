"""The closed list of problems a data set can have, and `Finding`, which gives case, cause and remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adn.remarks import Kind

Label = Literal["infarct mask", "tissue map", "brain mask", "ignore mask", "mask of what was seen"]
Problem = Literal[
    # in a single case
    "not HU",
    "unreadable CT",
    "no brain",
    "brain mask",
    "brain cut off",
    "brain size",
    "contrast agent",
    "slices missing",
    "reading",
    "part of a head",
    "nothing seen",
    "no mask",
    "empty mask",
    "grids differ",
    "flipped mask",
    "outside the brain",
    "unreadable infarct mask",
    "unreadable tissue map",
    "unreadable brain mask",
    "unreadable ignore mask",
    "unreadable mask of what was seen",
    "infarct mask values",
    "tissue map values",
    "brain mask values",
    "ignore mask values",
    "mask of what was seen values",
    # between cases
    "flipped masks",
    "leakage",
    "duplicate",
    "same mask twice",
    "split",
]
UNREADABLE: dict[Label, Problem] = {
    "infarct mask": "unreadable infarct mask",
    "tissue map": "unreadable tissue map",
    "brain mask": "unreadable brain mask",
    "ignore mask": "unreadable ignore mask",
    "mask of what was seen": "unreadable mask of what was seen",
}
VALUES: dict[Label, Problem] = {
    "infarct mask": "infarct mask values",
    "tissue map": "tissue map values",
    "brain mask": "brain mask values",
    "ignore mask": "ignore mask values",
    "mask of what was seen": "mask of what was seen values",
}
OF_MASK: dict[Kind, Problem] = {  # the data set problem behind each remark on a brain mask
    "part_of_head": "brain cut off",
    "vertex_cut": "brain cut off",
    "base_cut": "brain cut off",
    "brain_small": "brain size",
    "brain_large": "brain size",
    "brain_bright": "contrast agent",
}


@dataclass(frozen=True)
class Finding:
    """One problem. blocks: training would fail or learn something wrong. cause, remedy: sentences for the user."""

    case: str
    kind: Problem
    blocks: bool
    cause: str
    remedy: str
