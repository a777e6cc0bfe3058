"""Memory that one network frees is reused by the next, and results do not change."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from adn.work.memory import keep_freed_memory, release_memory

PAGES = """
import ctypes, resource
from adn.work.memory import restore_glibc_trimming

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def asked_for():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    place = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(2**24)))
    ctypes.memset(place, 1, 2**24)
    libc.free(place)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

asked_for()
print(asked_for())
restore_glibc_trimming()
asked_for()
print(asked_for())
"""


def test_results_do_not_depend_on_where_memory_comes_from():
    x = torch.rand(64, 64, 64)
    once = torch.nn.functional.max_pool3d(x[None], 2)
    with keep_freed_memory():
        kept = torch.nn.functional.max_pool3d(x[None], 2)
    with keep_freed_memory(False):
        pass
    release_memory()
    assert torch.equal(once, kept)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_is_reused_in_a_dask_worker():
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    pages = subprocess.run([sys.executable, "-c", PAGES], env=environment, capture_output=True, text=True, check=True)
    as_dask_sets_it, as_glibc_does = map(int, pages.stdout.split())
    assert as_dask_sets_it > 4000
    assert as_glibc_does < 40
