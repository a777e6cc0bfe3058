"""DICOM series to one volume, by dcm2niix: gantry tilt, uneven gaps, vendors' habits. Padding is masked here."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.io import nifti
from adn.io.head_ct import MIN_SLICES
from adn.io.series import Header, Series, choose, files_below, folder_files, read_headers
from adn.io.slices import measured_rows
from adn.space.geometry import RAS_FROM_LPS, Grid
from adn.space.volume import Volume

LOWEST_AIR_HU = -1000.0  # a padding value above this would be tissue: the tag is wrong
TILT_DEG = 0.5  # below: no visible shear (under 1 mm at the ends of a head)
SMALL_TILT_DEG = 1.0  # dcm2niix leaves so little as it is, and so may we (under 2 mm)
SIDEWAYS_DEG = 1.0  # dcm2niix corrects a shear along the rows' direction only
UNEVEN_SHARE = 0.1  # of the median distance between slices
UNEVEN_MM = 0.3
HEIGHT_SHARE = 0.01  # by which a converted volume may be too high or too low
CONVERT_SECONDS = 900
_VARIANT = re.compile(r"(_Tilt)?(_Eq)?(_\d+)?$")

log = logging.getLogger(__name__)


def load(path: Path, *, wanted: str | None = None) -> tuple[Volume, NDArray[np.bool_], list[str]]:
    """Read the head CT series of a DICOM folder (with what is below it), or of the series that a file belongs to.

    Returns the volume (float32 HU), a mask of voxels that were not measured (same shape), and warnings in plain words.
    Raises InputError where there is no readable CT series.
    """
    return load_headers(headers_at(path, wanted), path, wanted=wanted)


def headers_at(path: Path, wanted: str | None) -> list[Header]:
    """Headers of a folder's images; of a file's own series, unless another one is `wanted`. Raises InputError."""
    headers = read_headers(folder_files(path))
    if path.is_file() and wanted is None:
        own = read_headers([path])
        if not own:
            raise InputError(f"{path}: needed a DICOM image, but the file holds none; give a file of the CT series.")
        headers = [header for header in headers if header.uid == own[0].uid]
    return headers


def load_files(paths: Iterable[Path], where: Path, *, wanted: str | None = None) -> tuple[Volume, NDArray, list[str]]:
    """As `load`, from files already listed; `where` is what messages name."""
    return load_headers(read_headers(paths), where, wanted=wanted)


def load_headers(headers: list[Header], where: Path, *, wanted: str | None) -> tuple[Volume, NDArray, list[str]]:
    """As `load`, from headers already read."""
    if not headers:
        raise InputError(f"{where}: needed a head CT, but there are no DICOM images in it; give the series' folder.")
    series, warnings = choose(headers, where, wanted)
    if series.slices < MIN_SLICES:
        raise InputError(
            f"{where}: needed at least {MIN_SLICES} slices, but {series.label()} is the most there is; "
            "give the folder of the whole head CT."
        )
    _check_pixels(series, where)
    volume, name = _convert(series, where)
    tilt, gaps = tilt_deg(series), gaps_mm(series)
    if TILT_DEG < tilt < SMALL_TILT_DEG and "_Tilt" not in name:
        warnings.append(f"A gantry tilt of {tilt:.1f} degrees is too small to be corrected and was left as it is.")
    elif tilt > TILT_DEG:
        _demand(
            "_Tilt", name if _sideways_deg(series) < SIDEWAYS_DEG else "", f"a gantry tilt of {tilt:.1f} degrees", where
        )
        volume = _placed(volume, series)
        warnings.append(f"A gantry tilt of {tilt:.1f} degrees was corrected.")
    _check_height(volume, series, where)
    if uneven(gaps):
        _demand("_Eq", name, f"distances of {gaps.min():.1f} to {gaps.max():.1f} mm between slices", where)
        step = volume.grid.spacing_mm[2]
        warnings.append(
            f"The distances between slices were uneven ({gaps.min():.1f} to {gaps.max():.1f} mm): "
            f"the slices were resampled to {step:.1f} mm."
        )
    if series.first.contrast:
        warnings.append("A contrast agent is recorded: adn is made for non-contrast CT.")
    return volume, _unmeasured(volume, series, tilted="_Tilt" in name), warnings


def tilt_deg(series: Series) -> float:
    """Angle between the slices' normal and the direction in which they follow each other, degrees."""
    points = series.positions
    if len(points) < 2:
        return 0.0
    along = points[-1] - points[0]
    cosine = abs(along @ series.first.normal) / max(float(np.linalg.norm(along)), 1e-6)
    return float(np.degrees(np.arccos(min(cosine, 1.0))))


def _sideways_deg(series: Series) -> float:
    """By how much the slices move along their columns' axis while they follow each other, degrees."""
    assert series.first.orientation is not None
    along = series.positions[-1] - series.positions[0]
    sine = abs(series.first.orientation[:3] @ along) / max(float(np.linalg.norm(along)), 1e-6)
    return float(np.degrees(np.arcsin(min(sine, 1.0))))


def _placed(volume: Volume, series: Series) -> Volume:
    """Put a tilt-corrected volume where the headers say: for one sign of the tilt dcm2niix's origin is centimetres off.

    It shears by moving each slice along its rows, adding rows so that all fit; so the first row and slice of its grid
    are those of the outermost acquired ones. Shape and directions are right (dcm2niix issue 259).
    """
    first = series.first
    assert first.orientation is not None
    lps = RAS_FROM_LPS @ volume.grid.affine
    axes = lps[:3, :3] / np.linalg.norm(lps[:3, :3], axis=0)
    right, down = first.orientation[:3], first.orientation[3:]
    sides = (right * first.spacing_mm[1] * (first.shape[1] - 1), down * first.spacing_mm[0] * (first.shape[0] - 1))
    corners = [series.positions + right_part + down_part for right_part in (0, sides[0]) for down_part in (0, sides[1])]
    lps[:3, 3] = axes @ (np.concatenate(corners) @ axes).min(axis=0)
    return Volume(volume.data, Grid(volume.grid.shape, RAS_FROM_LPS @ lps), volume.unit)


