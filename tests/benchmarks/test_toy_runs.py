"""Scripts in benchmarks/ run to their end, on one small virtual patient and networks that were never trained."""

import csv
import runpy
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import table_1
import torch

import adn
from adn.datasets.layouts import Case, write_cases
from adn.io import weights
from adn.nn.adn import build_adn
from adn.recipes import load_recipe
from adn.training.logbook import LOG, write_log
from adn.virtual.folders import synthesize
from adn.virtual.library import Library
from benchmarks.toy_data import write_heads, write_plane_atlas, write_series, write_slices

FOLDER = Path(__file__).parents[2] / "benchmarks"
TEST = "def test_of_a_toy():\n    assert 1 + 1 == 2\n"


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """cases/, series/, run/ with a log, atlas.nii.gz, test_toy.py and tiny.safetensors."""
    folder = tmp_path_factory.mktemp("toys")
    synthesize(1, folder / "cases", seed=1, matrix=96)
    synthesize(1, folder / "series", seed=1, matrix=96, format="dicom")
    recipe = load_recipe("tiny")
    mix = recipe.train.mix.model_copy(update={"align_with": str(folder / "tiny.safetensors")})
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"mix": mix})})
    torch.manual_seed(0)
    weights.save_weights(build_adn(recipe).state_dict(), recipe.model_dump(), folder / "tiny.safetensors")
    mixed = "base = 'tiny'\nname = 'mixed'\n[train.mix]\noutlined = 1\nemptied = 1\n"
    mixed += f"align_with = '{folder / 'tiny.safetensors'}'\n"
    (folder / "mixed.toml").write_text(mixed, encoding="utf-8")
    (folder / "run").mkdir()
    columns = ("val_dice", "val_false_positive_ml", "l_tissue", "p_inside", "q_inside", "p_over_a")
    write_log(folder / "run" / LOG, "segment", [dict.fromkeys(columns, 0.5) | {"epoch": n} for n in range(2)])
    nib.save(nib.Nifti1Image(arteries(), mni(10.0)), folder / "atlas.nii.gz")
    (folder / "test_toy.py").write_text(TEST, encoding="utf-8")
    return folder


def mni(step_mm):
    """Index to RAS mm of a box about the middle of MNI space."""
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    affine[:3, 3] = -90.0, -120.0, -70.0
    return affine


def arteries():
    """Labels 1 to 30 in stripes, so that each name of the published atlas is there."""
    x, y, z = np.indices((18, 22, 16))
    return (1 + (x + 18 * y + 7 * z) % 30).astype(np.int16)


@pytest.fixture(scope="module")
def results(toys):
    """results/ of `adn predict` on cases/."""
    model = adn.load_model(str(toys / "tiny.safetensors"))
    for case in (toys / "cases").iterdir():
        adn.save_prediction(adn.predict(adn.open_scan(case / "ct.nii.gz"), model), toys / "results")


