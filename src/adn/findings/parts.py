"""Connected parts of a mark that look like an infarct, and those that do not, such as wide sulci.

A few numbers for each part, the ones a reader would look at: how sure the network is, how large the part is, how much
of it is fluid, how dark its tissue and its twin's are. Weights may come with coefficients for these
(`calibration.parts`), fitted on patients that their networks had not seen (docs/training.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adn.config import PartsConfig
from adn.findings.twins import Twins, twins_of
from adn.prepare.coarse import block_mean, components
from adn.space.geometry import bounding_box
from adn.space.volume import Volume

FLUID_HU = 14.0
TISSUE_HU = (18.0, 60.0)
_FEWEST_BLOCKS = 3  # for a mean
_PEAK = 99.0  # percentile
LARGE_ML = 80.0  # from here always kept: among 40 heads without infarct the largest part had 76 mL


class Evidence(NamedTuple):
    """Numbers of one part, each 0 where there are too few blocks.

    mean, peak: mean and 99th percentile of the probability. size: ln(mL). fluid: share of blocks below 14 HU. level,
    twin_level: mean HU of tissue (18 to 60 HU) in the part and in its mirror twin, less the brain's median. rough: σ of
    the blocks, HU.
    """

    mean: float
    peak: float
    size: float
    fluid: float
    level: float
    twin_level: float
    rough: float

    def score(self, config: PartsConfig) -> float:
        """Logit of the chance that it is an infarct, less the logit from which a part is kept."""
        return config.intercept + sum(getattr(config, name) * value for name, value in self._asdict().items())

    def likely(self, config: PartsConfig) -> bool:
        """Whether the part is kept."""
        return self.score(config) >= 0 or self.size >= np.log(LARGE_ML)


def parts_with_evidence(
    probability: NDArray[np.float32], threshold: float, twins: Twins, box: tuple[slice, ...], voxel_ml: float
) -> tuple[NDArray[np.integer], dict[int, Evidence]]:
    """Labels (D, H, W) of the connected parts at a threshold, and the evidence of each.

    probability: (D, H, W). twins: of the scan, whatever their mark; box: the box around its brain. Parts connect by
    faces, edges or corners; those of less than two blocks of 2 mm by 5 mm have no evidence.
    """
    labels = components(probability >= threshold, corners=True)
    measured = _Measured(twins)
    found = {}
    for label, place in _places(labels):
        blocks = block_mean(labels[box] == label, twins.factors)
        region = blocks > 0.5
        if region.sum() <= _FEWEST_BLOCKS:
            region = blocks > 0.2
        if region.sum() >= 2:
            chances = probability[place][labels[place] == label]
            found[label] = measured.evidence(region, chances, voxel_ml)
    return labels, found


def without_unlikely(
    probability: NDArray[np.float32],
    threshold: float,
    volume: Volume,
    mask: Volume,
    aligned_from_scan: NDArray[np.float64],
    config: PartsConfig,
) -> NDArray[np.float32]:
    """The probability, lowered to just below the threshold in parts that do not look like an infarct.

    probability: (D, H, W), or only the box around the brain if nothing is marked elsewhere. volume: HU, SPL.
    mask: brain, same grid. aligned_from_scan: array index → LPS mm about the mid-sagittal plane. Parts without evidence
    are too small to judge and are lowered, too.
    """
    marked = probability >= threshold
    if not marked.any():
        return probability
    box = bounding_box(mask.data > 0)
    infarct = np.zeros(mask.data.shape, np.uint8)
    if marked.shape == infarct.shape:
        infarct[:] = marked
    else:
        infarct[box] = marked
        box = (slice(None),) * 3
    twins = twins_of(volume, mask, infarct, aligned_from_scan)
    labels, found = parts_with_evidence(probability, threshold, twins, box, volume.grid.voxel_ml)
    kept = np.zeros(int(labels.max()) + 1, bool)
    kept[[label for label, evidence in found.items() if evidence.likely(config)]] = True
    unlikely = (labels > 0) & ~kept[labels]
    if not unlikely.any():
        return probability
    result = probability.copy()
    result[unlikely] = np.nextafter(np.float32(threshold), np.float32(0))
    return result


def _places(labels: NDArray[np.integer]) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Each label with its bounding box."""
    from scipy import ndimage

    yield from enumerate(ndimage.find_objects(labels), start=1)


class _Measured:
    """Measures of the blocks that do not depend on the part."""

    def __init__(self, twins: Twins) -> None:
        low, high = TISSUE_HU
        self.twins = twins
        self.fluid = twins.brain & (twins.hu < FLUID_HU)
        self.tissue = twins.brain & (twins.hu >= low) & (twins.hu < high)
        self.twin_tissue = twins.mirror_brain & (twins.mirror_hu >= low) & (twins.mirror_hu < high)
        solid = twins.hu[twins.brain & ~self.fluid]
        self.median_hu = float(np.median(solid)) if solid.size else 0.0

    def evidence(self, region: NDArray[np.bool_], chances: NDArray[np.float32], voxel_ml: float) -> Evidence:
        """region: the part's blocks. chances: its voxels' probabilities."""
        twins, count = self.twins, int(region.sum())
        inside = twins.hu[region & twins.brain]
        return Evidence(
            mean=float(chances.mean()),
            peak=float(np.percentile(chances, _PEAK)),
            size=float(np.log(len(chances) * voxel_ml)),
            fluid=float((region & self.fluid).sum() / count),
            level=_mean(twins.hu - self.median_hu, region & self.tissue),
            twin_level=_mean(twins.mirror_hu - self.median_hu, region & self.twin_tissue),
            rough=float(inside.std()) if len(inside) > _FEWEST_BLOCKS else 0.0,
        )


def _mean(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    return float(values[where].mean()) if where.sum() >= _FEWEST_BLOCKS else 0.0
