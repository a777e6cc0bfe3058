"""Endless virtual heads with skull, for the tissue network: sample i depends on (seed, i) only."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adn.config import Recipe
from adn.nn.tissue import head_box
from adn.virtual.draw import draw_patient
from adn.virtual.folders import FIELD_OF_VIEW_MM, patient_generator, render_plan, scanner_lattice
from adn.virtual.library import Library

MAX_SLICES = 40  # from taller stacks (thin slices), a random run of this many is used, to keep steps short
NECK_MM = 40.0  # scans may reach this much further down than `draw_patient` allows
# Cortex is thinner than slices: with two samples in a 5 mm slice, the tissue of one voxel in nine is a toss-up.
SLICE_SAMPLE_MM = 1.25
NOISE = (0.4, 2.0)  # factor on the noise from `draw_patient`: from smoothed to thin-sliced scans


class HeadSample(NamedTuple):
    """One head. ct: (1, D, H, W) in HU; tissue: (D, H, W) uint8, `TissueLabel`; brain: (D, H, W) bool."""

    ct: Tensor
    tissue: Tensor
    brain: Tensor


class VirtualHeads(Dataset[HeadSample]):
    """Virtual patients as scanned (slices, tilt, pose), at the network's pixel size, cropped to the head in plane."""

    def __init__(self, recipe: Recipe, library: Library, seed: int, count: int) -> None:
        self.library, self.seed, self.count = library, seed, count
        self.multiple = 2 ** len(recipe.tissue.channels)
        self.matrix = round(FIELD_OF_VIEW_MM / recipe.tissue.pixel_mm / self.multiple) * self.multiple
        self.choices = library.choices(recipe.train.patients)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> HeadSample:
        """Draw, render, mirror at random (a mirrored head is another head), crop."""
        generator = patient_generator(self.seed, index)
        plan = draw_patient(generator, self.choices)
        u = torch.rand(4, generator=generator).tolist()
        noise_hu = plan.scanner.noise_hu * (NOISE[0] + (NOISE[1] - NOISE[0]) * u[0])
        below_mm = plan.scanner.below_mm + max(NECK_MM * (2 * u[1] - 1), 0.0)
        plan = replace(plan, scanner=replace(plan.scanner, noise_hu=noise_hu, below_mm=below_mm))
        lattice = scanner_lattice(plan, self.matrix)
        patient = render_plan(plan, self.library, lattice, slice_sample_mm=SLICE_SAMPLE_MM)
        parts = (patient.ct, patient.tissue, patient.brain)
        first = int(u[2] * max(len(patient.ct) - MAX_SLICES + 1, 1))
        parts = tuple(x[first : first + MAX_SLICES] for x in parts)
        if u[3] < 0.5:
            parts = tuple(x.flip(-1) for x in parts)
        ct, tissue, brain = (x[head_box(parts[0], self.multiple)] for x in parts)
        return HeadSample(ct[None], tissue, brain)
