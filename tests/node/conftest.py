"""A peer that takes results."""

import pytest


@pytest.fixture
def archive():
    pytest.importorskip("pynetdicom")
    from node.strangers import Archive

    made = Archive().start()
    yield made
    made.stop()
