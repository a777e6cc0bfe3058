"""The DICOM SEG and SR (TID 1500) of one prediction, by highdicom, without any identity but the study's UIDs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.answers import Answers, Aspects, Blood, MassEffect, MassLike, OldInfarct, VolumeLimit, WaterUptake
from adn.figures.display import key_slices
from adn.figures.prediction import key_picture
from adn.report.words import first_line, reasons
from adn.results import DISCLAIMER, Prediction

NAME = "adn"
SEG_SERIES, SR_SERIES, PICTURE_SERIES = 9101, 9102, 9103  # numbers that no scanner gives
KEY_PICTURES = 4
DESCRIPTION = "{} by adn, research use only, not a medical device"  # at most 64 characters
_UNIT_MEANINGS = {"1": "no units", "mm": "millimeter", "%": "percent", "ml": "milliliter"}
AGAINST = {
    "above": ("ABOVE-LIMIT", "Above the limit"),
    "below": ("BELOW-LIMIT", "Below the limit"),
    "cannot_tell": ("ABOVE-OR-BELOW", "May be above or below the limit"),
}
RED_LAB = (53.2, 80.1, 67.2)


class _Finding(NamedTuple):
    """What is marked: a label and its SNOMED CT code."""

    label: str
    value: str
    meaning: str


FINDINGS = {"dark": _Finding("Infarct", "55641003", "Infarct"), "bright": _Finding("Lesion", "52988006", "Lesion")}


def stable_uid(*sources: str) -> str:
    """A UID derived from the given words: the same words give the same UID."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[NAME, *sources]))


def build(prediction: Prediction, mask: NDArray[np.uint8], images: list[Any]) -> tuple[Any, Any]:
    """SEG and SR. mask: (slices, rows, columns), 0 or 1, one slice per image, or per frame of a single image.

    Slices without infarct are left out of the SEG, unless there is no infarct at all.
    """
    from pydicom.uid import generate_uid

    tracking_uid = str(generate_uid())
    seg = _segmentation(prediction, mask, images, tracking_uid)
    return seg, _structured_report(prediction, seg, images, tracking_uid)


def _segmentation(prediction: Prediction, mask: NDArray[np.uint8], images: list[Any], tracking_uid: str) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    finding = FINDINGS[prediction.polarity]
    made = prediction.provenance
    algorithm = hd.AlgorithmIdentificationSequence(
        name=NAME,
        family=codes.DCM.ArtificialIntelligence,
        version=made.adn_version,
        parameters=_parameters(prediction),
    )
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=finding.label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=_finding_code(prediction),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=tracking_uid,
        tracking_id=f"{NAME} {finding.label.lower()}",
        anatomic_regions=[codes.SCT.Brain],
        display_color=hd.color.CIELabColor(*RED_LAB),
    )
    seg = hd.seg.Segmentation(
        source_images=images,
        pixel_array=mask,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_number=SEG_SERIES,
        content_label=finding.label.upper(),
        content_description="For research use only. Not a medical device."
        if prediction.assessable
        else "Not assessable: do not rely on it. For research use only.",
        omit_empty_frames=True,
        **_equipment(prediction),
    )
    _name_segment_in_frames(seg)
    return seg


def _name_segment_in_frames(seg: Any) -> None:
    """Name the segment in every frame; naming it once is just as valid, but some viewers (dwv) only look there."""
    shared, name = seg.SharedFunctionalGroupsSequence[0], "SegmentIdentificationSequence"
    if name in shared:
        for frame in seg.PerFrameFunctionalGroupsSequence:
            setattr(frame, name, getattr(shared, name))
        delattr(shared, name)


