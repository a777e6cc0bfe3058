"""Make src/adn/findings/territory/mni_brain.npz: how the MNI brain looks in a CT, and its tissue, at 8 mm.

Made from the priors in src/adn/virtual/priors.

python tools/make_mni_brain.py
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from adn.space.affine import Affine
from adn.space.warp import warp
from adn.virtual.anatomy import isin
from adn.virtual.library import Library
from adn.virtual.tissue_codes import BRAIN_CODES, FLUID, GREY

SPACING_MM, HALF_MM = 8.0, (108.0, 116.0, 100.0)  # z, y, x from the centre
CENTRE_MM = (0.0, 17.0, 10.0)  # MNI, LPS
HU = {"grey": 37.0, "white": 29.0, "fluid": 8.0}


def main() -> None:
    head = Library().head("mni")
    codes = head.codes
    hull = isin(codes, BRAIN_CODES).float()
    grey, fluid = isin(codes, GREY).float(), isin(codes, FLUID).float()
    white = (hull - grey - fluid).clamp(min=0)
    hu = grey * HU["grey"] + fluid * HU["fluid"] + white * HU["white"]
    mni_from_head = head.mni_from_aligned @ np.linalg.inv(head.head_from_aligned)
    pose = np.linalg.inv(mni_from_head)
    pose[:3, 3] = Affine(pose).apply(CENTRE_MM)
    sizes = [int(2 * half) for half in HALF_MM]
    fine = warp(
        torch.stack([hull, hu * hull, grey, white, fluid])[None],
        torch.tensor(pose).float()[None],
        (1.0,) * 3,
        tuple(sizes),
    )
    coarse = F.avg_pool3d(fine, int(SPACING_MM), ceil_mode=True)[0]
    coarse = (coarse + coarse.flip(-1)) / 2  # symmetric, as the priors are
    scale = torch.tensor([255.0, 255.0 / 40.0, 255.0, 255.0, 255.0]).view(-1, 1, 1, 1)
    values = (coarse * scale).round().clamp(0, 255).to(torch.uint8)
    target = Path(__file__).parents[1] / "src/adn/findings/territory/mni_brain.npz"
    outline_and_density, tissue = values[:2].numpy(), values[2:].numpy()  # tissue: grey matter, white matter, fluid
    np.savez_compressed(
        target, maps=outline_and_density, tissue=tissue, spacing_mm=SPACING_MM, centre_mm=np.array(CENTRE_MM)
    )
    print(target, values.shape, target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
