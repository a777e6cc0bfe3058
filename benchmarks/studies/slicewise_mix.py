"""Train recipe 'slicewise' on real and virtual patients mixed so that no source tells whether there is an infarct.

    python benchmarks/studies/slicewise_mix.py prepare REAL BOXES
    python benchmarks/studies/slicewise_mix.py train REAL BOXES OUT --anatomy DIR --lesions DIR --seconds 3000
    python benchmarks/studies/slicewise_mix.py validate REAL BOXES WEIGHTS --lesions DIR

REAL: folders teknofest and phe_sich as `tools/real_cases.py` writes them. BOXES: aligned brain boxes, of training
and validation patients only. What the run was to show, and what it did, is in docs/lab/2026-11-28-slicewise.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

import adn
from adn.config import Recipe
from adn.config_mix import LaidConfig
from adn.datasets.layouts import find_cases
from adn.datasets.splits import read_split
from adn.errors import InputError
from adn.feed.cache import SILENT, ensure_prepared, load_prepared
from adn.feed.pool import PooledPatients
from adn.feed.samples import Sample, collate
from adn.io.weights import save_weights
from adn.nn.adn import build_adn
from adn.nn.refine import refine_pose
from adn.recipes import load_recipe
from adn.space.warp import mirror, warp
from adn.training.fit import Hooks, Machine, Stage, fit
from adn.training.initial import take_over
from adn.training.objectives import segment_objective
from adn.training.sources import Source, library
from adn.virtual.folders import Library, patient_generator
from adn.virtual.overlay import Shape, donor_shape, draw_twin, lay_one, replace_by_twin

SPLITS = Path(__file__).parents[1] / "splits"
LAID = LaidConfig()
SPAN = 80.0  # HU of the window
SHARES = {"outlined": 0.27, "emptied": 0.28, "whole": 0.33, "virtual": 0.12}
LAID_SHARE = {"emptied": 0.25, "whole": 0.55}  # get a virtual infarct
SEEN_HU, UNSEEN_WEIGHT = -2.0, 0.15  # infarcts less dark against their twin than this are seldom shown
MASKS = 150  # about so many of the lesion masks are laid; reading all takes long on a busy machine
VALIDATED = 12  # outlined validation patients; with all whole heads, as they are and with a laid infarct


class Box(NamedTuple):
    """An aligned head: brain (D, H, W) in [0, 1]; infarct 1, 0, −1 where silent; tissue 1 GM, 2 WM, 3 CSF."""

    brain: Tensor
    infarct: Tensor
    tissue: Tensor


def align_cases(real: Path, boxes: Path, recipe: Recipe) -> None:
    """Carry training and validation cases to the brain box by the T of fast-plus, as prediction does."""
    network, grid = adn.load_model("fast-plus").network, recipe.grid
    for name in ("teknofest", "phe_sich"):
        split, cases = read_split(SPLITS / f"{name}.csv"), {case.name: case for case in find_cases(real / name)}
        for part, members in zip(("train", "validation"), split.parts(), strict=False):
            (boxes / name / part).mkdir(parents=True, exist_ok=True)
            for member in members:
                target = boxes / name / part / f"{member}.pt"
                if target.is_file():
                    continue
                try:
                    prepared = load_prepared(ensure_prepared(cases[member], grid)[0])
                except InputError as error:  # short parts in which no brain is found
                    print(f"left out: {error}", flush=True)
                    continue
                brain = torch.from_numpy(prepared.brain)[None, None]
                labels = torch.from_numpy(prepared.infarct)[None, None]
                layers = torch.cat([labels == 1, labels == SILENT], 1).float()
                tissue = F.one_hot(torch.from_numpy(prepared.tissue).long(), 4).movedim(-1, 0)[None].float()
                with torch.no_grad():
                    pose = refine_pose(network.align, brain, network.align(brain), recipe)
                    box = warp(torch.cat([brain, layers, tissue], 1), pose, grid.spacing_mm, grid.box)[0]
                silent = (box[2] > 0.2).float()
                infarct = torch.where(silent > 0, -1.0, (box[1] > 0.5).float())
                found = Box(box[0].half(), infarct.to(torch.int8), box[3:].argmax(0).to(torch.uint8))
                torch.save(tuple(found), target)
                print(name, part, member, int((found.infarct > 0).sum()), flush=True)


def load_boxes(folder: Path) -> dict[str, Box]:
    """All aligned heads of a folder."""
    found = {path.stem: torch.load(path) for path in sorted(folder.glob("*.pt"))}
    return {name: Box(x.float(), y.float(), t) for name, (x, y, t) in found.items()}


def grown(mask: Tensor, voxels: int) -> Tensor:
    """A mask widened within its slices."""
    side = 2 * voxels + 1
    return F.max_pool2d(mask.float()[:, None], side, 1, voxels)[:, 0] > 0


def contrast_hu(box: Box) -> float:
    """Median of the infarct less its mirrored twin, HU."""
    hu, ill = box.brain * SPAN, box.infarct > 0
    both = ill & (hu > 12) & mirror((hu > 12) & ~ill)
    return float((hu - mirror(hu))[both].median()) if both.sum() > 10 else 0.0


class Mix(Dataset[Sample]):
    """Sample i depends on (seed, i) alone; the sources and what is done to them are as in SHARES and LAID_SHARE."""

    def __init__(
        self, recipe: Recipe, boxes: Path, part: str, shapes: dict[str, Shape], virtual: Any, seed: int, count: int
    ) -> None:
        self.recipe, self.virtual, self.seed, self.count = recipe, virtual, seed, count
        self.outlined, self.heads = (list(load_boxes(boxes / n / part).values()) for n in ("teknofest", "phe_sich"))
        contrasts = [contrast_hu(box) for box in self.outlined]
        weight = [1.0 if hu < SEEN_HU else UNSEEN_WEIGHT for hu in contrasts]
        self.weight = torch.tensor(weight, dtype=torch.float64)
        made = [
            donor_shape(f"donor{i}", box.brain * SPAN, box.brain > 0, box.infarct > 0, recipe.grid.spacing_mm)
            for i, (box, hu) in enumerate(zip(self.outlined, contrasts, strict=True))
            if hu < SEEN_HU
        ]
        self.shapes = {**shapes, **{shape.name: shape for shape in made if shape}}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Draw a source and a patient, change it, augment it."""
        generator = patient_generator(self.seed, index)
        source = list(SHARES)[int(torch.multinomial(torch.tensor(list(SHARES.values())), 1, generator=generator))]
        box = augment(self.drawn(source, index, generator), generator)
        return Sample(box.brain[None], box.infarct[None], box.tissue[None])

    def drawn(self, source: str, index: int, generator: torch.Generator) -> Box:
        """One head of a source, before augmentation."""
        if source == "virtual":
            box = Box(*(x[0] for x in self.virtual[index]))
        elif source == "whole":
            box = self.heads[int(torch.randint(len(self.heads), (), generator=generator))]
            silent = grown(box.infarct < 0, 2)
            box = box._replace(infarct=torch.where(silent, -1.0, 0.0))
            box = self.emptied(box, silent, generator) if chance(0.5, generator) else box
        else:
            box = self.outlined[int(torch.multinomial(self.weight, 1, generator=generator))]
            if source == "emptied":
                box = self.emptied(box, grown(box.infarct > 0, 2), generator)
            elif chance(0.4, generator):
                box = self.touched(box, generator)
        if chance(LAID_SHARE.get(source, 0.0), generator):
            box = self.laid(box, generator)
        return part_of(box, generator) if source in ("virtual", "whole") and chance(0.5, generator) else box

    def emptied(self, box: Box, region: Tensor, generator: torch.Generator) -> Box:
        """A region replaced by its twin; what of it has none is silent."""
        spacing = self.recipe.grid.spacing_mm
        brain = box.brain > 0
        hu, gone = replace_by_twin(box.brain * SPAN, brain, region & brain, draw_twin(generator), spacing)
        kept = torch.where(box.infarct < 0, -1.0, 0.0)
        infarct = torch.where(region, torch.where(gone, 0.0, -1.0), kept)
        return box._replace(brain=unit(hu, brain), infarct=infarct)

    def touched(self, box: Box, generator: torch.Generator) -> Box:
        """A healthy region replaced by its twin, so that the seam tells nothing."""
        free = ((box.brain > 0.25) & ~grown(box.infarct != 0, 2)).nonzero()
        if not len(free):
            return box
        centre = free[int(torch.randint(len(free), (), generator=generator))]
        radius = 4 + 10 * float(torch.rand((), generator=generator))
        lines = [(torch.arange(n) - c) / r for n, c, r in
                 zip(box.brain.shape, centre, (radius / 2, radius, 0.8 * radius), strict=True)]  # fmt: skip
        z, y, x = torch.meshgrid(*lines, indexing="ij")
        region = (z**2 + y**2 + x**2 < 1) & (box.brain > 0) & ~grown(box.infarct != 0, 1)
        spacing = self.recipe.grid.spacing_mm
        hu, _ = replace_by_twin(box.brain * SPAN, box.brain > 0, region, draw_twin(generator), spacing)
        return box._replace(brain=unit(hu, box.brain > 0))

    def laid(self, box: Box, generator: torch.Generator) -> Box:
        """A virtual infarct laid on, where one fits."""
        brain, spacing = box.brain > 0, self.recipe.grid.spacing_mm
        laid = lay_one(generator, box.brain * SPAN, brain, spacing, self.shapes, LAID, box.infarct < 0)
        if laid is None:
            return box
        return box._replace(brain=unit(laid.hu, brain), infarct=torch.where(laid.infarct, 1.0, box.infarct))


