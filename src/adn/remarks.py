"""What is remarked about a scan or a prediction: facts first (`Remark`), words last (`SENTENCES`).

Code decides by a remark's kind and values. Its sentence is for people and is never read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    # what a file lost
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
    # why there was nothing to judge (`adn.findings.assessable`)
    "brain_dark",
    "air_level",
    "values_flat",
    "tissue_alike",
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
    "method_does_not_disentangle",
]
DoubtKind = Literal[
    "empty", "pieces", "uncertain", "volume", "density", "bone_or_air", "skips_slices", "little_bone", "coarse_voxels"
]


@dataclass(frozen=True)
class Doubt:
    """Why an outline cannot be the brain of that scan; as text, the end of a sentence. values: what decided it."""

    kind: DoubtKind
    values: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        return DOUBTS[self.kind].format(**self.values)


@dataclass(frozen=True)
class Remark:
    """One fact that readers must know or look at.

    values: numbers and names that decided it, units in their keys; nothing that names a patient. blocks: what was found
    may not be believed.
    """

    kind: Kind
    values: Mapping[str, Value] = field(default_factory=dict)
    blocks: bool = False

    @property
    def sentence(self) -> str:
        """The remark in words."""
        words = SENTENCES[self.kind]
        return words.format(**self.values) if isinstance(words, str) else words(self.values)

    @property
    def reason(self) -> str:
        """A remark that blocks as the end of a sentence, after 'because'."""
        return REASONS[self.kind].format(**self.values) if self.kind in REASONS else self.sentence.rstrip(".?")

    @property
    def warns(self) -> bool:
        """Whether it stands among the warnings; else only a quality check tells it."""
        return self.kind not in CHECK_ONLY


def warnings(remarks: Iterable[Remark]) -> tuple[str, ...]:
    """The sentences of those remarks that warn, in their order."""
    return tuple(remark.sentence for remark in remarks if remark.warns)


def blocking(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """Those remarks that make a scan not assessable, in their order."""
    return tuple(remark for remark in remarks if remark.blocks)


def _orientation_unrecorded(values: Mapping[str, Value]) -> str:
    codes = {"nifti": " (qform and sform codes are 0)", "nrrd": " (no anatomical space is named)"}
    sides = {"L": "left", "R": "right", "P": "back", "A": "front", "S": "top", "I": "bottom"}
    axes = ", ".join(sides[axis] for axis in str(values["axes"]))
    return (
        f"The file records no orientation{codes.get(str(values['format']), '')}: left and right are assumed. "
        f"Its axes are taken to run to the patient's {axes}."
    )


def _orientations_disagree(values: Mapping[str, Value]) -> str:
    mirrored = ", and left and right change places" if values["mirrored"] else ""
    return (
        f"The file's two orientations (qform and sform) disagree: they lie up to {values['apart_mm']:.1f} mm apart"
        f"{mirrored}. The sform was used; results carry both, as the scan does."
    )


def _classical_stripper(values: Mapping[str, Value]) -> str:
    reason = DOUBTS[values["reason"]].format(**values)  # type: ignore[index]  # a DoubtKind
    return f"The brain was outlined by the classical method, because the tissue network's outline {reason}."


def _method_does_not_disentangle(values: Mapping[str, Value]) -> str:
    rough = "" if values["aligns"] else " It takes the head as it lies, so sides and asymmetries are rough."
    return f"The method '{values['method']}' does not disentangle: P is the asymmetry where it marks.{rough}"


CHECK_ONLY: frozenset[Kind] = frozenset({"bright_spots", "alignment_no_better", "head_turned", "both_sides"})
SENTENCES: dict[Kind, str | Callable[[Mapping[str, Value]], str]] = {
    "orientation_unrecorded": _orientation_unrecorded,
    "orientations_disagree": _orientations_disagree,
    "voxel_sizes_disagree": "The file's voxel size (pixdim) is not that of its orientation (sform): the sform was "
    "used; results carry both, as the scan does.",
    "head_lies_otherwise": "The head does not lie as the file says: it seems to be {seems}. Sides, places and findings "
    "may be false: check how the file was made.",
    "unit_of_length": "The file gives its voxel size in {unit}, and was read so.",
    "several_series": "Several CT series: {read} was read. Also there (see `series`): {others}.",
    "tilt_left": "A gantry tilt of {tilt_deg:.1f} degrees is too small to be corrected and was left as it is.",
    "tilt_corrected": "A gantry tilt of {tilt_deg:.1f} degrees was corrected.",
    "gaps_uneven": "The distances between slices were uneven ({least_mm:.1f} to {most_mm:.1f} mm): "
    "the slices were resampled to {slice_mm:.1f} mm.",
    "contrast_recorded": "A contrast agent is recorded: adn is made for non-contrast CT.",
    "contrast_seen": "Vessels are as bright as after a contrast agent ({bright_mm2:.0f} mm² above 100 HU in half of "
    "the slices through the vault, or more): adn is made for non-contrast CT.",
    "filled_with_air": "{voxels} of {all_voxels} voxels were NaN or infinite and were filled with air.",
    "slices_thin": "Thin slices ({slice_mm:.1f} mm): noisier than the 5 mm slices adn is made for.",
    "slices_thick": "Thick slices ({slice_mm:.1f} mm): small infarcts may be missed.",
    "values_cut": "The values were cut to {floor_hu:.0f} to {top_hu:.0f} HU: air and bone were put back to find the "
    "brain; blood and calcification above the upper limit cannot be told apart.",
    "bone_removed": "The bone was removed from the scan: the brain was found by the gap that it left.",
    "skull_stripped": "The scan shows a brain without skull: its outline was taken as it came.",
    "classical_stripper": _classical_stripper,
    "part_of_head": "Only a part of the head was scanned ({height_mm:.0f} mm from bottom to top, slices: {slices}): "
    "the rest is not assessed, and left and right are matched less surely.",
    "vertex_cut": "The top of the head is cut off: the brain reaches the last slice; what lies above is unseen.",
    "base_cut": "The base of the brain is cut off: it reaches the first slice; what lies below is unseen.",
    "brain_small": "The brain mask is unusually small: {brain_ml:.0f} mL inside the skull; check the mask.",
    "brain_large": "The brain mask is unusually large: {brain_ml:.0f} mL inside the skull; check the mask.",
    "brain_bright": "The brain is unusually bright (median {median_hu:.0f} HU): contrast-enhanced, or not in HU?",
    "brain_dark": "The brain is unusually dark (median {median_hu:.0f} HU, usual are 17 to 40): not in HU?",
    "air_level": "Air lies at {air_hu:.0f} HU, not at -1000: the values are not in HU.",
    "values_flat": "{flat_percent:.0f} % of neighbouring voxels in the brain are equal: these are labels or areas that "
    "were painted, not a scan.",
    "tissue_alike": "Grey matter, white matter and fluid cannot be told apart ({contrast_hu:.1f} HU between them).",
    "little_brain": "Hardly any brain is in sight: {area_cm2:.0f} cm² in the slice with most of it.",
    "brain_size": "The brain is {width_mm:.0f} mm wide, {length_mm:.0f} mm long and {height_mm:.0f} mm high, "
    "which is no head's: check the voxel size.",
    "field_cut": "The field of view cuts off a part of the brain ({cut_cm2:.0f} cm²).",
    "territory_unknown": "The arterial territory is not named: the scan shows too little of the head to tell.",
    "bright_polarity": "These weights look for bright lesions, such as bleeds: read 'bright lesion' where files and "
    "report say 'infarct'.",
    "may_be_blood": "{bright_ml:.1f} mL in the brain measure 55 to 95 HU, away from bone: this may be blood. "
    "Bleeding is not assessed: look for it before anything else.",
    "bright_spots": "{bright_ml:.1f} mL in the brain measure 55 to 95 HU, away from bone: this may be blood.",
    "noisy": "The scan is noisy ({noise_hu:.0f} HU in tissue): early infarcts are hard to tell from noise.",
    "asymmetric": "The two hemispheres differ a lot after alignment ({after_hu:.0f} HU on average): "
    "the alignment may have failed, or the brain is deformed.",
    "alignment_no_better": "The two hemispheres differ more after alignment ({after_hu:.1f} HU) than before "
    "({before_hu:.1f} HU): asymmetries may be false.",
    "head_turned": "The head is turned by {turned_deg:.0f}° and rolled by {rolled_deg:.0f}°, near the limit of what "
    "can be corrected: asymmetries may be false.",
    "both_sides": "Both sides are marked (left {left_ml:.1f} mL, right {right_ml:.1f} mL): one of them may be false.",
    "method_does_not_disentangle": _method_does_not_disentangle,
}
REASONS: dict[Kind, str] = {  # after 'because', of kinds that can block
    "head_lies_otherwise": "the head does not lie as the file says",
    "classical_stripper": "the tissue network recognised no brain",
    "brain_small": "the brain mask holds only {brain_ml:.0f} mL",
    "brain_large": "the brain mask holds {brain_ml:.0f} mL",
    "brain_bright": "the brain is too bright for a scan without contrast in HU (median {median_hu:.0f} HU)",
    "brain_dark": "the brain is too dark for a scan in HU (median {median_hu:.0f} HU)",
    "air_level": "the values are not in HU (air at {air_hu:.0f})",
    "values_flat": "the values are labels or painted areas, not measured",
    "tissue_alike": "grey matter, white matter and fluid cannot be told apart",
    "little_brain": "hardly any brain is in sight",
    "brain_size": "the brain is {width_mm:.0f} mm wide, {length_mm:.0f} mm long and {height_mm:.0f} mm high",
    "field_cut": "the field of view cuts off a part of the brain",
    "noisy": "the scan is too noisy ({noise_hu:.0f} HU)",
    "asymmetric": "the two sides of the brain could not be aligned",
}
DOUBTS: dict[DoubtKind, str] = {
    "empty": "is empty",
    "pieces": "is in several pieces",
    "uncertain": "is uncertain",
    "volume": "holds {brain_ml:.0f} mL",
    "density": "has a mean of {mean_hu:.0f} HU",
    "bone_or_air": "holds {bone_percent:.0f} % bone and {air_percent:.0f} % air",
    "skips_slices": "skips slices",
    "little_bone": "has bone about only {bone_percent:.0f} % of it",
    "coarse_voxels": "needs axial slices, but voxels measure {depth_mm:.1f} × {height_mm:.1f} × {width_mm:.1f} mm",
}
