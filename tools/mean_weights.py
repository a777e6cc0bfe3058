"""Average the tensors of several networks that started from the same weights into one network.

    python tools/mean_weights.py WEIGHTS... -o FILE

Recipe and licence come from the first; all must have the same tensors. Integers, such as counters, are taken from the
first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from adn.io.weights import NO_LICENCE, find_weights, read_weights, save_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    found = [find_weights(name) for name in arguments.weights]
    tensors, recipes = zip(*(read_weights(one.path) for one in found), strict=True)
    if any(own.keys() != tensors[0].keys() for own in tensors):
        parser.error("the weights hold different tensors: only those of one recipe can be averaged")
    mean = {
        name: torch.stack([own[name].float() for own in tensors]).mean(0) if first.is_floating_point() else first
        for name, first in tensors[0].items()
    }
    licence = "" if found[0].licence == NO_LICENCE else found[0].licence
    save_weights(mean, recipes[0], arguments.out, licence=licence)


if __name__ == "__main__":
    main()