def chance(share: float, generator: torch.Generator) -> bool:
    """True in so many of all draws."""
    return bool(torch.rand((), generator=generator) < share)


def unit(hu: Tensor, brain: Tensor) -> Tensor:
    """HU → [0, 1], above 0 in the brain and 0 outside."""
    return (hu / SPAN).clamp(1 / 1024, 1) * brain


def part_of(box: Box, generator: torch.Generator) -> Box:
    """Some neighbouring slices alone, or one to six whose ends are repeated, as in a short stack."""
    there = (box.brain > 0).flatten(1).any(1).nonzero().flatten()
    ill = (box.infarct > 0).flatten(1).any(1).nonzero().flatten()
    u = torch.rand(3, generator=generator).tolist()
    short = u[0] < 0.5
    count = min(1 + int(6 * u[1]) if short else 3 + int(18 * u[1]), len(there))
    pool = ill if len(ill) else there
    start = int(pool[min(int(u[2] * len(pool)), len(pool) - 1)]) - count // 2
    start = min(max(start, int(there[0])), int(there[-1]) + 1 - count)
    depth, kept = len(box.brain), torch.arange(start, start + count)
    places = kept
    if short and count < 9:
        before = (9 - count) // 2
        kept = torch.cat([kept[:1].expand(before), kept, kept[-1:].expand(9 - count - before)])
        places = torch.arange(len(kept)) + (depth - len(kept)) // 2
    return Box(*(torch.zeros_like(x).index_copy_(0, places, x[kept]) for x in box))


