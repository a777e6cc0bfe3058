"""Make the manifests of the fixed sets of virtual patients (src/adn/virtual/presets/*.json), deterministically.

    python tools/make_presets.py --anatomy DIR --lesions DIR [vp52 ...]

Plans are drawn as `adn synth` draws them; for each patient, the first candidate is taken whose rendered infarct falls
into the intended volume stratum. Complete plans go into the manifest, so that later changes to drawing do not change
the sets. Run this again only if rendering itself has changed, and say so in CHANGELOG.md: scores on the sets from
before and after cannot be compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from adn.config_draws import PatientsConfig
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan, scanner_grid, scanner_lattice
from adn.virtual.library import Library, lesion_volumes_ml, read_registration
from adn.virtual.plan import PatientPlan
from adn.virtual.presets.manifest import HEALTHY, STRATA_ML, stratum_of

HEADS = "the SynthSeg training label maps (github.com/BBillot/SynthSeg, data/training_label_maps; Apache-2.0)"
LESIONS = (
    "the SOOP infarct masks in MNI space (github.com/neurolabusc/StrokeOutcomeOptimizationProjectDemo, NIfTI; data "
    "from OpenNeuro ds004889, CC0; repository BSD-2)"
)
ABOUT = "{n} virtual patients, {healthy} of them without infarct, {what}. For research use only."
DIGITS = 6  # of a plan's numbers
MARGIN = 0.02  # infarct volumes stay this share away from a stratum's ends, so that rounding does not move them across
MATRIX = 160  # pixels per row when a candidate is measured: a tenth of the time; large infarcts are within 1 %
LEAST_ML = 1.0  # small ones may lose 0.3 mL at the scanner's own 400 to 512 pixels
MAX_CANDIDATES = 400


@dataclass(frozen=True)
class Recipe:
    """How a set is made. split: of heads and lesions; None: only what installed packages hold."""

    split: str | None
    per_stratum: int
    healthy: int
    what: str


RECIPES = {
    "vp52": Recipe("test", 14, 10, "of heads 13 to 16 and lesions of the test list"),
    "vp52-val": Recipe("val", 7, 5, "of heads 11 and 12 and lesions of the validation list"),
    "vp-mni": Recipe(None, 14, 10, "of the MNI priors in nilearn and procedural infarcts: the test set"),
    "vp-mni-val": Recipe(None, 7, 5, "of the MNI priors in nilearn and procedural infarcts: the validation set"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--anatomy", type=Path, required=True)
    parser.add_argument("--lesions", type=Path, required=True)
    arguments = parser.parse_args()
    for name in arguments.names:
        manifest = make(name, RECIPES[name], arguments.anatomy, arguments.lesions)
        write(manifest, Path(str(resources.files("adn.virtual.presets"))) / f"{name}.json")


def make(name: str, recipe: Recipe, anatomy: Path, lesions: Path) -> dict[str, Any]:
    """A manifest as plain data."""
    library = Library() if recipe.split is None else Library.from_folders(anatomy, lesions, recipe.split)
    known = dict(read_registration(path) for path in library.heads.values())
    library = replace(library, registrations=rounded(known, DIGITS + 3))
    strata = order_of_strata(recipe)
    used: set[str] = set()
    patients = []
    for place, stratum in enumerate(strata):
        plan, infarct_ml = find(name, place, stratum, library, used)
        used |= {infarct.source for infarct in plan.infarcts}
        patients.append({"stratum": stratum, "infarct_ml": infarct_ml, "plan": plan.to_dict()})
        print(f"{name} {place} {stratum} {infarct_ml} mL {plan.head}", flush=True)
    return {
        "name": name,
        "about": ABOUT.format(n=len(strata), healthy=recipe.healthy, what=recipe.what),
        "heads": hashes(library.heads, set(library.heads)),
        "lesions": hashes(library.lesions, used),
        "sources": {"heads": HEADS, "lesions": LESIONS} if library.heads else {},
        "registrations": library.registrations,
        "patients": patients,
    }


def order_of_strata(recipe: Recipe) -> list[str]:
    """Alternate the strata, so that the first patients of a set are a fair sample, with healthy ones in between."""
    left = dict.fromkeys(STRATA_ML, recipe.per_stratum) | {HEALTHY: recipe.healthy}
    total = dict(left)
    order = []
    while any(left.values()):
        stratum = max(left, key=lambda one: left[one] / total[one])
        left[stratum] -= 1
        order.append(stratum)
    return order


def find(set_name: str, place: int, stratum: str, library: Library, used: set[str]) -> tuple[PatientPlan, float]:
    """A patient's first candidate plan whose rendered infarct falls into the stratum, and that infarct's mL."""
    heads = list(library.heads) or ["mni"]
    head = heads[(place + place // (len(STRATA_ML) + 1)) % len(heads)]  # so that each stratum sees each head
    patients = PatientsConfig().with_infarcts(healthy_share=float(stratum == HEALTHY))
    choices = replace(library.choices(patients), heads=(head,))
    for candidate in range(MAX_CANDIDATES):
        # any integer will do as a seed; a set's name makes one that no -n --seed run has
        seed = int.from_bytes(hashlib.sha256(f"{set_name}/{place}".encode()).digest()[:6], "big")
        plan = draw_patient(patient_generator(seed, candidate), choices)
        plan = with_lesion(plan, stratum, library, used, candidate)
        plan = PatientPlan.from_dict(rounded(plan.to_dict(), DIGITS))
        sources = [infarct.source for infarct in plan.infarcts if infarct.source]
        if used & set(sources) or len(set(sources)) < len(sources) or hopeless(plan, stratum):
            continue
        infarct_ml = rendered_ml(plan, library)
        if fits(infarct_ml, stratum):
            return plan, round(infarct_ml, 3)
    raise RuntimeError(f"{set_name}: no candidate for patient {place} has an infarct of {stratum} mL")


def fits(infarct_ml: float, stratum: str) -> bool:
    """Whether an infarct falls into the stratum, even if it is measured a little larger or smaller."""
    smaller, larger = infarct_ml * (1 - MARGIN), infarct_ml * (1 + MARGIN)
    return stratum_of(smaller) == stratum_of(larger) == stratum and (stratum == HEALTHY or smaller > LEAST_ML)


def with_lesion(plan: PatientPlan, stratum: str, library: Library, used: set[str], candidate: int) -> PatientPlan:
    """The plan with an unused mask of about the stratum's volume as its first infarct."""
    if stratum == HEALTHY or not library.lesions:
        return plan
    low, high = STRATA_ML[stratum]
    volumes = dict(zip(library.lesions, lesion_volumes_ml(tuple(library.lesions.values())), strict=True))
    free = [name for name, volume in volumes.items() if low <= volume <= high and name not in used]
    first, *others = plan.infarcts
    # spread over the stratum: the draw's own noise seed picks
    chosen = free[(plan.noise_seed + candidate) % len(free)]
    return replace(plan, infarcts=(replace(first, source=chosen), *others))


