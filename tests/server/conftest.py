"""One server for all tests of a file."""

import pytest

pytest.importorskip("fastapi")
from server.stub_server import client_of, server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cases")


@pytest.fixture(scope="module")
def client(folder):
    """One server for all tests of a file, with a worker that is loaded once."""
    with client_of(server(folder, upload_mb=1, unpacked_mb=2, files=20, waiting=3)) as client:
        yield client
