"""Run by torchrun from test_processes.py: D + F of the coarse recipe on coarse brains.

Arguments: run folder, accumulation.
"""

import sys
from pathlib import Path

import torch

from adn.feed.samples import collate
from adn.nn.adn import build_adn
from adn.recipes import load_recipe
from adn.training.fit import Machine, Stage, fit
from adn.training.objectives import segment_objective
from given import COARSE
from training.toy import Brains


def train_tiny(out, accumulation=1):
    recipe = load_recipe(COARSE)
    torch.manual_seed(0)
    model = build_adn(recipe)
    model.align.requires_grad_(False)
    update = {"batch_size": 4, "epoch_samples": 8, "max_epochs": 1, "accumulation": accumulation}
    config = recipe.train.segment.model_copy(update=update)
    objective = segment_objective(recipe, aligned=True)
    stage = Stage("segment", Path(out), config, collate, "fp32")
    return fit(model, Brains(recipe.grid.box), objective, stage, Machine("cpu"))


if __name__ == "__main__":
    train_tiny(sys.argv[1], int(sys.argv[2]))
