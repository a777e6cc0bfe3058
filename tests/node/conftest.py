"""A peer that takes results, and clocks that tick faster than a hospital's."""

import socket
import socketserver

import pytest

transport = pytest.importorskip("pynetdicom.transport")
_create_socket = transport.AssociationSocket._create_socket
_serve = socketserver.BaseServer.serve_forever


def _without_delay(association, address):
    """Each object takes two packets, and the second would wait 40 ms for the first to be acknowledged."""
    made = _create_socket(association, address)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A node looks for work, and a server for its own end, every 50 ms; what is sent to them leaves at once."""
    monkeypatch.setattr("adn.node.service._TICK_S", 0.05)
    monkeypatch.setattr("adn.server.jobs._GRACE_S", 0.1)
    monkeypatch.setattr("adn.server.jobs._PAUSED_S", 0.05)
    monkeypatch.setattr("pynetdicom.transport.AssociationSocket._create_socket", _without_delay)
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
