"""A peer that takes results, and clocks that tick faster than a hospital's."""

import socketserver

import pytest

_serve = socketserver.BaseServer.serve_forever


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A node looks for work, and a server for its own end, every 50 ms instead of every 500."""
    monkeypatch.setattr("adn.node.service._TICK_S", 0.05)
    monkeypatch.setattr("adn.server.jobs._GRACE_S", 0.1)
    monkeypatch.setattr(
        socketserver.BaseServer, "serve_forever", lambda self, poll_interval=0.05: _serve(self, poll_interval)
    )


@pytest.fixture
def archive():
    pytest.importorskip("pynetdicom")
    from node.strangers import Archive

    made = Archive().start()
    yield made
    made.stop()