@pytest.fixture(scope="module")
def real(toys):
    """real/teknofest and real/phe_sich as tools/real_cases.py writes them, all of the one patient of cases/."""
    (source,) = (toys / "cases").iterdir()
    for data, extra in (("teknofest", "seen"), ("phe_sich", "ignore")):
        with (FOLDER / "splits" / f"{data}.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        parts = [[row for row in rows if row["part"] == part] for part in ("train", "validation")]
        chosen = [row for part in parts for row in part[:2]]
        cases = []
        for row in chosen:
            folder = toys / "real" / data / row["case"]
            folder.mkdir(parents=True)
            for name in ("ct", "infarct"):
                shutil.copy(source / f"{name}.nii.gz", folder)
            mask: nib.Nifti1Image = nib.load(source / "infarct.nii.gz")  # type: ignore[attr-defined]
            values = np.asarray(mask.dataobj)
            own = np.ones_like(values) if extra == "seen" else np.zeros_like(values)
            nib.save(nib.Nifti1Image(own, mask.affine), folder / f"{extra}.nii.gz")
            if data == "teknofest":
                marked = toys / "table" / "adn" / "predictions" / row["case"]
                marked.mkdir(parents=True)
                shutil.copy(source / "infarct.nii.gz", marked)
            else:
                nib.save(nib.Nifti1Image(np.zeros_like(values), mask.affine), folder / "infarct.nii.gz")
            files = {name: folder / f"{name}.nii.gz" for name in ("ct", "infarct", extra)}
            cases.append(Case(row["case"], row["patient"], **files))
        write_cases(cases, toys / "real" / data / "cases.csv")
        lines = [f"{row['case']},{row['patient']},{row['part']}" for row in chosen]
        split = toys / ("split.csv" if data == "teknofest" else "heads.csv")
        split.write_text("\n".join(["case,patient,part", *lines]) + "\n", encoding="utf-8")
    for name in ("weights", "last"):
        target = toys / "table" / "adn" / "fold-0" / f"{name}.safetensors"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(toys / "tiny.safetensors", target)


@pytest.fixture(scope="module")
def heads(toys):
    """heads/ with a label map of a head with a skull."""
    write_heads(toys / "heads")


@pytest.fixture(scope="module")
def slices(toys):
    """slices/ as of CPAISD."""
    write_slices(toys / "slices")


@pytest.fixture(scope="module")
def vendors(toys):
    """vendors/ with series of known patients."""
    write_series(toys / "vendors", toys / "cases" / "vp-0000" / "ct.nii.gz")


@pytest.fixture(scope="module")
def plane(toys):
    """plane/ with an atlas in the plane."""
    write_plane_atlas(toys / "plane")


@pytest.fixture(scope="module")
def lesions(toys):
    """lesions/ with infarct masks of 60 patients in MNI space, of 8, 47 and 111 mL in the left middle of the brain."""
    (toys / "lesions").mkdir()
    affine = mni(2.0)
    affine[:3, 3] = -68.0, -38.0, -6.0
    for subject in range(60):
        side = (10, 18, 24)[subject % 3]
        mask = np.zeros((26, 26, 26), np.uint8)
        mask[1 : side + 1, 1 : side + 1, 1 : side + 1] = 1
        nib.save(nib.Nifti1Image(mask, affine), toys / "lesions" / f"sub-{subject:03d}_mask.nii.gz")


ON_DEMAND = ("results", "real", "heads", "slices", "vendors", "plane", "lesions")  # folders that are fixtures
HEADS = "--anatomy heads --lesions lesions"
SOURCES = "--data real/teknofest --split split.csv --heads real/phe_sich --heads-split heads.csv"
RUNS = {
    "quality/arteries": f"{HEADS} -n 1",
    "quality/boxes": f"a=tiny.safetensors b=tiny.safetensors {HEADS} -n 16",
    "quality/midline": "--anatomy heads -n 1 --old 1",
    "quality/reader_answers": f"{HEADS} -n 4 --keep kept",
    "quality/ring_lesions": f"{HEADS} --teknofest real/teknofest --phe-sich real/phe_sich -n 1",
    "quality/skull_middle": f"{HEADS} --keep kept -n 2",
    "quality/aspects_plane": "--atlas plane --template plane/template.nii.gz",
    "quality/cpaisd": "slices -o slices.png --weights tiny.safetensors",
    "quality/kill": "kills --rounds 1 --verbs predict prepare",
    "quality/node_faults": "faults --only 'no head CT'",
    "quality/teknofest_rules": "vendors",
    "studies/sources_auc": f"mixed.toml {SOURCES} --samples 60",
    "studies/precision": f"mixed.toml precision {SOURCES} --rows resunet --seeds 0 --steps 4",
    "studies/overfit": "mixed.toml --data real/teknofest --split split.csv --rows resunet --patients 1 --steps 1",
    "speed/install_size": "--of packaging --without numpy",
    "speed/operations": "--recipe tiny --rows resunet --samples 10",
    "speed/synth_speed": "-n 1",
    "quality/assessable_heads": "cases -n 1",
    "quality/table_1_tables": "--csv scores",
    "quality/tissue_levels": "cases -n 1 --painted cases --heads 1",
    "quality/skull_stripping": "-n 1",
    "quality/alignment": "-n 2 --matrix 64 --weights tiny.safetensors",
    "quality/tissue": "-n 1 --matrix 64",
    "quality/disentanglement": "tiny.safetensors -n 1 --split all",
    "quality/weights": "cases -o scores --weights tiny.safetensors",
    "quality/turned": "cases -o turned.csv",
    "quality/contrast": "--plain cases -o contrast.csv",
    "quality/fuzz": "fuzz.csv --count 6",
    "quality/hostile": "hostile --count 6",
    "quality/no_heads": "cases/vp-0000/ct.nii.gz cases/vp-0000/brain.nii.gz cases/vp-0000/tissue.nii.gz constant",
    "quality/territory": "-n 1 --matrix 64",
    "studies/visible": "tiny --looks 2 --pool 1",
    "studies/network_inputs": "--cases cases -o inputs --weights tiny.safetensors",
    "quality/followup": "-n 1 --matrix 64",
    "quality/table_1_scores": "table --real real --rows adn --shipped tiny.safetensors --csv table-1",
    "quality/table_1_pictures": "table --real real --rows adn -o picture.png",
    "quality/where_p_lies": "table --real real --rows adn",
    "quality/old_infarcts": "cases results",
    "quality/slabs": "results cases --at base",
    "quality/territory_atlas": "atlas.nii.gz",
    "quality/territory_parts": "results cases",
    "quality/unchanged": "results results",
    "quality/aspects_real": "--real real -o aspects",
    "quality/patients": "tiny.safetensors -o ruler --real real --virtual cases",
    "quality/blood": "blood --bleeds real/phe_sich --infarcts real/teknofest -n 1",
    "speed/archive": "overhead --scans 2",
    "speed/paper_networks": "--recipe tiny --times 1",
    "speed/predict_cost": "cases/vp-0000/ct.nii.gz --out predicted --weights tiny.safetensors",
    "speed/row_step": "tiny --rows resunet --steps 1",
    "speed/slice_check": "series/vp-0000/dicom",
    "speed/slow_tests": "test_toy.py",
    "speed/training_step": "--recipe tiny --steps 1",
    "speed/step_cost": "cases/vp-0000/ct.nii.gz --scans-of-a-process 2",
    "speed/warm_cost": "cases/vp-0000/ct.nii.gz --times 1",
    "studies/compare_runs": "run -o curves.png",
    "studies/side_by_side": "--real cases/vp-0000/ct.nii.gz -o page.png",
    "studies/virtual_vs_real": "-n 3 --volumes 2 -o realism",
}


# More than about 1 CPU second each.
SLOW = {
    "quality/alignment",
    "quality/blood",
    "quality/followup",
    "quality/old_infarcts",
    "quality/territory_parts",
    "quality/weights",
    "speed/synth_speed",
    "studies/side_by_side",
    "quality/arteries",
    "quality/boxes",
    "quality/midline",
    "quality/reader_answers",
    "quality/ring_lesions",
    "quality/skull_middle",
    "quality/cpaisd",
    "quality/kill",
    "quality/node_faults",
    "studies/sources_auc",
    "quality/aspects_real",
    "quality/hostile",
    "quality/patients",
    "quality/skull_stripping",
    "quality/table_1_scores",
    "quality/tissue_levels",
    "speed/archive",
    "speed/install_size",
    "speed/operations",
    "speed/paper_networks",
    "speed/predict_cost",
    "speed/row_step",
    "speed/step_cost",
    "speed/training_step",
    "speed/warm_cost",
    "studies/overfit",
    "studies/precision",
    "studies/virtual_vs_real",
}
NOT_RUN = {  # script → what it needs that is not made here
    "studies/two_members": "needs trained networks, as calibrate does, of two kinds",
    "quality/calibrate": "needs a trained network: on marks of an untrained one no rule for parts can be fitted",
    "quality/midline_by_eye": "needs the 20 real heads that its points were placed on",
    "quality/necks": "needs a head whose mask ends in the spinal canal, as those of virtual heads do not",
    "quality/node_run": "a module of node_faults.py; started by it alone",
    "speed/first_view": "needs a browser and the built viewer",
    "speed/node_rate": "needs Orthanc",
    "studies/taught": "starts from the weights fast-plus, whose T no toy network fits, and takes minutes a run",
}


def test_every_script_is_run_or_listed_as_not_run():
    scripts = {f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.py") if "__main__" in path.read_text()}
    assert not set(RUNS) & set(NOT_RUN)
    assert set(RUNS) | {"studies/table_1"} | set(NOT_RUN) == scripts
    assert set(RUNS) >= SLOW


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in RUNS])
def test_scripts_run_to_their_end(name, toys, request, monkeypatch, capfd):
    words = shlex.split(RUNS[name])
    for folder in ON_DEMAND:
        if any(word.split("/")[0] == folder for word in words):
            request.getfixturevalue(folder)
    path = FOLDER / f"{name}.py"
    monkeypatch.chdir(toys)
    monkeypatch.setenv("XDG_CACHE_HOME", str(toys / "cache"))
    monkeypatch.setenv("TMPDIR", tempfile.gettempdir())  # put back where a script sets it
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    monkeypatch.setattr(weights, "DEFAULT", str(toys / "tiny.safetensors"))
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    monkeypatch.setattr(sys, "argv", [str(path), *words])
    code = None
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        code = end.code
    assert not code
    written = "-o" in words and Path(words[words.index("-o") + 1]).exists()
    assert capfd.readouterr().out.strip() or written