def gaps_mm(series: Series) -> NDArray[np.float64]:
    """Distances between neighbouring slices across their planes, mm."""
    return np.abs(np.diff(series.positions @ series.first.normal))


def uneven(gaps: NDArray) -> bool:
    """True where the distances differ enough to misplace structures if taken as equal."""
    if len(gaps) < 2:
        return False
    middle = float(np.median(gaps))
    return float(np.abs(gaps - middle).max()) > max(UNEVEN_SHARE * middle, UNEVEN_MM)


def _check_height(volume: Volume, series: Series, where: Path) -> None:
    """The volume's first and last slice must be as far apart as the headers say (enhanced tilted CT: they are not)."""
    steps = np.abs((RAS_FROM_LPS @ volume.grid.affine)[:3, :3].T @ series.first.normal)
    axis = int(np.argmax(steps / np.array(volume.grid.spacing_mm)))
    height, stated = steps[axis] * (volume.data.shape[axis] - 1), float(gaps_mm(series).sum())
    if abs(height - stated) > max(HEIGHT_SHARE * stated, 0.5):
        raise InputError(
            f"{where}: the DICOM headers place the slices over {stated:.1f} mm, dcm2niix over {height:.1f} mm: the "
            "geometry would be false; give the scan as NIfTI."
        )


def _demand(mark: str, name: str, what: str, where: Path) -> None:
    if mark not in name:
        raise InputError(
            f"{where}: the series has {what}, which could not be corrected; give it as a NIfTI file that is."
        )


def _check_pixels(series: Series, where: Path) -> None:
    """Truncated pixel data would be read as zeros by some tools: find it before."""
    from pydicom import config, dcmread

    for header in series.headers:
        try:
            with config.disable_value_validation():
                data = dcmread(header.path, force=True)
            pixels = data.PixelData
            bits = header.shape[0] * header.shape[1] * int(data.get("SamplesPerPixel") or 1) * int(data.BitsAllocated)
            needed = bits // 8 * int(data.get("NumberOfFrames") or 1)
            syntax = data.file_meta.get("TransferSyntaxUID")
            short = len(pixels) < needed and not (syntax and syntax.is_encapsulated)
        except Exception as error:  # pydicom raises many kinds on damaged bytes
            raise InputError(_truncated(header, where)) from error
        if short or not pixels:
            raise InputError(_truncated(header, where))


def _truncated(header: Header, where: Path) -> str:
    name = where if header.path == where else f"{where}: {header.path.name}"
    return f"{name}: the DICOM file is truncated or damaged (its pixel data is incomplete); copy the series again."


def _convert(series: Series, where: Path) -> tuple[Volume, str]:
    """Run dcm2niix on this series alone; return its best volume and the name it gave it."""
    import dcm2niix

    with tempfile.TemporaryDirectory(prefix="adn-") as temporary:
        source, target = Path(temporary, "in"), Path(temporary, "out")
        source.mkdir()
        target.mkdir()
        for i, header in enumerate(series.headers):
            _link(header.path, source / f"{i:06d}.dcm")
        command = [dcm2niix.bin, "-g", "i", "-z", "n", "-b", "n", "-f", "scan", "-o", str(target), str(source)]
        try:
            run = subprocess.run(command, capture_output=True, timeout=CONVERT_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{where}: dcm2niix did not finish in {CONVERT_SECONDS} s; give NIfTI instead.") from error
        log.debug("dcm2niix ended with code %d", run.returncode)
        best = _best_output(target)
        if best is None:
            raise InputError(
                f"{where}: dcm2niix found no volume in the series (code {run.returncode}); it may be damaged or packed "
                "in an unknown way. Copy the series again, or give NIfTI."
            )
        try:
            return nifti.load(best)[0], best.name
        except InputError as error:
            raise InputError(str(error).replace(str(best), str(where))) from error


def _link(path: Path, name: Path) -> None:
    try:
        name.symlink_to(path.resolve())
    except OSError:  # no right to make links, as on Windows
        shutil.copyfile(path, name)


def _best_output(folder: Path) -> Path | None:
    """The largest volume, and of its versions the corrected one: the file beside it is geometrically false."""
    versions: dict[str, list[Path]] = defaultdict(list)
    for path in files_below(folder):
        if path.suffix == ".nii":
            versions[_VARIANT.sub("", path.stem)].append(path)
    if not versions:
        return None
    largest = max(versions.values(), key=lambda paths: max(path.stat().st_size for path in paths))
    return max(largest, key=lambda path: ("_Tilt_Eq" in path.stem, "_Tilt" in path.stem, "_Eq" in path.stem))


def _unmeasured(volume: Volume, series: Series, *, tilted: bool) -> NDArray[np.bool_]:
    """Voxels of the scanner's padding value, and those that tilt correction added beside the slices."""
    mask = np.zeros_like(volume.data, dtype=bool)
    paddings = {h.padding_hu for h in series.headers if h.padding_hu is not None and h.padding_hu < LOWEST_AIR_HU}
    for value in paddings:
        mask |= volume.data == np.float32(value)
    if tilted:
        mask |= ~measured_rows(volume.grid, series)[None]
    return mask
