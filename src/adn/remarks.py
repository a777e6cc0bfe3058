"""Remarks about a scan or a prediction: facts first (`Remark`), wording last (`adn.lang`).

Code decides by a remark's kind and values. Its sentence is for people and is never parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from adn.lang import Words, words

Value = float | int | str | bool
Kind = Literal[
    # reading
    "orientation_unrecorded",
    "orientations_disagree",
    "voxel_sizes_disagree",
    "unit_of_length",
    "head_lies_otherwise",
    "several_series",
    "tilt_left",
    "tilt_corrected",
    "gaps_uneven",
    "contrast_recorded",
    "contrast_seen",
    "filled_with_air",
    "slices_thin",
    "slices_thick",
    # what earlier processing removed
    "values_cut",
    "bone_removed",
    "skull_stripped",
    # the brain's outline
    "part_of_head",
    "classical_stripper",
    "vertex_cut",
    "base_cut",
    "brain_small",
    "brain_large",
    "brain_bright",
    # why the scan is not assessable (`adn.findings.assessable`)
    "brain_dark",
    "air_level",
    "values_flat",
    "halves_equal",
    "slices_equal",
    "tissue_alike",
    "tissue_levels",
    "little_brain",
    "brain_size",
    "field_cut",
    # the prediction as a whole
    "territory_unknown",
    "bright_polarity",
    "may_be_blood",
    "bright_spots",
    "noisy",
    "asymmetric",
    "alignment_no_better",
    "head_turned",
    "both_sides",
    "old_left_out",
    "old_marked",
    "parts_left_out",
    "may_be_mass",
    "method_does_not_disentangle",
]
DoubtKind = Literal[
    "empty", "pieces", "uncertain", "volume", "density", "bone_or_air", "skips_slices", "little_bone", "coarse_voxels"
]
CHECK_ONLY: frozenset[Kind] = frozenset({"bright_spots", "alignment_no_better", "head_turned", "both_sides"})
# Done or seen, but no cause for concern: noise has a warning of its own.
NOTES: frozenset[Kind] = frozenset({"tilt_corrected", "unit_of_length", "slices_thin", "parts_left_out"})


@dataclass(frozen=True)
class Doubt:
    """Why an outline cannot be the scan's brain; as text, the end of a sentence. values: the numbers that decided."""

    kind: DoubtKind
    values: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        return words()(f"doubts.{self.kind}", **self.values)


@dataclass(frozen=True)
class Remark:
    """One fact that readers must know or check.

    values: the numbers and names that decided it, with units in their keys; nothing that identifies a patient. blocks:
    the findings must not be relied on.
    """

    kind: Kind
    values: Mapping[str, Value] = field(default_factory=dict)
    blocks: bool = False

    @property
    def sentence(self) -> str:
        """The remark in English."""
        return self.told()

    @property
    def reason(self) -> str:
        """Why it blocks, as the end of an English sentence after 'because'."""
        return self.because()

    def told(self, say: Words | None = None) -> str:
        """The remark as a sentence. say: a language's words; English by default."""
        return _filled(f"remarks.{self.kind}", self.values, say or words())

    def because(self, say: Words | None = None) -> str:
        """Why it blocks, as the end of a sentence."""
        say, key = say or words(), f"reasons.{self.kind}"
        return _filled(key, self.values, say) if say.has(key) else self.told(say).rstrip(".?")

    @property
    def warns(self) -> bool:
        """Whether it is listed among the warnings; otherwise a note or a quality check reports it."""
        return self.kind not in CHECK_ONLY | NOTES


def warnings(remarks: Iterable[Remark], say: Words | None = None) -> tuple[str, ...]:
    """The sentences of the remarks that warn, in order. say: a language's words; English by default."""
    return tuple(remark.told(say) for remark in remarks if remark.warns)


def notes(remarks: Iterable[Remark], say: Words | None = None) -> tuple[str, ...]:
    """The sentences of the remarks that only inform, in order. say: as above."""
    return tuple(remark.told(say) for remark in remarks if remark.kind in NOTES)


def blocking(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """The remarks that make a scan not assessable, in order."""
    return tuple(remark for remark in remarks if remark.blocks)


def _filled(key: str, values: Mapping[str, Value], say: Words) -> str:
    """A text with its values filled in, and with the phrases that depend on them."""
    shown = {name: say.term(value) for name, value in values.items()}
    if "axes" in values:
        ways = (say(f"remark_parts.towards.{axis}") for axis in str(values["axes"]))
        code = f"remark_parts.code.{values['format']}"
        shown |= {"axes_towards": ", ".join(ways), "code": say(code) if say.has(code) else ""}
    if "mirrored" in values:
        shown["if_mirrored"] = say("remark_parts.mirrored") if values["mirrored"] else ""
    if "aligns" in values:
        shown["if_rough"] = "" if values["aligns"] else say("remark_parts.rough")
    if say.has(doubt := f"doubts.{values.get('reason')}"):
        shown["doubt"] = say(doubt, **values)
    return say(key, **shown)
