"""Keep the trained rows of a benchmark as small files, and put them back, so that it can be scored without training.

    python benchmarks/rows.py pack BENCH DIR      # DIR/<row>.safetensors and DIR/<row>.csv, its log; T once, as align
    python benchmarks/rows.py unpack DIR BENCH

`adn benchmark` with the same recipe and data then finds BENCH trained. Files hold float16 tensors and the recipe, as
all weights of adn do; those of rows come without T, which aligned rows share.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from adn.benchmark import METHODS, T_RUN
from adn.io.weights import read_weights, save_weights
from adn.training.logbook import LOG

T = "align."


def pack(bench: Path, folder: Path) -> None:
    """From run folders to small files; rows that are not trained are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (T_RUN, *(method.name for method in METHODS)):
        weights = bench / name / "weights.safetensors"
        if not weights.is_file():
            print(f"{name}: is not trained")
            continue
        tensors, recipe = read_weights(weights)
        kept = {key: tensor for key, tensor in tensors.items() if key.startswith(T) == (name == T_RUN)}
        save_weights(kept, recipe, folder / f"{name}.safetensors")
        if name != T_RUN:
            shutil.copyfile(bench / name / LOG, folder / f"{name}.csv")


def unpack(folder: Path, bench: Path) -> None:
    """From small files to run folders; those that hold weights already are left alone."""
    shared, recipe = read_weights(folder / f"{T_RUN}.safetensors")
    for path in sorted(folder.glob("*.safetensors")):
        run = bench / path.stem
        if (run / "weights.safetensors").is_file():
            print(f"{run}: holds weights already")
            continue
        tensors, recipe = read_weights(path)
        run.mkdir(parents=True, exist_ok=True)
        aligned = recipe["align"]["apply"]
        save_weights({**(shared if aligned else {}), **tensors}, recipe, run / "weights.safetensors")
        if path.stem != T_RUN:
            shutil.copyfile(path.with_suffix(".csv"), run / LOG)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "unpack"))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    (pack if arguments.what == "pack" else unpack)(arguments.source, arguments.target)


if __name__ == "__main__":
    main()
