"""Storage commitment: asked for, heard whenever the answer comes, and acted on where it fails."""

import pytest

pytest.importorskip("pynetdicom")
from strangers import Archive, final, running, send, study, until

from adn.node.status import status


@pytest.mark.parametrize("early", [False, True])
def test_storage_commitment_is_asked_for_and_heard(tmp_path, early):
    """Early: the answer comes on its own association before the question has been acknowledged, as Orthanc's may."""
    archive = Archive()
    archive.commit = True
    archive.start()
    images = study(tmp_path / "in")
    try:
        with running(tmp_path / "node", archive.peer) as node:
            archive.answer_to = node.port if early else 0
            send(node.port, images)
            final(node)
            if not early:
                archive.answer(node.port)
            until(lambda: status(tmp_path / "node")["deliveries"][archive.peer.name] == {"committed": 1})
    finally:
        archive.stop()


def test_what_a_peer_does_not_commit_itself_to_is_sent_again(tmp_path):
    archive = Archive()
    archive.commit = True
    archive.start()
    images = study(tmp_path / "in")
    try:
        with running(tmp_path / "node", archive.peer) as node:
            send(node.port, images)
            final(node)
            first = archive.transaction
            archive.answer(node.port, kind=2)
            until(lambda: archive.transaction != first)
            until(lambda: status(tmp_path / "node")["deliveries"][archive.peer.name] == {"sent": 1})
            assert set(archive.times.values()) == {2}
    finally:
        archive.stop()
