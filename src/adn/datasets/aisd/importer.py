"""Imports AISD (Liang et al. 2021) from a user's own downloads into case folders, and reports every problem case.

Its licence is non-commercial: adn neither downloads nor ships anything of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from adn.datasets.aisd.case import Assumed, Imported, import_case
from adn.datasets.aisd.files import UNPACKED, find_aisd
from adn.datasets.aisd.match import NOMINAL_WINDOW_HU
from adn.datasets.aisd.page import write_page
from adn.datasets.aisd.png import NOMINAL_SPACING_MM
from adn.datasets.imports import write_lines
from adn.datasets.layouts import write_licence
from adn.datasets.splits import Split, SplitRow, write_split
from adn.io.atomic import remove_folder
from adn.work.pool import cores
from adn.work.progress import Progress

LICENCE = "For non-commercial research only: trained on AISD (Liang et al., MICCAI 2021), whose licence says so."
REPORT, PAGE, SPLIT = "import.csv", "import.html", "split.csv"
_TEST = """
0073410 0072723 0226290 0537908 0538058 0091415 0538780 0073540 0226188 0226258 0226314 0091507 0226298 0538975 0226257
0226142 0072681 0091538 0538983 0537961 0091646 0072765 0226137 0091621 0091458 0021822 0538319 0226133 0091657 0537925
0073489 0538502 0091476 0226136 0538532 0073312 0539025 0226309 0226307 0091383 0021092 0537990 0226299 0073060 0538505
0073424 0091534 0226125 0072691 0538425 0226199 0226261"""
TEST_CASES = frozenset(_TEST.split())  # the 52 test cases of the data set's authors and of the paper; the rest train


def import_aisd(
    source: Path | str,
    destination: Path | str,
    jobs: int | None = 1,
    progress: Progress | None = None,
) -> list[Imported]:
    """Write `destination/<case>/ct.nii.gz, infarct.nii.gz` (`ignore.nii.gz`: label 4) for each usable case.

    source: folder with AISD's downloads, as archives or unpacked; it is not modified. PNGs are paired with their DICOM
    slices by content; without DICOM, HU are estimated from the PNGs with the median window of the other cases. Cases
    already imported from the same files are kept, so an interrupted import can be resumed. Also written: `split.csv`
    (345 train, 52 test), `import.csv` and `import.html`, a page of all cases. jobs: cases at a time; None: one per
    core. progress: called with (done, all). Returns a line per case. Raises InputError if `source` holds nothing of
    AISD or a broken archive, OutputError if nothing can be written.
    """
    source, destination = Path(source), Path(destination)
    destination.mkdir(parents=True, exist_ok=True)
    cases = find_aisd(source, destination)
    done: dict[str, Imported] = {}

    def run(names: Iterable[str], assumed: Assumed | None) -> None:
        # threads suffice: dcm2niix, zlib and numpy release the interpreter lock
        with ThreadPoolExecutor(max_workers=jobs or cores()) as pool:
            waiting = [pool.submit(import_case, cases[name], destination, assumed) for name in names]
            try:
                for future in waiting:
                    line = future.result()
                    if line is not None:
                        done[line.case] = line
                        if progress:
                            progress(len(done), len(cases))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    run(cases, None)
    run([name for name in cases if name not in done], _assume(list(done.values())))
    lines = [done[name] for name in cases]
    write_report(lines, destination / REPORT)
    write_licence(destination, LICENCE)
    write_page(lines, TEST_CASES, destination, destination / PAGE)
    rows = [SplitRow(x.case, x.case, part_of(x.case), None, x.infarct_ml) for x in lines if x.outcome == "imported"]
    if rows:
        write_split(Split(tuple(rows)), destination / SPLIT)
    remove_folder(destination / UNPACKED)
    return lines


def part_of(case: str) -> str:
    """'test' for the 52 test cases, else 'train'."""
    return "test" if case in TEST_CASES else "train"


def write_report(lines: Sequence[Imported], path: Path) -> None:
    """One row per case, for a spreadsheet."""
    write_lines(lines, path, {"part": lambda line: part_of(line.case)})


def _assume(lines: Sequence[Imported]) -> Assumed:
    """The median window and voxel size of the cases with DICOM; AISD's usual ones if there are none."""
    known = [line for line in lines if line.hu == "dicom" and line.window_hu and line.spacing_mm]
    if not known:
        return Assumed(NOMINAL_WINDOW_HU, NOMINAL_SPACING_MM, 0)
    window = np.median(np.array([line.window_hu for line in known]), axis=0).round(1).tolist()
    spacing = np.median(np.array([line.spacing_mm for line in known]), axis=0).round(3).tolist()
    return Assumed((window[0], window[1]), (spacing[0], spacing[1], spacing[2]), len(known))