def hopeless(plan: PatientPlan, stratum: str) -> bool:
    """Whether procedural infarcts are so far from the stratum that rendering them would be a waste of time."""
    volume_ml = sum(infarct.volume_ml for infarct in plan.infarcts if infarct.acute)
    low, high = STRATA_ML.get(stratum, (0.0, 0.0))
    return volume_ml > 0 and not low / 1.5 < volume_ml < 1.5 * high


def rendered_ml(plan: PatientPlan, library: Library) -> float:
    if not any(infarct.acute for infarct in plan.infarcts):
        return 0.0
    lattice = scanner_lattice(plan, MATRIX)
    return float(render_plan(plan, library, lattice).infarct.sum()) * scanner_grid(lattice).voxel_ml


def hashes(files: Any, names: set[str]) -> dict[str, str]:
    return {name: hashlib.sha256(files[name].read_bytes()).hexdigest() for name in sorted(names & set(files))}


def rounded(value: Any, digits: int) -> Any:
    """Round the numbers in nested plain data to this many significant digits."""
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def write(manifest: dict[str, Any], path: Path) -> None:
    """Write one patient per line, so that diffs are readable."""
    patients = ",\n  ".join(json.dumps(patient) for patient in manifest.pop("patients"))
    rest = json.dumps(manifest, indent=1)
    path.write_text(f'{rest[:-2]},\n "patients": [\n  {patients}\n ]\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