def augment(box: Box, generator: torch.Generator) -> Box:
    """Flip, ± 3°, size, density, contrast, smooth shading and noise; wider than real scans differ."""
    n = torch.randn(8, generator=generator).tolist()
    if chance(0.5, generator):
        box = Box(*(mirror(x) for x in box))
    angle, scale = math.radians(3 * n[0]), math.exp(0.06 * n[1])
    c, s = math.cos(angle) * scale, math.sin(angle) * scale
    depth, height, width = box.brain.shape
    turn = torch.tensor([[c, -s * height / width, 0.015 * n[2]], [s * width / height, c, 0.015 * n[3]]])
    grid = F.affine_grid(turn.expand(depth, 2, 3), [depth, 1, height, width], align_corners=False)
    layers = torch.stack([box.brain, (box.brain > 0).float(), (box.infarct > 0).float(), (box.infarct < 0).float()], 1)
    x, inside, ill, silent = F.grid_sample(layers, grid, align_corners=False).unbind(1)
    tissue = F.grid_sample(box.tissue[:, None].float(), grid, mode="nearest", align_corners=False)[:, 0]
    brain = inside > 0.5
    if not brain.any():
        return box
    hu = x / inside.clamp(min=0.5) * SPAN
    median = hu[brain & (hu > 15)].median() if bool((brain & (hu > 15)).any()) else torch.tensor(32.0)
    gain = math.exp(math.log(0.75) + (math.log(1.35) - math.log(0.75)) * float(torch.rand((), generator=generator)))
    rough = abs(n[5]) * torch.randn(hu.shape, generator=generator)
    shading = F.interpolate(abs(n[6]) * torch.randn((1, 1, 3, 3), generator=generator), size=(height, width),
                            mode="bicubic", align_corners=True)[0]  # fmt: skip
    hu = median + gain * (hu - median) + 3 * n[4] + rough + shading
    # brains of predictions fade at the edge, as they are turned after they are cut out
    infarct = torch.where(silent > 0.3, -1.0, ((ill > 0.5) & brain).float())
    return Box(unit(hu * inside.clamp(max=1), inside > 0.05), infarct, tissue.to(torch.uint8))


