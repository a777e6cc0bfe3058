"""Brain tissue in a head CT: Volume → network → Volume. It also finds the brain, so it serves as a skull stripper."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.config import TissueConfig
from adn.errors import WeightsError
from adn.io.weights import TISSUE, WeightsFile, find_weights, read_weights
from adn.nn.precision import choose_device, choose_precision, made_ready
from adn.nn.tissue import TissueNet, head_box
from adn.prepare.brain_shape import doubt_brain
from adn.prepare.canal import without_long_canal
from adn.prepare.coarse import fill_slices, large_pieces, largest, peel_slices
from adn.prepare.part import is_part, lengthened
from adn.prepare.restore import Restored, restored
from adn.prepare.strip import strip_skull
from adn.recipes import recipe_from_dict
from adn.remarks import Doubt, DoubtKind, Remark
from adn.space.labels import TissueLabel
from adn.space.volume import Volume
from adn.work.memory import release_memory

log = logging.getLogger(__name__)
NETWORK, CLASSICAL = "tissue network", "classical"  # what found a brain
MAX_FIELD_MM = 320.0  # holds a head and its headrest; what lies further out is the table
_AIR_HU, _METAL_HU = -1024.0, 1500.0
_MAX_SLICE_MM = 12.0
_MAX_PIXEL_MM = 2.5
_RIND_HU = 300.0  # border voxels above this are bone, not brain; the classical stripper cuts at 180 to 350
_RIND_MM = 3.0
_MIN_ONE_PIECE = 0.97  # least share of the network's brain that lies in one piece
_PIECE = 0.1  # in a scan of part of a head: least size of a piece of brain, relative to the largest
_NO_BRAIN: frozenset[DoubtKind] = frozenset({"empty", "pieces", "uncertain"})  # no real head was found
_MAX_UNSURE = 0.12  # largest share of the brain's volume that may have a probability between 0.2 and 0.8


@dataclass(frozen=True, eq=False)
class TissueModel:
    """The tissue network, ready to run. precision: 'fp32' or 'bf16'."""

    network: TissueNet
    config: TissueConfig
    weights: WeightsFile
    device: torch.device
    precision: str


@dataclass(frozen=True, eq=False)
class Tissues:
    """Labels on the scan's grid, uint8. tissue: `TissueLabel`. brain: 0 or 1, the tissues' hull.

    doubt: why this cannot be the scan's brain; None where it is plausible.
    """

    tissue: Volume
    brain: Volume
    doubt: Doubt | None


@dataclass(frozen=True, eq=False)
class Brain:
    """A brain mask (uint8, on the scan's grid), what found it, remarks, and tissue if the network was plausible."""

    mask: Volume
    stripper: str
    remarks: tuple[Remark, ...] = ()
    tissue: Volume | None = None


def load_tissue(weights: str | Path = TISSUE, device: str = "auto", precision: str = "auto") -> TissueModel:
    """Load tissue weights by name or path. Raises WeightsError."""
    found = find_weights(weights)
    tensors, values = read_weights(found.path)
    config = recipe_from_dict(values).tissue
    network = TissueNet(config)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{found.path}: needed weights that `adn train tissue` wrote.") from error
    target = choose_device(device)
    return TissueModel(made_ready(network, target), config, found, target, choose_precision(precision, target))


@lru_cache(maxsize=1)
def shipped_tissue() -> TissueModel:
    """The tissue network shipped with adn, loaded once. Raises WeightsError."""
    return load_tissue()


def find_brain(volume_hu: Volume, model: TissueModel, *, mirror_average: bool = False) -> Brain:
    """The brain mask from the tissue network or, where that is not plausible, the classical one, with a remark.

    Where values were clipped to a window, or bone or skull was removed, air and bone are put back for the search.

    volume_hu: finite HU, any axis order. mirror_average: as for `segment_tissue`; the brain does not need it. Raises
    InputError where nothing looks like a brain.
    """
    whole = restored(volume_hu.reoriented("SPL"))
    if whole.remarks:
        volume_hu = whole.scan.reoriented(volume_hu.grid.axes)
    found = segment_tissue(volume_hu, model, mirror_average=mirror_average)
    if found.doubt is None:
        return Brain(_within(found.brain, whole), NETWORK, whole.remarks, _within(found.tissue, whole))
    log.info("the tissue network's brain is not plausible: %s", found.doubt)
    stripped = any(remark.kind == "skull_stripped" for remark in whole.remarks)
    blocks = found.doubt.kind in _NO_BRAIN or (stripped and found.doubt.kind == "bone_or_air")
    remark = Remark("classical_stripper", {"reason": found.doubt.kind, **found.doubt.values}, blocks)
    return Brain(_within(strip_skull(volume_hu), whole), CLASSICAL, (*whole.remarks, remark))


def _within(labels: Volume, whole: Restored) -> Volume:
    """Labels within the scan's own tissue, without the air and bone that were put back."""
    if whole.tissue is None:
        return labels
    upright = labels.reoriented("SPL")
    return upright.with_data(upright.data * whole.tissue).reoriented(labels.grid.axes)


def segment_tissue(volume_hu: Volume, model: TissueModel, *, mirror_average: bool = True) -> Tissues:
    """Label GM, WM and CSF on a head CT with skull.

    volume_hu: finite HU, any axis order. The network sees the scan's own slices (thin ones averaged), resampled to
    its own pixels; probabilities are interpolated back to the scan, where the likeliest class wins. mirror_average:
    average the predictions for the head and its mirror image, which takes twice the time.
    """
    upright = volume_hu.reoriented("SPL")
    scan, own = lengthened(upright)
    depth_mm, *in_plane_mm = scan.grid.spacing_mm
    if depth_mm > _MAX_SLICE_MM or max(in_plane_mm) > _MAX_PIXEL_MM:
        nothing = volume_hu.with_data(np.zeros(volume_hu.grid.shape, np.uint8), "label")
        height_mm, width_mm = in_plane_mm
        sides = {"depth_mm": depth_mm, "height_mm": height_mm, "width_mm": width_mm}
        return Tissues(nothing, nothing, Doubt("coarse_voxels", sides))
    labels, doubt = _infer(scan, model, mirror_average)
    release_memory()
    brain = without_long_canal((labels > 0).astype(np.uint8), scan.grid.spacing_mm)
    labels *= brain
    doubt = doubt or doubt_brain(scan, scan.with_data(brain, "label"))
    tissue, mask = (upright.with_data(x[own], "label").reoriented(volume_hu.grid.axes) for x in (labels, brain))
    return Tissues(tissue, mask, doubt)


def _infer(scan: Volume, model: TissueModel, mirror_average: bool) -> tuple[NDArray[np.uint8], Doubt | None]:
    """Labels of a scan in SPL order, and any doubt that the network's own output raises."""
    seen = network_grid(scan, model.config)
    padded = pad_in_plane(seen, model.network.multiple)
    box = head_box(padded, model.network.multiple, round(MAX_FIELD_MM / model.config.pixel_mm))
    crop = padded[box][None, None].to(model.device)
    p = _probabilities(crop, model)
    if mirror_average:
        p = (p + _probabilities(crop.flip(-1), model).flip(-1)) / 2
    doubt = _doubt_probabilities(p[0], is_part(scan.grid))
    if not bool((p[0] < 0.5).any()):
        return np.zeros(scan.grid.shape, np.uint8), doubt
    return _to_scan(p, box, seen, _block(scan.grid.spacing_mm[0], model.config), scan), doubt


def _probabilities(crop: Tensor, model: TissueModel) -> Tensor:
    """(1, 1, d, h, w) HU to the classes' probabilities, (4, d, h, w)."""
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=model.precision == "bf16"):
        p = model.network(crop)[0].float().softmax(0).cpu()
    release_memory()
    return p


