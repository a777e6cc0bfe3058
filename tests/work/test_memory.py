"""Memory that one network frees serves the next, and the results stay what they are."""

import torch

from adn.work.memory import freed_memory_kept, give_memory_back


def test_results_do_not_depend_on_where_memory_comes_from():
    x = torch.rand(64, 64, 64)
    once = torch.nn.functional.max_pool3d(x[None], 2)
    with freed_memory_kept():
        kept = torch.nn.functional.max_pool3d(x[None], 2)
    with freed_memory_kept(False):
        pass
    give_memory_back()
    assert torch.equal(once, kept)
