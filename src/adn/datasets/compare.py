"""Finds problems between cases: duplicates, leaks across a split, and masks flipped throughout the data set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from adn.datasets.inspection import Inspection
from adn.datasets.layouts import Case
from adn.datasets.orientation import common_flip
from adn.datasets.problems import Finding
from adn.datasets.splits import PARTS, Split, leaks

WHOLE_SET = "(all cases)"


def compare_cases(inspections: Sequence[Inspection], split: Split | None = None) -> list[Finding]:
    """Find duplicates by content, leaks between the parts of a split, and masks flipped throughout the data set."""
    findings = [*_duplicates(inspections, split), *_repeated_masks(inspections)]
    flip = common_flip([one.fit for one in inspections])
    if flip:
        findings.append(
            Finding(
                WHOLE_SET,
                "flipped masks",
                True,
                f"On the whole, the masks fit better after {flip}.",
                "Convert scans and masks with one tool, or flip all masks; look at the pictures.",
            )
        )
    if split is not None:
        findings += _split_problems(inspections, split)
    return findings


def _groups(pairs: Iterable[tuple[str | None, Case]]) -> list[list[Case]]:
    groups: dict[str, list[Case]] = defaultdict(list)
    for key, case in pairs:
        if key is not None:
            groups[key].append(case)
    return [group for group in groups.values() if len(group) > 1]


def _duplicates(inspections: Sequence[Inspection], split: Split | None) -> Iterable[Finding]:
    places: dict[str, object] = {one.case.name: one.case.test for one in inspections}
    if split:
        places = {row.case: (row.part, row.fold) for row in split.rows}
    for group in _groups((one.content, one.case) for one in inspections):
        names = ", ".join(case.name for case in group)
        leaking = len({places[case.name] for case in group if case.name in places}) > 1
        strangers = len({case.subject for case in group}) > 1
        if leaking:
            yield Finding(
                names,
                "leakage",
                True,
                "The same scan is in two parts, such as train and test.",
                "Keep one of them, and make the split again.",
            )
        else:
            yield Finding(
                names,
                "duplicate",
                strangers,
                "The same scan under several names"
                + (", as different patients: a split may separate them." if strangers else "."),
                "Keep one of them.",
            )


def _repeated_masks(inspections: Sequence[Inspection]) -> Iterable[Finding]:
    contents = {one.case.name: one.content for one in inspections}
    for group in _groups((one.mask_content, one.case) for one in inspections):
        if len({contents[case.name] for case in group}) > 1:
            yield Finding(
                ", ".join(case.name for case in group),
                "same mask twice",
                True,
                "Different scans have exactly the same infarct mask.",
                "Find out whose mask it is.",
            )


def _split_problems(inspections: Sequence[Inspection], split: Split) -> Iterable[Finding]:
    for sentence in leaks(split):
        yield Finding(WHOLE_SET, "leakage", True, sentence[0].upper() + sentence[1:] + ".", "Split again by subject.")
    there = {one.case.name: one.case for one in inspections}
    listed = {row.case for row in split.rows}
    for row in split.rows:
        if row.case not in there:
            yield Finding(
                row.case, "split", True, "The split lists a case that does not exist.", "Make the split again."
            )
        elif there[row.case].subject != row.subject:
            yield Finding(
                row.case,
                "split",
                False,
                f"The split says subject '{row.subject}', the data set '{there[row.case].subject}'.",
                "Make the split again if the data set is right.",
            )
    for name in sorted(set(there) - listed):
        if there[name].infarct is not None:
            yield Finding(
                name,
                "split",
                False,
                f"The split does not list it for {', '.join(PARTS)}: it is not used.",
                "Make the split again to use it.",
            )
