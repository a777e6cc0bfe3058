"""How often real and virtual heads are called not assessable, although all of them are.

    python benchmarks/quality/assessable_heads.py CT [CT ...] [-n 20]

CT: scans, or folders of cases with ct.nii.gz, of which the first n are taken. Each line: the kinds of remark that
block.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from adn import load_model
from adn.errors import InputError
from adn.io import open_scan
from adn.prediction.assemble import judge, mni_from_scan
from adn.prediction.pipeline import locate
from adn.remarks import blocking


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("-n", type=int, default=20)
    arguments = parser.parse_args()
    model, blocked, refused, count = load_model(), 0, 0, 0
    for given in arguments.scans:
        cases = sorted(given.glob("*/ct.nii.gz"))[: arguments.n] or [given]
        for path in cases:
            name = path.parent.name if path.name == "ct.nii.gz" else path.name
            count += 1
            try:
                scan = open_scan(path)
                located = locate(scan, model)
            except InputError as error:
                refused += 1
                print(f"{name}: refused: {error.what}", flush=True)
                continue
            _, remarks = judge(scan, located, model.recipe, mni_from_scan(located))
            kinds = [f"{one.kind} {dict(one.values)}" for one in blocking(remarks)]
            blocked += bool(kinds)
            print(f"{name}: {'; '.join(kinds) or 'assessable'}", flush=True)
    print(f"{count} scans: {blocked} not assessable, {refused} refused")


if __name__ == "__main__":
    main()
