"""Storage commitment: requested, received whenever the answer comes, and acted on if it fails."""

import pytest

pytest.importorskip("pynetdicom")
from adn.node.status import status
from node.strangers import Archive, final, running, send, study, until


@pytest.fixture
def committing():
    """An archive that offers storage commitment."""
    archive = Archive()
    archive.commit = True
    yield archive.start()
    archive.stop()


@pytest.mark.parametrize("early", [False, True])
def test_storage_commitment_is_requested_and_received(tmp_path, committing, early):
    """Early: the answer comes on its own association before the question has been acknowledged, as Orthanc's may."""
    images = study(tmp_path / "in")
    with running(tmp_path / "node", committing.peer) as node:
        committing.answer_to = node.port if early else 0
        send(node.port, images)
        final(node)
        if not early:
            committing.answer(node.port)
        until(lambda: status(tmp_path / "node")["deliveries"][committing.peer.name] == {"committed": 1})


def test_objects_without_storage_commitment_are_sent_again(tmp_path, committing):
    images = study(tmp_path / "in")
    with running(tmp_path / "node", committing.peer) as node:
        send(node.port, images)
        final(node)
        first = committing.transaction
        committing.answer(node.port, kind=2)
        until(lambda: committing.transaction != first)
        until(lambda: status(tmp_path / "node")["deliveries"][committing.peer.name] == {"sent": 1})
        assert set(committing.times.values()) == {2}
