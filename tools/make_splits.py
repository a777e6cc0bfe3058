"""Make the splits of the real data: which patients train, validate and test; ids only.

    python tools/make_splits.py TEKNOFEST/cases.csv PHE_SICH/cases.csv [-o benchmarks/splits]

Reads the developers' tables, whatever their order, and writes teknofest.csv (137 patients: 87 train, 25 validation, 25
test, by maker and volume) and phe_sich.csv (80 heads: 30 train, 10 validation, 40 test), columns case, patient, part;
beside each its folds (teknofest_folds.csv, phe_sich_folds.csv): all but the test patients again, dealt into three, with
a column fold. The same tables and seed give the same files.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from real_cases import read_table

from adn.io.atomic import atomic_path

SEED = 26
TEKNOFEST = {"train": 87, "validation": 25, "test": 25}
PHE_SICH = {"train": 30, "validation": 10, "test": 40}
FOLDS = 3


def deal(ranked: Sequence[str], counts: Mapping[str, int], seed: int = SEED) -> dict[str, str]:
    """Assign everyone to a part so that every stretch of `ranked` has its share of every part.

    counts: how many each part gets, `len(ranked)` in all. In order, each is assigned at random to one of the parts that
    are furthest behind their share.
    """
    if sum(counts.values()) != len(ranked):
        raise ValueError(f"{len(ranked)} are to be dealt, but the parts want {sum(counts.values())}.")
    rng = np.random.default_rng(seed)
    given, parts = dict.fromkeys(counts, 0), {}
    for place, name in enumerate(ranked, start=1):
        behind = {
            part: counts[part] * place / len(ranked) - given[part] for part in counts if given[part] < counts[part]
        }
        most = max(behind.values())
        part = str(rng.choice([part for part, gap in behind.items() if gap > most - 0.5]))
        given[part] += 1
        parts[name] = part
    return parts


def ranked_teknofest(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Patients ranked by maker and by the total infarct of all their series."""
    volume: dict[str, float] = defaultdict(float)
    maker: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row["case"]):
        volume[row["patient"]] += float(row["infarct_ml"])
        maker.setdefault(row["patient"], row["vendor"][:3])  # PHI and PHI2 are one maker
    return sorted(volume, key=lambda patient: (maker[patient], volume[patient], patient))


def deal_folds(ranked: Sequence[str], parts: Mapping[str, str]) -> dict[str, str]:
    """A fold for everyone except test patients, who get ''."""
    taught = [name for name in ranked if parts[name] != "test"]
    sizes = {str(fold): len(taught[fold::FOLDS]) for fold in range(FOLDS)}
    return dict.fromkeys(ranked, "") | deal(taught, sizes)


def write(patients: Mapping[str, str], ranked: Sequence[str], counts: Mapping[str, int], path: Path) -> None:
    """Deal the patients and write case, patient, part; and all but the test patients in folds, beside it.

    patients: case → patient. ranked: all patients in the order in which they are dealt.
    """
    parts = deal(ranked, counts)
    folds = deal_folds(ranked, parts)
    rows = [(case, patient, parts[patient]) for case, patient in sorted(patients.items())]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "patient", "part"))
        writer.writerows(rows)
    beside = path.with_name(f"{path.stem}_folds.csv")
    with atomic_path(beside) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "patient", "part", "fold"))
        writer.writerows(
            (case, patient, part if part == "test" else "train", folds[patient]) for case, patient, part in rows
        )
    for part in counts:
        print(f"{path.name}: {part}, {counts[part]} patients, {sum(at == part for _, _, at in rows)} cases")
    for fold in range(FOLDS):
        held = [patient for patient, at in folds.items() if at == str(fold)]
        print(f"{beside.name}: fold {fold}, {len(held)} patients")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teknofest", type=Path)
    parser.add_argument("phe_sich", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parents[1] / "benchmarks/splits")
    arguments = parser.parse_args()
    arguments.out.mkdir(exist_ok=True)
    rows = read_table(arguments.teknofest)
    patients = {row["case"]: row["patient"] for row in rows}
    write(patients, ranked_teknofest(rows), TEKNOFEST, arguments.out / "teknofest.csv")
    heads = sorted(row["case"] for row in read_table(arguments.phe_sich))
    write(dict(zip(heads, heads, strict=True)), heads, PHE_SICH, arguments.out / "phe_sich.csv")


if __name__ == "__main__":
    main()
