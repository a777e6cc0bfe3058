"""Contract: imports go down only, and each world keeps to its libraries. Read from the source, nothing is imported."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "adn"
FLOORS = [
    {"errors", "atlas", "config_draws"},
    {"lang"},
    {"remarks"},
    {"config_mix", "answers"},
    {"space", "config", "work"},
    {"recipes"},
    {"space.warp", "space.ellipsoids"},
    {"results"},  # up to here: the ground
    {"io", "metrics", "asymmetry"},
    {"prepare", "nn", "losses", "virtual"},
    {"virtual.library"},
    {"virtual.presets"},
    {"findings"},
    {"virtual.folders", "figures", "brain"},
    {"datasets", "report", "installation"},
    {"feed"},
    {"prediction"},
    {"evaluation"},
    {"training"},
    {"benchmark"},
    {"prediction.batch", "doctor"},
    {"comparison", "archives"},
    {"server"},
    {"node"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
PACKAGE_DATA = {"weights"}
TENSOR_SPACE = {"nn", "losses", "asymmetry", "space.warp", "space.ellipsoids", "virtual"}
FILE_FORMATS = {"SimpleITK", "pydicom", "nibabel", "dcm2niix", "highdicom"}
TORCH = {"torch", "monai", "lightning_fabric"}
PATIENT_SPACE = ("adn.space.volume.", "adn.prepare.", "adn.io.nifti.", "adn.io.open_", "adn.io.read_", "adn.io.write_")
DOORS = {  # what handles both volumes or scans, and tensors
    "benchmark",
    "brain",
    "findings.territory.register",
    "prediction.assemble",
    "prediction.pipeline",
    "training.validate",
    "virtual.folders",
    "virtual.library",
}
PREDICTS = {"prediction", "brain", "findings"}
TRAINS = {"virtual", "losses", "datasets", "feed", "training", "benchmark"}
ASKS = {"benchmark", "datasets.inspection", "feed.cache"}  # of what trains, what asks what predicts
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.stem != "__init__")


def room(name):
    """The room of a dotted module name: the longest of its beginnings that has a floor of its own."""
    parts = name.split(".")
    beginnings = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((beginning for beginning in beginnings if beginning in FLOOR), parts[0])


def module(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    """Every module imported anywhere in a file, inside functions too, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide which floor they reach"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_used(path):
    names = (name.removeprefix("adn.") for name in imports(path) if name.startswith("adn."))
    return {room(name) for name in names if name != "__version__"} - {room(module(path))} - PACKAGE_DATA


def libraries_used(path):
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_from_lower_floors_and_allowed_libraries(path):
    here = room(module(path))
    if here in PACKAGE_DATA:
        assert not rooms_used(path)
        return
    assert here in FLOOR, f"'{here}' has no floor yet: give it one here and in docs/architecture.md"
    upward = {name for name in rooms_used(path) if FLOOR[name] >= FLOOR[here]}
    assert not upward, f"{here} must not import {upward}: imports go down only"
    if here in TENSOR_SPACE:
        assert not libraries_used(path) & FILE_FORMATS
        assert not rooms_used(path) & {"io", "metrics", "prepare"}
    below_files = FLOOR[here] < FLOOR["io"] and FLOOR[here] != FLOOR["space.warp"]
    if here in {"metrics", "prepare", "figures", "report"} or below_files:
        assert not libraries_used(path) & TORCH
    if here == "prepare":
        assert "nn" not in rooms_used(path)
    if here in {"findings", "report"}:  # what is said of a patient owes nothing to the maker of training data
        assert not {name for name in rooms_used(path) if name.startswith("virtual")}


def test_patient_space_and_tensor_space_meet_in_these_modules_only():
    both = set()
    for path in FILES:
        tensors = libraries_used(path) & TORCH or rooms_used(path) & (TENSOR_SPACE - {"space.ellipsoids"})
        scans = libraries_used(path) & FILE_FORMATS or any(name.startswith(PATIENT_SPACE) for name in imports(path))
        if tensors and scans:
            both.add(module(path))
    assert both == DOORS


def test_prediction_imports_no_training_and_training_imports_prediction_here_only():
    """`io`, `prepare`, `nn` and `space` serve both; the server and reports stand on prediction's side."""
    used_by = {
        module(path): {name.split(".")[1] for name in imports(path) if name.startswith("adn.")} for path in FILES
    }
    predicts = {name for name in used_by if name.split(".")[0] in {*PREDICTS, "report", "server"}}
    trains = {name for name in used_by if name.split(".")[0] in TRAINS}
    assert not {name for name in predicts if used_by[name] & TRAINS}
    assert {name for name in trains if used_by[name] & PREDICTS} == ASKS