def network_grid(scan: Volume, config: TissueConfig) -> Tensor:
    """A scan in SPL order as the network sees it: (D, H, W) HU, thin slices averaged, square pixels, anti-aliased."""
    depth_mm, height_mm, width_mm = scan.grid.spacing_mm
    block = _block(depth_mm, config)
    _, rows, columns = scan.grid.shape
    size = (max(round(rows * height_mm / config.pixel_mm), 1), max(round(columns * width_mm / config.pixel_mm), 1))
    planes = []
    for first in range(0, len(scan.data), block):
        mean = scan.data[first : first + block].mean(0, dtype=np.float32)
        plane = torch.from_numpy(np.clip(mean, _AIR_HU, _METAL_HU))[None, None]
        planes.append(F.interpolate(plane, size=size, mode="bilinear", antialias=True)[0])
    return torch.cat(planes)


def pad_in_plane(ct_hu: Tensor, multiple: int) -> Tensor:
    """(D, H, W) padded with air at the far ends, so that H and W are multiples of `multiple`."""
    rows, columns = (-side % multiple for side in ct_hu.shape[1:])
    return F.pad(ct_hu, (0, columns, 0, rows), value=_AIR_HU)


def _pieces(mask: NDArray[np.bool_], part: bool) -> NDArray[np.bool_]:
    """The largest piece or, in a scan of part of a head, all large ones."""
    return large_pieces(mask, _PIECE) if part else largest(mask)


