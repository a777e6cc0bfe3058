"""Fixed sets of virtual patients: what the manifests promise, and files that do not match them."""

import hashlib
import json
from importlib import resources
from pathlib import Path

import pytest

from adn.errors import InputError
from adn.virtual import library as heads_and_lesions
from adn.virtual.folders import synthesize_preset
from adn.virtual.library import lesion_split, lesion_subject
from adn.virtual.presets import PRESETS
from adn.virtual.presets.manifest import HEALTHY, Preset, load_preset, stratum_of

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
FULL = {"<=30": 14, "30-70": 14, ">70": 14, HEALTHY: 10}
HALF = {"<=30": 7, "30-70": 7, ">70": 7, HEALTHY: 5}
SIZES = {"vp52": FULL, "vp52-val": HALF, "vp-mni": FULL, "vp-mni-val": HALF}
HEADS = {
    "vp52": [f"head_labels_{number}.nii.gz" for number in (13, 14, 15, 16)],
    "vp52-val": [f"head_labels_{number}.nii.gz" for number in (11, 12)],
    "vp-mni": [],
    "vp-mni-val": [],
}


def sources(preset):
    return {infarct.source for patient in preset.patients for infarct in patient.plan.infarcts} - {""}


def test_every_set_has_a_manifest_of_modest_size():
    assert set(PRESETS) == set(SIZES)
    for name in PRESETS:
        assert (resources.files("adn.virtual.presets") / f"{name}.json").stat().st_size < 150_000  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PRESETS)
def test_strata_are_balanced_and_as_recorded(name):
    preset = load_preset(name)
    strata = [patient.stratum for patient in preset.patients]
    assert {stratum: strata.count(stratum) for stratum in SIZES[name]} == SIZES[name]
    assert len(strata) == sum(SIZES[name].values())
    assert all(stratum_of(patient.infarct_ml) == patient.stratum for patient in preset.patients)
    without = [patient for patient in preset.patients if patient.stratum == HEALTHY]
    assert not any(infarct.acute for patient in without for infarct in patient.plan.infarcts)
    assert set(strata[:4]) == set(SIZES[name])  # the first patients are a fair sample
    assert len({patient.plan.noise_seed for patient in preset.patients}) == len(strata)
    assert "research use only" in preset.about


@pytest.mark.parametrize("name", PRESETS)
def test_heads_and_lesions_are_those_of_the_manifest(name):
    preset = load_preset(name)
    assert list(preset.heads) == HEADS[name]
    assert {patient.plan.head for patient in preset.patients} == (set(HEADS[name]) or {"mni"})
    assert set(preset.lesions) == sources(preset)
    used = [infarct.source for patient in preset.patients for infarct in patient.plan.infarcts if infarct.source]
    assert len(used) == len(set(used))  # no mask twice
    for digest in [*preset.heads.values(), *preset.lesions.values()]:
        assert len(digest) == 64
    if preset.heads:
        assert len(preset.registrations) == len(preset.heads)
        assert "Apache-2.0" in preset.sources["heads"]
        assert "CC0" in preset.sources["lesions"]


def test_old_infarcts_of_stored_plans_keep_the_fluid_they_were_made_with():
    old = [i for name in PRESETS for p in load_preset(name).patients for i in p.plan.infarcts if not i.acute]
    assert old
    assert {i.fluid for i in old} == {0.75}


def test_no_subject_is_in_two_splits():
    for name, split in (("vp52", "test"), ("vp52-val", "val")):
        assert {lesion_split(Path(lesion)) for lesion in load_preset(name).lesions} == {split}
    test, validation = ({lesion_subject(Path(n)) for n in load_preset(name).lesions} for name in ("vp52", "vp52-val"))
    assert not test & validation
    plans = [{p.plan.noise_seed for p in load_preset(name).patients} for name in ("vp-mni", "vp-mni-val")]
    assert not plans[0] & plans[1]


@pytest.fixture
def small(tmp_path):
    """A set of one head and one lesion, and the folders that hold them."""
    files = {}
    for kind, name in (("heads", "h.nii.gz"), ("lesions", "l.nii.gz")):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / name).write_bytes(kind.encode())
        files[kind] = {name: hashlib.sha256(kind.encode()).hexdigest()}
    preset = Preset("small", "", files["heads"], files["lesions"], {"heads": "A", "lesions": "B"}, {}, ())
    return preset, tmp_path / "heads", tmp_path / "lesions"


def test_files_are_found_whatever_their_names(small):
    preset, heads, lesions = small
    (heads / "h.nii.gz").rename(heads / "training_seg_01.nii.gz")
    library = preset.library(heads, lesions)
    assert library.heads == {"h.nii.gz": heads / "training_seg_01.nii.gz"}
    assert library.lesions == {"l.nii.gz": lesions / "l.nii.gz"}


def test_a_changed_file_is_refused_with_both_hashes(small):
    preset, heads, lesions = small
    (lesions / "l.nii.gz").write_bytes(b"damaged")
    came = hashlib.sha256(b"damaged").hexdigest()
    with pytest.raises(InputError, match=rf"l\.nii\.gz: .*{preset.lesions['l.nii.gz']}.*{came}.*from B"):
        preset.library(heads, lesions)


def test_a_missing_file_or_folder_is_refused_by_name(small, tmp_path):
    preset, heads, lesions = small
    (heads / "h.nii.gz").unlink()
    with pytest.raises(InputError, match=r"h\.nii\.gz: .*no such file"):
        preset.library(heads, lesions)
    (heads / "h.nii.gz").write_bytes(b"heads")
    with pytest.raises(InputError, match="needs `lesions`"):
        preset.library(heads, None)
    with pytest.raises(InputError, match="needs `anatomy`"):
        preset.library(tmp_path / "nowhere", lesions)


def test_folders_are_refused_for_a_set_that_needs_none(tmp_path):
    with pytest.raises(InputError, match=r"leave out `anatomy`"):
        synthesize_preset("vp-mni", tmp_path / "out", anatomy=tmp_path)


def test_an_unknown_set_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"'vp53'.*vp52, vp52-val"):
        synthesize_preset("vp53", tmp_path)


def infarct_ml(case):
    return json.loads((case / "plan.json").read_text())["infarct_ml"]


def test_the_set_of_installed_packages_renders_as_recorded_and_resumes(tmp_path):
    (first,) = synthesize_preset("vp-mni", tmp_path, count=1)
    written = (first / "ct.nii.gz").stat().st_mtime_ns
    recorded = load_preset("vp-mni").patients[0]
    assert infarct_ml(first) == pytest.approx(recorded.infarct_ml, rel=0.03, abs=0.5)
    assert stratum_of(infarct_ml(first)) == recorded.stratum
    assert synthesize_preset("vp-mni", tmp_path, count=1) == [first]
    assert (first / "ct.nii.gz").stat().st_mtime_ns == written


@pytest.mark.real
@pytest.mark.skipif(not (SHARED / "lesions" / "soop").is_dir(), reason="needs ../shared/data beside the checkout")
def test_the_set_of_real_heads_renders_as_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(heads_and_lesions, "head_from_codes", lambda *_: pytest.fail("registered, though it is known"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cases = synthesize_preset("vp52", tmp_path / "out", SHARED / "anatomy", SHARED / "lesions" / "soop", count=2)
    for case, recorded in zip(cases, load_preset("vp52").patients, strict=False):
        assert infarct_ml(case) == pytest.approx(recorded.infarct_ml, rel=0.03, abs=0.5)
        assert stratum_of(infarct_ml(case)) == recorded.stratum
