"""Weights on disk: safetensors with the recipe inside, hash-checked when they ship with the package."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adn.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT = "fast-plus"
TISSUE = "tissue"  # finds the brain and its tissues
HASHES = "SHA256SUMS"


@dataclass(frozen=True)
class WeightsFile:
    """One set of weights. shipped: inside the package."""

    name: str
    path: Path
    sha256: str
    megabytes: float
    shipped: bool


def shipped_folder() -> Path:
    """Where the package keeps its weights."""
    return Path(str(resources.files("adn") / "weights"))


def list_weights() -> list[WeightsFile]:
    """The weights that ship with the package; reads hashes and sizes only."""
    return [_describe(path, shipped=True) for path in sorted(shipped_folder().glob("*.safetensors"))]


def find_weights(name_or_path: str | Path | None = None) -> WeightsFile:
    """Weights by name (in the package) or path; None is the default. Raises WeightsError if absent or damaged."""
    wanted = str(name_or_path or DEFAULT)
    inside = shipped_folder() / f"{wanted}.safetensors"
    if inside.is_file():
        found = _describe(inside, shipped=True)
        expected = _expected_hashes().get(inside.name)
        if expected != found.sha256:
            raise WeightsError(f"{inside.name}: is damaged (its SHA-256 is not the recorded one); install adn again.")
        return found
    path = Path(wanted)
    if path.is_dir():
        path = path / "weights.safetensors"
    if not path.is_file():
        names = ", ".join(w.name for w in list_weights()) or "none ship with this build"
        raise WeightsError(f"No weights '{wanted}': give a name ({names}), a .safetensors file or a run folder.")
    return _describe(path, shipped=False)


def _describe(path: Path, shipped: bool) -> WeightsFile:
    data = path.read_bytes()
    return WeightsFile(path.stem, path, hashlib.sha256(data).hexdigest(), len(data) / 1e6, shipped)


def _expected_hashes() -> dict[str, str]:
    path = shipped_folder() / HASHES
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    return {name: digest for digest, name in (line.split() for line in lines if line.strip())}


def save_weights(tensors: dict[str, Tensor], recipe: dict[str, Any], path: Path, half: bool = True) -> None:
    """Write tensors (float16 if half) with the recipe in the header; atomic."""
    import torch
    from safetensors.torch import save

    kind = torch.float16 if half else torch.float32
    data = save(
        {k: v.detach().to("cpu", kind).contiguous() for k, v in tensors.items()},
        metadata={"recipe": json.dumps(recipe)},
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors as float32, and the recipe they were trained with. Raises WeightsError for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            recipe = json.loads((file.metadata() or {}).get("recipe", "null"))
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path}: needs adn weights (.safetensors), but it cannot be read: {error}.") from error
    if recipe is None:
        raise WeightsError(f"{path}: holds no adn recipe; give weights that `adn train` wrote.")
    return tensors, recipe
