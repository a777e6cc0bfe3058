"""Which series of a DICOM folder is the head CT: the choice, and how messages list what there is."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from adn.errors import InputError
from adn.io.series import FEW_SLICES, Header, Series
from adn.io.stacks import stacks
from adn.remarks import Remark

_PHASES = 4  # this many stacks of one series at the same positions are the phases of a perfusion scan


def choose(headers: Sequence[Header], where: Path, wanted: str | None = None) -> tuple[Series, list[Remark]]:
    """Pick the axial head CT with the most slices, or the series that `wanted` names; remark if there were several.

    where: the path as given; if it is a single file, the stack containing that file is preferred. wanted:
    SeriesInstanceUID, series number, part of the description, or a position in the list shown in messages, such as
    '#2'. Raises InputError, listing what was found, if there is no CT or nothing matches; also if there are several
    patients and `wanted` is None.
    """
    series = _group(header for header in headers if not header.localizer)
    if wanted is not None:
        series = _matching(series, wanted, where)
    tomograms = [one for one in series if one.first.modality == "CT"]
    computed = [one for one in tomograms if one.first.orientation is not None]
    if tomograms and not computed:
        raise InputError(
            "needed slices at known positions, but ImageOrientationPatient is absent, and adn does not "
            "guess. Export the series again from the archive, or give the scan as NIfTI.",
            where,
        )
    if not computed:
        found = ", ".join(sorted({header.modality or "unknown" for header in headers})) or "nothing else"
        what = "only localizers" if series == [] and headers else f"images of modality {found}, no axial CT series"
        raise InputError(f"needed a head CT, but it holds {what}; give the folder of the CT series.", where)
    ranked = _ranked(computed)
    if wanted is None:
        named = os.path.abspath(where)
        ranked.sort(key=lambda one: named not in {os.path.abspath(header.path) for header in one.headers})
    if len(ranked) == 1:
        _require_whole_series(ranked[0], headers, where)
        return ranked[0], []
    _require_whole_series(ranked[0], headers, where)
    chosen, *rest = _choices(ranked)
    others = "; ".join(rest)
    if len({one.first.patient for one in ranked}) > 1 and wanted is None:
        raise InputError(
            f"needed the scan of one patient, but there are several: {'; '.join(_choices(ranked))}. Give the "
            "folder of one of them, or choose by `series`.",
            where,
        )
    return ranked[0], [Remark("several_series", {"read": chosen.removeprefix("#1 "), "others": others})]


def _ranked(series: Sequence[Series]) -> list[Series]:
    """Best first: by grade, then no perfusion phases, then no contrast in the vessels, then by preference.

    Vessels are examined only if several series share the best grade.
    """
    uids = [one.first.uid for one in series]
    grades = {id(one): (*one.grade(), uids.count(one.first.uid) < _PHASES) for one in series}
    best = max(grades.values(), default=())
    rivals = [one for one in series if grades[id(one)] == best]
    plain = {id(one): len(rivals) < 2 or not one.shines for one in rivals}
    return sorted(series, key=lambda one: (*grades[id(one)], plain.get(id(one), True), *one.preference()), reverse=True)


def _choices(ranked: Sequence[Series]) -> list[str]:
    """Each series as listed in messages: numbered, with whatever tells it apart from others that look the same."""
    start = min((one.first.seconds for one in ranked if one.first.seconds is not None), default=0.0)
    later = [(one.first.seconds or start) - start for one in ranked]
    taken = [f", taken {wait / 60:.1f} min after the first" if wait else "" for wait in later]
    uids = [one.first.uid for one in ranked]
    again = [_part_of_series(one.first) if uids.count(one.first.uid) > 1 else "" for one in ranked]
    bright = [", vessels as bright as after contrast" if "shines" in vars(one) and one.shines else "" for one in ranked]
    words = ["".join(parts) for parts in zip((one.label() for one in ranked), again, taken, bright, strict=True)]
    images = [
        f", image {one.first.instance_number}"
        if words.count(word) > 1 and one.first.instance_number is not None
        else ""
        for one, word in zip(ranked, words, strict=True)
    ]
    return [f"#{number} {word}{image}" for number, (word, image) in enumerate(zip(words, images, strict=True), start=1)]


def _part_of_series(first: Header) -> str:
    """What tells a stack apart from the others of its series."""
    acquisition = f", acquisition {first.acquisition}" if first.acquisition else ""
    stack = f", stack {first.stack}" if first.stack else ""
    frames = "" if first.whole else f", frames from {first.numbers[0] + 1}"
    return acquisition + stack + frames


def _require_whole_series(best: Series, headers: Sequence[Header], where: Path) -> None:
    """Refuse images that each have a SeriesInstanceUID of their own: none of them is a scan by itself."""
    alike = [
        one
        for one in headers
        if one.modality == "CT" and (one.shape, one.plane) == (best.first.shape, best.first.plane)
    ]
    if best.slices == 1 and len({one.uid for one in alike}) >= FEW_SLICES:
        raise InputError(
            f"needed one series, but each of {len(alike)} slices has a SeriesInstanceUID of its own: which "
            "belong together is not known. Export the series again from the archive, or give the scan as NIfTI.",
            where,
        )


def _matching(series: list[Series], wanted: str, where: Path) -> list[Series]:
    text = wanted.strip().lower()
    listed = _ranked(series) if text.startswith("#") else list(series)
    tests = (
        lambda one: text == f"#{listed.index(one) + 1}",
        lambda one: one.first.uid == text,
        lambda one: text.isdigit() and one.first.number == int(text),
        lambda one: bool(text) and text in one.first.description.lower(),
    )
    for test in tests:
        if found := [one for one in series if test(one)]:
            return found
    there = "; ".join(f"{one.label()}, {one.first.modality}" for one in series) or "no image series"
    raise InputError(f"has no series '{wanted}'; give the number or part of the description of one of: {there}.", where)


def _group(headers: Iterable[Header]) -> list[Series]:
    groups: dict[tuple, list[Header]] = defaultdict(list)
    for header in headers:
        groups[header.patient, header.uid, header.shape, header.plane].append(header)
    return [Series(tuple(stack)) for group in groups.values() for stack in stacks(group)]
