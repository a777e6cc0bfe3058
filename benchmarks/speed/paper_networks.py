"""The paper's D and F on its full grid, as adn runs them and plainly: CPU seconds, peak memory, and how far they agree.

    python benchmarks/speed/paper_networks.py [--recipe paper] [--times 3]

Plainly: the same untrained networks in fp32, in PyTorch's own layout, with upsampled volumes convolved as they are.
Each run is a separate process with one thread, alternating, so that a busy machine slows both; CPU seconds include
system time. Prints the fastest of each, their ratio, and the maximum and 99.9th percentile of the difference in P and
in the probability.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def measure(way: str, precision: str, recipe_name: str, out: Path) -> None:
    """Run D and F once in this process; writes seconds, MB, P and the probability."""
    import torch

    from adn.nn.adn import build_adn
    from adn.nn.precision import made_ready
    from adn.recipes import load_recipe
    from adn.work.memory import keep_freed_memory

    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe = load_recipe(recipe_name)
    network = build_adn(recipe).eval().requires_grad_(False)
    shape = (1, 1, *(recipe.grid.box or recipe.grid.shape))
    aligned, pose = torch.rand(shape), torch.eye(4)[None]
    if way == "adn":
        network = made_ready(network, torch.device("cpu"))
        around = torch.no_grad()
    else:
        around = torch.enable_grad()  # which keeps upsampling and convolution separate
    lower = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    kept = keep_freed_memory() if way == "adn" else contextlib.nullcontext()
    start = time.process_time()
    with around, lower, kept:
        output = network.from_aligned(aligned, pose)
    seconds = time.process_time() - start
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    maps = (output.parts.pathological_asymmetry, output.infarct_probability_aligned)
    np.savez(out, cost=np.array([seconds, megabytes]), maps=torch.cat(maps).numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="paper")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("WAY", "PRECISION", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        way, precision, out = arguments.one
        measure(way, precision, arguments.recipe, Path(out))
        return
    ways = [("plain", "fp32"), ("adn", "fp32"), ("adn", "bf16")]
    costs: dict[tuple[str, str], list[np.ndarray]] = {way: [] for way in ways}
    maps = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.times):
            for way in ways:
                out = Path(folder) / "one.npz"
                command = [sys.executable, __file__, "--recipe", arguments.recipe, "--one", *way, str(out)]
                subprocess.run(command, check=True)
                with np.load(out) as found:
                    costs[way].append(found["cost"])
                    maps[way] = found["maps"]
    print("| way | precision | CPU s | times as fast | peak MB | P: largest, 99.9 % off | probability |")
    print("|---|---|---:|---:|---:|---|---|")
    plain = min(cost[0] for cost in costs[ways[0]])
    for way in ways:
        seconds, megabytes = min(cost[0] for cost in costs[way]), max(cost[1] for cost in costs[way])
        off = np.abs(maps[way] - maps[ways[0]]).reshape(2, -1)
        cells = [f"{row.max():.5f}, {np.quantile(row, 0.999):.5f}" for row in off]
        print(f"| {' | '.join(way)} | {seconds:.1f} | {plain / seconds:.2f} | {megabytes:.0f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