@pytest.mark.slow
def test_table_1_is_trained_in_two_legs(toys, real, lesions, monkeypatch, capfd):
    """A row on two folds, and then from the first leg's weights."""
    recipe = "base = 'tiny'\nname = 'toy'\n[train]\nstages = ['segment']\n"
    recipe += "[train.mix]\noutlined = 1\nemptied = 1\nwhole = 1\nkept = true\n"
    recipe += f"align_with = '{toys / 'tiny.safetensors'}'\n"
    (toys / "table_1.toml").write_text(recipe, encoding="utf-8")
    (toys / "splits").mkdir()
    for data in ("teknofest", "phe_sich"):
        names = sorted(path.name for path in (toys / "real" / data).iterdir() if path.is_dir())
        lines = [f"{name},{name},train,{place % 2}" for place, name in enumerate(names)]
        text = "\n".join(["case,patient,part,fold", *lines]) + "\n"
        (toys / "splits" / f"{data}_folds.csv").write_text(text, encoding="utf-8")
    monkeypatch.setattr("adn.training.sources.library", lambda x, part: Library.from_folders(None, x.lesions, part))
    monkeypatch.chdir(toys)
    monkeypatch.setattr(table_1, "RECIPE", toys / "table_1.toml")
    monkeypatch.setattr(table_1, "SPLITS", toys / "splits")
    words = ["--real", "real", "--anatomy", "anatomy", "--lesions", "lesions", "--rows", "resunet"]
    for leg, more in (("leg1", []), ("leg2", ["--start", "leg1"])):
        monkeypatch.setattr(sys, "argv", ["table_1.py", leg, *words, *more])
        table_1.main()
        assert (toys / leg / "benchmark.md").is_file()
    assert "training from the leg before" in capfd.readouterr().out