def validation(recipe: Recipe, boxes: Path, shapes: dict[str, Shape]) -> dict[str, list[Sample]]:
    """Fixed samples: outlined parts, whole heads as they are (blood silent), the same with a laid infarct."""
    mix = Mix(recipe, boxes, "validation", shapes, None, 0, 1)
    mix.shapes = shapes  # masks of validation subjects alone
    generator = patient_generator(99, 0)
    heads = [box._replace(infarct=torch.where(grown(box.infarct < 0, 3), -1.0, 0.0)) for box in mix.heads]
    laid = [mix.laid(box, generator) for box in heads]
    groups = {"outlined": mix.outlined[:VALIDATED], "whole": heads, "laid": [x for x in laid if (x.infarct > 0).any()]}
    return {name: [Sample(*(x[None] for x in box)) for box in group] for name, group in groups.items()}


def validator(
    model: Any, groups: dict[str, list[Sample]], recipe: Recipe, out: Path
) -> Callable[[int], dict[str, float]]:
    """Dice of outlined and laid infarcts, share found (Dice ≥ 0.3), mL on heads without, at 0.5 and 0.3; saves weights.

    As `dice`, by which the best epoch is chosen: the mean of both, less 0.3 × the share of heads falsely marked.
    """
    voxel_ml = math.prod(recipe.grid.spacing_mm) / 1000

    def answers(sample: Sample) -> tuple[Tensor, Tensor, float]:
        batch = collate([sample])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            output = model.from_aligned(batch.brain, torch.eye(4)[None])
        p = output.infarct_probability_aligned * (batch.infarct >= 0) * (batch.brain > 0)
        pathological, ill = output.parts.pathological_asymmetry, batch.infarct > 0
        inside = float((pathological * ill).sum() / pathological.sum().clamp(min=1e-6))
        return p, ill.float(), inside

    def validate(epoch: int) -> dict[str, float]:
        row: dict[str, float] = {}
        for name, samples in groups.items():
            found = [answers(sample) for sample in samples]
            for t in (0.5, 0.3):
                masks = [(p > t).float() for p, _, _ in found]
                dices = torch.tensor([float(2 * (m * y).sum() / (m.sum() + y.sum()).clamp(min=1))
                                      for m, (_, y, _) in zip(masks, found, strict=True)])  # fmt: skip
                ml = torch.tensor([float(m.sum()) * voxel_ml for m in masks])
                tag = f"{name}_{t}"
                if name == "whole":
                    row |= {f"{tag}_ml": float(ml.median()), f"{tag}_over_5ml": float((ml >= 5).float().mean())}
                else:
                    row |= {f"{tag}_dice": float(dices.mean()), f"{tag}_found": float((dices >= 0.3).float().mean())}
            if name != "whole":
                row[f"{name}_p_inside"] = sum(x for *_, x in found) / len(found)
        row["dice"] = (row["outlined_0.5_dice"] + row["laid_0.5_dice"]) / 2 - 0.3 * row["whole_0.5_over_5ml"]
        print(f"epoch {epoch}: " + ", ".join(f"{k} {v:.3f}" for k, v in row.items()), flush=True)
        if epoch:
            save_weights(model.state_dict(), recipe.model_dump(mode="json"), out / f"epoch{epoch}.safetensors")
        return row

    return validate


