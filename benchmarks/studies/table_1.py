"""Table 1 on real patients: every row trained on three folds, then repeated with other seeds, by `adn benchmark`.

    python benchmarks/studies/table_1.py OUT --real DIR --anatomy DIR --lesions DIR [--rows NAME...]

DIR of --real: teknofest/ and phe_sich/ as `tools/real_cases.py` writes them. One thread. What is finished is kept and
what was stopped goes on, so the same command is given at the start of each leg and stopped at its end (Ctrl-C, or
`timeout -s INT 2h python …`): at most two minutes of steps are lost. Fold by fold all rows are trained and the fold's
patients marked, so that rows compare whenever it is stopped; the repeats come last. OUT/benchmark.md at the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from adn.benchmark import METHODS, Listener, benchmark
from adn.training import Machine, Source

HERE = Path(__file__).parents[1]
RECIPE, SPLITS = HERE / "table_1.toml", HERE / "splits"
REPEATED = ("adn", "adn-without-tissue", "resunet-aligned", "resunet")  # so that a difference can be told from chance


def source_of(real: Path, anatomy: Path, lesions: Path) -> Source:
    """The mix of every row."""
    splits = (SPLITS / "teknofest_folds.csv", SPLITS / "phe_sich_folds.csv")
    return Source(real / "teknofest", anatomy, lesions, splits[0], heads=real / "phe_sich", heads_split=splits[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("real", "anatomy", "lesions"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", default=[method.name for method in METHODS])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    source = source_of(arguments.real, arguments.anatomy, arguments.lesions)
    again = [f"{row}@1" for row in REPEATED if row in arguments.rows]
    listener = Listener(say=lambda sentence: print(sentence, flush=True))
    for rows in (arguments.rows, [*arguments.rows, *again]):
        path = benchmark(str(RECIPE), source, arguments.out, rows, Machine("cpu"), listener)
    print(path)


if __name__ == "__main__":
    main()