def _structured_report(prediction: Prediction, seg: Any, images: list[Any], tracking_uid: str) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    finding = FINDINGS[prediction.polarity]
    made = prediction.provenance
    observer = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=stable_uid("device", made.adn_version), name=NAME, manufacturer_name=NAME, model_name=NAME
    )
    group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=tracking_uid, identifier=f"{NAME} {finding.label.lower()}"),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=seg.SOPClassUID,
            sop_instance_uid=seg.SOPInstanceUID,
            segment_number=1,
            source_series=hd.sr.SourceSeriesForSegmentation(images[0].SeriesInstanceUID),
        ),
        finding_type=_finding_code(prediction),
        algorithm_id=hd.sr.AlgorithmIdentification(
            name=NAME,
            version=made.adn_version,
            parameters=[f"{name}: {value}" for name, value in _parameters(prediction).items()],
            family=codes.DCM.ArtificialIntelligence,
        ),
        finding_sites=_sites(prediction.measurements.side),
        measurements=_volumes(prediction),
    )
    context = hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=observer
        )
    )
    content = hd.sr.MeasurementReport(
        observation_context=context,
        procedure_reported=codes.LN.HeadCT,
        imaging_measurements=[group, *_answers(prediction)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    return hd.sr.Comprehensive3DSR(
        evidence=[*images, seg],
        content=content,
        series_number=SR_SERIES,
        is_complete=True,
        is_final=False,
        is_verified=False,
        **_equipment(prediction),
    )


def key_images(prediction: Prediction, images: list[Any]) -> list[Any]:
    """Secondary Captures of the slices with the most infarct, in one series, for viewers that show no SEG.

    Verdict and disclaimer are part of the pixels. Without infarct: evenly spaced slices.
    """
    import highdicom as hd
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    header = first_line(prediction)
    shared, objects = _equipment(prediction), []
    for number, index in enumerate(key_slices(prediction, KEY_PICTURES), start=1):
        image = hd.sc.SCImage.from_ref_dataset(
            ref_dataset=images[0],
            pixel_array=key_picture(prediction, index, header, DISCLAIMER),
            photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
            bits_allocated=8,
            coordinate_system=hd.CoordinateSystemNames.PATIENT,
            patient_orientation=("L", "P"),
            series_instance_uid=shared["series_instance_uid"],
            series_number=PICTURE_SERIES,
            sop_instance_uid=str(generate_uid()),
            instance_number=number,
            manufacturer=NAME,
            transfer_syntax_uid=ExplicitVRLittleEndian,
        )
        image.SeriesDescription = shared["series_description"]
        image.ManufacturerModelName = NAME
        image.SoftwareVersions = shared["software_versions"]
        image.DeviceSerialNumber = shared["device_serial_number"]
        image.BodyPartExamined = "HEAD"
        image.BurnedInAnnotation = "NO"  # nothing burned in that identifies a patient
        objects.append(image)
    return objects


def _equipment(prediction: Prediction) -> dict[str, Any]:
    """The equipment attributes; with new UIDs, since each run makes new objects."""
    from pydicom.uid import generate_uid

    made = prediction.provenance
    return {
        "series_instance_uid": str(generate_uid()),
        "sop_instance_uid": str(generate_uid()),
        "instance_number": 1,
        "series_description": DESCRIPTION.format(FINDINGS[prediction.polarity].label),
        "manufacturer": NAME,
        "manufacturer_model_name": NAME,
        "software_versions": made.adn_version,
        "device_serial_number": made.weights_sha256[:16],
    }


def _parameters(prediction: Prediction) -> dict[str, str]:
    made = prediction.provenance
    because = reasons(prediction.remarks)
    return {
        "recipe": made.recipe,
        "weights_sha256": made.weights_sha256[:16],
        "threshold": f"{made.threshold:g}",
        **({"not assessable, because": because} if because else {}),
        "use": DISCLAIMER,
    }


def _finding_code(prediction: Prediction) -> Any:
    from pydicom.sr.coding import Code

    finding = FINDINGS[prediction.polarity]
    return Code(finding.value, "SCT", finding.meaning)


def _volumes(prediction: Prediction) -> list[Any]:
    """The whole volume, and each side's if both sides count."""
    import highdicom as hd
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    found = prediction.measurements
    parts = [(found.volume_ml, None)]
    if found.side == "both":
        parts += [(found.left_ml, _sites("left")), (found.right_ml, _sites("right"))]
    return [
        hd.sr.Measurement(
            name=codes.SCT.Volume,
            value=round(volume_ml, 3),
            unit=Code("ml", "UCUM", "milliliter"),
            finding_sites=sites,
        )
        for volume_ml, sites in parts
    ]


def _answers(prediction: Prediction) -> list[Any]:
    """What a stroke reader asks, as one group without a region of its own; empty if nothing was answered.

    Concepts for which we know no certain DICOM, SNOMED CT or LOINC code have codes of our own (99ADN).
    """
    import highdicom as hd
    from pydicom.uid import generate_uid

    answers, found = prediction.answers, []
    score, shift, water, bled = answers.aspects, answers.mass_effect, answers.water_uptake, answers.blood
    if isinstance(score, Aspects):
        found += [_number("ASPECTS", "ASPECTS", points, "1", side)
                  for points, side in ((score.left, "left"), (score.right, "right"))]  # fmt: skip
    if isinstance(shift, MassEffect):
        if shift.septum_shift_mm is not None:
            found.append(_number("SHIFT-SEPTUM", "Midline shift at septum, to the left", shift.septum_shift_mm, "mm"))
        found.append(_number("SHIFT-PINEAL", "Midline shift at pineal level, to the left", shift.pineal_shift_mm, "mm"))
    if isinstance(water, WaterUptake):
        found.append(_number("NWU", "Net water uptake", water.percent, "%"))
    if isinstance(bled, Blood):
        found.append(_number("MAY-BE-BLOOD", "Volume that may be blood", bled.volume_ml, "ml"))
    judged = _evaluations(answers)
    if isinstance(old := answers.old_infarct, OldInfarct):
        found.append(_number("OLD-INFARCT", "Volume that looks like an old infarct", old.volume_ml, "ml"))
    if not found and not judged:
        return []
    identifier = hd.sr.TrackingIdentifier(uid=str(generate_uid()), identifier=f"{NAME} answers")
    return [
        hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=identifier, measurements=found or None, qualitative_evaluations=judged or None
        )
    ]


def _evaluations(answers: Answers) -> list[Any]:
    """The answers that are words, not numbers."""
    against, mass, found = answers.volume_limit, answers.mass_like, []
    if isinstance(against, VolumeLimit):
        code, meaning = AGAINST[against.against]
        found.append(_evaluation("VOLUME-LIMIT", f"Infarct volume against {against.limit_ml:g} mL", code, meaning))
    if isinstance(mass, MassLike) and mass.looks_so:
        found.append(_evaluation("MASS-LIKE", "Doubt of an infarct", "BRIGHT-IN-DARK", "Bright within dark tissue"))
    return found


def _evaluation(code: str, meaning: str, value_code: str, value_meaning: str) -> Any:
    """A question and its answer, both in our own codes."""
    import highdicom as hd
    from pydicom.sr.coding import Code

    return hd.sr.QualitativeEvaluation(
        name=Code(code, "99ADN", meaning), value=Code(value_code, "99ADN", value_meaning)
    )


def _number(code: str, meaning: str, value: float, unit: str, side: str = "none") -> Any:
    """One measurement of the brain. unit: UCUM."""
    import highdicom as hd
    from pydicom.sr.coding import Code

    return hd.sr.Measurement(
        name=Code(code, "99ADN", meaning),
        value=round(float(value), 2),
        unit=Code(unit, "UCUM", _UNIT_MEANINGS[unit]),
        finding_sites=_sites(side),
    )


def _sites(side: str) -> list[Any]:
    """The brain, and which side of it; no side without infarct."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    sides = {"left": codes.SCT.Left, "right": codes.SCT.Right, "both": codes.SCT.RightAndLeft}
    return [hd.sr.FindingSite(anatomic_location=codes.SCT.Brain, laterality=sides.get(side))]