def some_shapes(masks: Library) -> dict[str, Shape]:
    """About MASKS of the lesion masks of a library."""
    names = list(masks.lesions)
    chosen = names[:: max(len(names) // MASKS, 1)]
    return replace(masks, lesions={name: masks.lesions[name] for name in chosen}).shapes()


def train(arguments: argparse.Namespace) -> None:
    """Train D and F; T is that of fast-plus."""
    recipe = load_recipe("slicewise")
    stage = recipe.train.segment.model_copy(update={"seconds": arguments.seconds, "max_epochs": 100})
    segment = stage.model_copy(update={"epoch_samples": arguments.epoch_samples})
    network = recipe.network.model_copy(update={"channels": tuple(arguments.channels)})
    recipe = recipe.model_copy(
        update={"train": recipe.train.model_copy(update={"segment": segment}), "network": network}
    )
    source = Source(anatomy=arguments.anatomy, lesions=arguments.lesions)
    heads, held_out = library(source, "train"), library(source, "val")
    count = segment.max_epochs * segment.epoch_samples
    virtual = PooledPatients(recipe, heads, 0, count, arguments.pool, arguments.boxes / "patients")
    mix = Mix(recipe, arguments.boxes, "train", some_shapes(heads), virtual, 0, count)
    torch.manual_seed(0)
    model = build_adn(recipe)
    take_over(model, "fast-plus")
    model.align.requires_grad_(False)
    arguments.out.mkdir(parents=True, exist_ok=True)
    groups = validation(recipe, arguments.boxes, some_shapes(held_out))
    validate = validator(model, groups, recipe, arguments.out)
    stage = Stage("segment", arguments.out, segment, collate, "bf16")
    objective = segment_objective(recipe, aligned=True)
    fit(model, mix, objective, stage, Machine("cpu", workers=1), Hooks(validate=validate))
    save_weights(model.state_dict(), recipe.model_dump(mode="json"), arguments.out / "slicewise.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("prepare", "train", "validate"))
    parser.add_argument("real", type=Path)
    parser.add_argument("boxes", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--seconds", type=float, default=3000)
    parser.add_argument("--epoch-samples", type=int, default=1500)
    parser.add_argument("--pool", type=int, default=60)
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128])
    arguments = parser.parse_args()
    if arguments.step == "prepare":
        align_cases(arguments.real, arguments.boxes, load_recipe("fast-plus"))
    elif arguments.step == "train":
        train(arguments)
    else:  # any weights on this grid, those that ship too
        model = adn.load_model(str(arguments.out))
        shapes = some_shapes(Library.from_folders(None, arguments.lesions, "val"))
        groups = validation(model.recipe, arguments.boxes, shapes)
        validator(model.network, groups, model.recipe, Path())(0)


if __name__ == "__main__":
    main()
