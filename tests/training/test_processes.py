"""Training in several processes, or on parts of a batch, equals one process with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from adn.errors import ConfigError
from adn.training.fit import Machine, Stage, fit
from adn.training.logbook import read_log
from adn.training.machine import loader, share_of_batch
from training.toy import CONFIG, Points, network, objective
from training.two_processes import train_tiny

HERE = Path(__file__).parent


def test_two_processes_give_the_loss_of_one_with_twice_the_batch(tmp_path):
    """Two processes with 2 samples each, in 2 parts, against one with 4, over two steps of the coarse recipe."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(
        [*torchrun, str(HERE / "two_processes.py"), str(tmp_path / "two"), "2"],
        check=True, env=environment, timeout=300, capture_output=True,
    )  # fmt: skip
    alone = train_tiny(tmp_path / "one").state_dict()
    (one,), (two,) = (read_log(tmp_path / name / "log.csv") for name in ("one", "two"))  # one row: rank zero wrote it
    for name in ("loss", "l_tissue", "l_size", "l_intrinsic", "bce", "mean_p"):
        assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-3), name
    together = torch.load(tmp_path / "two" / "segment.ckpt", weights_only=True)["model"]
    apart = torch.cat([(value - together[name]).flatten() for name, value in alone.items()]).abs().mean()
    assert apart < 1e-4  # AdamW moves a weight by 2e-3 a step, also where its gradient is rounding alone


def test_a_batch_in_parts_gives_the_same_weights(tmp_path):
    whole, parts = network(), network()
    for model, n in ((whole, 1), (parts, 4)):
        config = CONFIG.model_copy(update={"accumulation": n})
        fit(model, Points(), objective, Stage("toy", tmp_path / str(n), config, precision="fp32"), Machine("cpu"))
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_a_global_batch_holds_the_same_samples_for_any_number_of_processes(processes):
    class Indices(torch.utils.data.Dataset):
        def __getitem__(self, index):
            return index

    seen = []
    for rank in range(processes):
        fabric = SimpleNamespace(global_rank=rank, world_size=processes, device=torch.device("cpu"))
        seen.append(torch.cat(list(loader(Indices(), CONFIG, fabric, range(1, 3), 0, None))).tolist())  # type: ignore[arg-type]
    share = CONFIG.batch_size // processes
    first = [index for mine in seen for index in mine[:share]]
    assert sorted(first) == [4, 5, 6, 7]  # step 1 of batches of 4
    assert sorted(index for mine in seen for index in mine) == list(range(4, 12))


def test_a_batch_that_cannot_be_shared_is_refused():
    config = CONFIG.model_copy(update={"batch_size": 6, "accumulation": 2})
    assert share_of_batch(config, 3) == 1
    with pytest.raises(ConfigError, match="multiple of 8"):
        share_of_batch(config, 4)
