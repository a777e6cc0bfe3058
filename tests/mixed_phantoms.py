"""Phantoms of the sources that mixed trainings draw from: parts with infarct, heads with a bleed, virtual heads."""

import torch
from safetensors.torch import save_file

from adn.config_mix import MixConfig
from adn.feed.aligned import _packed
from adn.feed.mix import Cases
from adn.feed.samples import Sample
from adn.recipes import load_recipe
from adn.space.warp import mirror
from adn.virtual.overlay import Shape

FAST = load_recipe("fast")
GRID = FAST.grid
BOX = (32, 88, 72)
MIX = MixConfig(outlined=27, emptied=31, whole=30, virtual=12)
RECIPE = FAST.model_copy(update={"train": FAST.train.model_copy(update={"mix": MIX})})
MASK = Shape("mask", torch.ones(12, 14, 14), (2.0, 2.0, 2.0), (0.55, 0.45, 0.75))


def head(seed, low=3, high=29):
    """A brain of about 33 HU with noise; (1, D, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    z, y, x = torch.meshgrid(*[torch.arange(n) - (n - 1) / 2 for n in BOX], indexing="ij")
    brain = (z / 15) ** 2 + (y / (33 + seed % 4)) ** 2 + (x / (28 + seed % 3)) ** 2 <= 1
    brain[:low] = brain[high:] = False
    hu = 31 + seed % 5 + 1.5 * torch.randn(BOX, generator=generator)
    unit = (hu / 80).clamp(1 / 1024, 1) * brain
    return Sample(unit[None], torch.zeros(1, *BOX), (brain[None] * 2).to(torch.uint8))


def outlined_part(seed):
    """A part of 10 slices, of which the outer two are copies; an infarct 6 HU darker, to the left or to the right."""
    sample = head(seed, 11, 21)
    infarct = torch.zeros(BOX, dtype=torch.bool)
    infarct[11:21, 36:48, 46:58] = True
    infarct = mirror(infarct) if seed % 2 else infarct
    brain = torch.where(infarct & (sample.brain[0] > 0), sample.brain[0] - 6 / 80, sample.brain[0])
    reference = infarct.float()
    reference[:12], reference[20:] = -1, -1
    return sample._replace(brain=brain[None], infarct=reference[None])


def bleed(seed):
    """A whole head with blood of 70 HU, which the case marks."""
    sample = head(seed)
    brain, silent = sample.brain.clone(), torch.zeros(1, *BOX)
    brain[0, 14:18, 40:48, 20:26], silent[0, 14:18, 40:48, 20:26] = 70 / 80, -1
    return sample._replace(brain=brain, infarct=silent)


class Virtual:
    def __len__(self):
        return 10_000

    def __getitem__(self, index):
        sample = head(index)
        infarct = torch.zeros(1, *BOX)
        if index % 5 > 1:
            infarct[0, 14:18, 30:40, 44:56] = 1
        return sample._replace(infarct=infarct, brain=sample.brain - 0.08 * infarct)


def written(folder, name, samples):
    files = []
    for place, sample in enumerate(samples):
        files.append(folder / f"{name}{place}.safetensors")
        save_file(_packed(sample), files[-1])
    return files


def cases(folder, first=0, recipe=RECIPE):
    folder.mkdir(parents=True, exist_ok=True)
    outlined = written(folder, f"part{first}-", [outlined_part(first + i) for i in range(5)])
    whole = written(folder, f"head{first}-", [bleed(first + 20 + i) for i in range(4)])
    return Cases(recipe, outlined, whole, {"mask": MASK})
