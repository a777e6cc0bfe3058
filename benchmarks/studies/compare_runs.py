"""Curves of several training runs in one picture, such as `fast` with and without L_tissue.

python benchmarks/studies/compare_runs.py RUN... -o PICTURE.png

A RUN is a folder of `adn train`, or a row of `adn benchmark`; its name becomes the label.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from adn.training.logbook import LOG, read_log

PANELS = (
    ("val_dice", "validation Dice"),
    ("val_false_positive_ml", "marked without infarct, mL (validation)"),
    ("l_tissue", "$L_{tissue}$ (of the run without it: not minimised)"),
    ("p_inside", "share of $P$ inside the infarct"),
    ("q_inside", "mean $Q$ inside the infarct"),
    ("p_over_a", "mean $P$ / mean $A$"),
)
COLOURS = ("#1f77b4", "#d9532b", "#3a9a4b", "#8456a8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    grid = figure.subplots(2, 3)
    for run, colour in zip(arguments.runs, COLOURS, strict=False):
        rows = [row for row in read_log(run / LOG) if row["stage"] == "segment"]
        for axes, (key, title) in zip(grid.flat, PANELS, strict=True):
            points = [(int(row["epoch"]), float(row[key])) for row in rows if row.get(key)]
            axes.plot(*zip(*points, strict=True), ".-", color=colour, label=run.resolve().name)
            axes.set_title(title, fontsize=10)
            axes.grid(alpha=0.3)
            axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in grid[1]:
        axes.set_xlabel("epoch")
    grid[0, 0].legend(fontsize=9)
    figure.savefig(arguments.out, dpi=80)


if __name__ == "__main__":
    main()