def _doubt_probabilities(p_outside: Tensor, part: bool) -> Doubt | None:
    p = 1 - p_outside
    brain = p > 0.5
    size = int(brain.sum())
    if not size:
        return Doubt("empty")
    if int(_pieces(brain.numpy(), part).sum()) < _MIN_ONE_PIECE * size:
        return Doubt("pieces")
    if int(((p > 0.2) & (p < 0.8)).sum()) > _MAX_UNSURE * size:
        return Doubt("uncertain")
    return None


def _to_scan(p: Tensor, box: tuple[slice, ...], seen: Tensor, block: int, scan: Volume) -> NDArray[np.uint8]:
    """Interpolate a crop's probabilities (4, d, h, w) linearly to labels on the scan (D, H, W), less a rind of bone.

    box: where the crop lies in `seen`, the network's grid, which spans the scan. block: scan slices per network slice.
    """
    shape = scan.grid.shape
    near = F.max_pool2d((p[0] < 0.5).any(0).float()[None], 5, 1, 2)[0] > 0
    lines = [_line(near.any(1 - axis), box[axis + 1].start, seen.shape[axis + 1], shape[axis + 1]) for axis in (0, 1)]
    (rows, y), (columns, x) = lines
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
    brain = np.zeros((shape[0], len(y), len(x)), bool)
    tissue = np.zeros(brain.shape, np.uint8)
    for z in range(shape[0]):
        place = min(max((z + 0.5) / block - 0.5, 0.0), p.shape[1] - 1.0)
        below = int(place)
        plane = torch.lerp(p[:, below], p[:, min(below + 1, p.shape[1] - 1)], place - below)
        fine = F.grid_sample(plane[None], grid, padding_mode="border", align_corners=False)[0]
        brain[z] = (fine[0] < 0.5).numpy()
        grey, white, fluid = fine[1:]
        likeliest = torch.where(white > grey, TissueLabel.WM, TissueLabel.GM)
        tissue[z] = torch.where(fluid > torch.maximum(grey, white), TissueLabel.CSF, likeliest).numpy()
    labels = np.zeros(shape, np.uint8)
    bone = scan.data[:, rows, columns] > _RIND_HU
    steps = round(_RIND_MM / scan.grid.spacing_mm[1])
    part = is_part(scan.grid)
    peeled = peel_slices(fill_slices(_pieces(brain, part)), bone, steps)
    labels[:, rows, columns] = tissue * _pieces(peeled, part)
    return labels


def _line(used: Tensor, start: int, seen: int, count: int) -> tuple[slice, Tensor]:
    """Which of `count` scan voxels along an axis lie where `used` is True, and where each samples the crop, −1 to 1.

    used: along the crop, which begins at voxel `start` of the `seen` network voxels over the same extent.
    """
    ratio = count / seen
    index = used.nonzero().flatten() + start
    low, high = int(int(index[0]) * ratio), min(math.ceil((int(index[-1]) + 1) * ratio), count)
    place = (torch.arange(low, high) + 0.5) / ratio - start  # in voxels from the crop's edge
    return slice(low, high), place / len(used) * 2 - 1


def _block(depth_mm: float, config: TissueConfig) -> int:
    """How many slices are averaged into one."""
    return max(1, round(config.slice_mm / depth_mm))
