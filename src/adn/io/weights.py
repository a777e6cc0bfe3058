"""Weights on disk: safetensors with the recipe in the header, hash-checked if they ship with the package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adn.errors import WeightsError
from adn.io.atomic import atomic_path
from adn.io.digest import sha256

if TYPE_CHECKING:
    from torch import Tensor

    from adn.config import EnsembleConfig

DEFAULT = "slicewise-mix"
TISSUE = "tissue"  # finds the brain and its tissues
HASHES = "SHA256SUMS"
OWN_LICENCE = "Apache-2.0, as adn itself: trained on virtual patients alone."
NO_LICENCE = "Not stated in the file."


@dataclass(frozen=True)
class WeightsFile:
    """One set of weights, or an ensemble of several. shipped: part of the package.

    members: the weight files of an ensemble, in its order. ensemble: the content of its file. sha256, megabytes: of the
    file; for an ensemble, of its file followed by its members' files. licence: the terms of use and what the weights
    were trained on, one note per line.
    """

    name: str
    path: Path
    sha256: str
    megabytes: float
    shipped: bool
    members: tuple[Path, ...] = ()
    ensemble: EnsembleConfig | None = None
    licence: str = NO_LICENCE


def shipped_folder() -> Path:
    """The package's folder of weights."""
    return Path(str(resources.files("adn") / "weights"))


def list_weights() -> list[WeightsFile]:
    """The weights that ship with the package; reads hashes and sizes only."""
    folder = shipped_folder()
    return [_describe(path)[0] for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.toml")])]


def find_weights(name_or_path: str | Path | None = None) -> WeightsFile:
    """Find weights by name (in the package) or path; None means the default.

    A .toml file averages several weights (`config.EnsembleConfig`). Raises WeightsError if any of them is absent or
    damaged, ConfigError if the .toml file is invalid.
    """
    found, hashes = _describe(_locate(str(name_or_path or DEFAULT)))
    expected = _expected_hashes()
    for path, digest in hashes.items():
        if path.parent == shipped_folder() and expected.get(path.name) != digest:
            raise WeightsError(f"{path.name}: is damaged (its SHA-256 is not the recorded one); install adn again.")
    return found


def _locate(wanted: str, folder: Path = Path()) -> Path:
    """The weights' file, by name or by path relative to `folder`."""
    for suffix in (".safetensors", ".toml"):
        inside = shipped_folder() / f"{wanted}{suffix}"
        if inside.is_file():
            return inside
    path = folder / wanted
    if path.is_dir():
        path = path / "weights.safetensors"
    if not path.is_file():
        names = ", ".join(w.name for w in list_weights()) or "this build includes none"
        raise WeightsError(
            f"There are no weights '{wanted}': give a name ({names}), a .safetensors file, a run folder, "
            "or a .toml that averages several."
        )
    return path


def _describe(path: Path) -> tuple[WeightsFile, dict[Path, str]]:
    """A set of weights, and the SHA-256 of each of its files."""
    ensemble = None
    if path.suffix == ".toml":
        from adn.recipes import ensemble_from_toml

        ensemble = ensemble_from_toml(path)
    members = tuple(_locate(member.weights, path.parent) for member in (ensemble.members if ensemble else ()))
    if any(member.suffix == ".toml" for member in members):
        raise WeightsError(f"{path}: is an ensemble that contains an ensemble; name single weights.")
    contents = {file: file.read_bytes() for file in (path, *members)}
    joined = sha256(*contents.values())
    hashes = {file: sha256(content) for file, content in contents.items()} if members else {path: joined}
    megabytes = sum(map(len, contents.values())) / 1e6
    shipped = path.parent == shipped_folder()
    licences = [_licence_in(contents[file]) or (OWN_LICENCE if shipped else NO_LICENCE) for file in members or (path,)]
    licence = "\n".join(dict.fromkeys(licences))
    return WeightsFile(path.stem, path, joined, megabytes, shipped, members, ensemble, licence), hashes


def _licence_in(content: bytes) -> str:
    """The licence named in a safetensors header; empty if there is none, or if the file is not safetensors."""
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return str(header["__metadata__"]["licence"])
    except (ValueError, KeyError, TypeError):
        return ""


def _expected_hashes() -> dict[str, str]:
    path = shipped_folder() / HASHES
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    return {name: digest for digest, name in (line.split() for line in lines if line.strip())}


def save_weights(
    tensors: dict[str, Tensor], recipe: dict[str, Any], path: Path, half: bool = True, licence: str = ""
) -> None:
    """Write tensors atomically (float16 if `half`), with the recipe and any licence in the header."""
    import torch
    from safetensors.torch import save

    kind = torch.float16 if half else torch.float32
    metadata = {"recipe": json.dumps(recipe)} | ({"licence": licence} if licence else {})
    data = save({k: v.detach().to("cpu", kind).contiguous() for k, v in tensors.items()}, metadata=metadata)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors as float32, and the recipe they were trained with. Raises WeightsError for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            recipe = json.loads((file.metadata() or {}).get("recipe", "null"))
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path}: needed adn weights (.safetensors), but it cannot be read: {error}.") from error
    if recipe is None:
        raise WeightsError(f"{path}: contains no adn recipe; give weights that `adn train` wrote.")
    return tensors, recipe
