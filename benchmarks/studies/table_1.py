"""Table 1 on real patients: every row trained on three folds, then repeated with other seeds, by `adn benchmark`.

    python benchmarks/studies/table_1.py OUT --real DIR --anatomy DIR --lesions DIR [--rows NAME...] [--start OUT]

DIR of --real: teknofest/ and phe_sich/ as `tools/real_cases.py` writes them. One thread. Finished work is kept and
stopped work resumes, so run the same command for every leg and stop it when you like (Ctrl-C, or `timeout -s INT 2h
python …`): at most two minutes of steps are lost. All rows are trained and the fold's patients marked fold by fold, so
that rows are comparable whenever it is stopped; the repeats come last. OUT/benchmark.md is written at the end.

--start: the folder of the previous leg; every row starts from its weights there, on other samples.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from adn.benchmark import METHODS, POOL, Listener, Method, Run, benchmark
from adn.config import Recipe
from adn.datasets.splits import read_split
from adn.recipes import load_recipe
from adn.training import Begin, Machine, Source, train

HERE = Path(__file__).parents[1]
RECIPE, SPLITS = HERE / "table_1.toml", HERE / "splits"
SEEDS = (2, 3)  # for a second leg, and for its repeats
REPEATED = ("adn", "adn-without-tissue", "resunet-aligned", "resunet")  # so that a difference can be told from chance


def source_of(real: Path, anatomy: Path, lesions: Path) -> Source:
    """The mix of every row."""
    splits = (SPLITS / "teknofest_folds.csv", SPLITS / "phe_sich_folds.csv")
    return Source(real / "teknofest", anatomy, lesions, splits[0], heads=real / "phe_sich", heads_split=splits[1])


def go_on(before: Path, named: dict[str, str], base: Recipe, source: Source, out: Path) -> None:
    """Continue one fold's rows from the weights of another benchmark. named: row here → row there."""
    for row, old in named.items():
        seed = row.partition("@")[2]
        run = Run(row, Method(row, row, seed=int(seed) if seed else None).of(base), source.fold)
        folder = run.folder(out)
        if (folder / "weights.safetensors").is_file():
            continue
        print(f"{row}, fold {source.fold}: training from the leg before", flush=True)
        begin = Begin(
            start=replace(run, row=old).weights(before),
            stages=("segment",),
            resume=(folder / "run.json").is_file(),
            pool=out / POOL,
        )
        train(run.recipe, folder, source, begin, Machine("cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("real", "anatomy", "lesions"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", default=[method.name for method in METHODS])
    parser.add_argument("--start", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    base, source = load_recipe(str(RECIPE)), source_of(arguments.real, arguments.anatomy, arguments.lesions)
    first, second = SEEDS if arguments.start else (base.train.seed, 1)
    again = {f"{row}@{second}": f"{row}@1" for row in REPEATED if row in arguments.rows}
    base = base.model_copy(update={"train": base.train.model_copy(update={"seed": first})})
    listener = Listener(say=lambda sentence: print(sentence, flush=True))
    assert source.split
    for rows in ({row: row for row in arguments.rows}, again):
        for fold in range(read_split(source.split).folds):
            part = replace(source, fold=fold)
            if arguments.start:
                go_on(arguments.start, rows, base, part, arguments.out)
            benchmark(base, part, arguments.out, list(rows), Machine("cpu"), listener)
    print(benchmark(base, source, arguments.out, [*arguments.rows, *again], Machine("cpu"), listener))


if __name__ == "__main__":
    main()
