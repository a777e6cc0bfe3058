"""Make src/adn/io/head_template.npz: bone and air of an average head at 8 mm.

Made from the virtual head that the priors in src/adn/virtual/priors give.

python tools/make_head_template.py
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from adn.space.warp import warp
from adn.virtual.library import Library
from adn.virtual.tissue_codes import Tissue

STEP_MM, SIDE = 8.0, 40
BONE = {Tissue.BONE: 1.0, Tissue.MARROW: 0.7, Tissue.AIR_CELLS: 0.3}
AIR = {Tissue.AIR: 1.0, Tissue.AIR_CELLS: 0.6}


def share(codes: torch.Tensor, weights: dict[Tissue, float]) -> torch.Tensor:
    table = torch.zeros(256)
    for tissue, weight in weights.items():
        table[int(tissue)] = weight
    return table[codes.long()]


def main() -> None:
    head = Library().head("mni")
    # below the map nothing is known: its last slice is repeated, so that a neck meets a neck
    codes = F.pad(head.codes[1:][None, None].float(), (0, 0, 0, 0, 120, 0), mode="replicate")[0, 0]
    # a border of air, from which everything beyond is sampled
    codes = F.pad(codes, (1, 1, 1, 1, 0, 1))
    maps = torch.stack([share(codes, BONE), share(codes, AIR)])[None]
    pose = head.head_from_aligned.copy()
    pose[2, 3] += (codes.shape[0] - head.codes.shape[0]) / 2 - 1  # 119 slices more below, one above
    size = (int(SIDE * STEP_MM),) * 3
    fine = warp(maps, torch.tensor(pose).float()[None], (1.0,) * 3, size)
    beyond = warp(torch.ones_like(maps[:, :1]), torch.tensor(pose).float()[None], (1.0,) * 3, size) < 0.5
    fine[:, 1][beyond[:, 0]] = 1.0
    coarse = F.avg_pool3d(fine, int(STEP_MM))[0]
    coarse = (coarse + coarse.flip(-1)) / 2  # symmetric, as the priors are
    target = Path(__file__).parents[1] / "src/adn/io/head_template.npz"
    np.savez_compressed(target, maps=(255 * coarse).round().to(torch.uint8).numpy(), step_mm=STEP_MM)
    print(target, tuple(coarse.shape), target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
