"""Who may call a node, how much they may send, and how many may call at once."""

import shutil
import subprocess

import pytest

pytest.importorskip("pynetdicom")
from adn.errors import InputError
from adn.node.intake import IntakeLimits
from adn.node.peers import Caller
from adn.node.receiver import Gate, tls_context
from node.strangers import Archive, call, final, running, send, study, until


def test_callers_that_are_not_allowed_are_refused(tmp_path):
    images = study(tmp_path / "in")
    gate = Gate(titles=("SCANNER",))
    with running(tmp_path / "node", gate=gate) as node:
        assert not call(node.port, "STRANGER").is_established
        assert send(node.port, images[:1]) == [0]
    gate = Gate(networks=("10.0.0.0/8",))
    with running(tmp_path / "other", gate=gate) as node:
        association = call(node.port)
        assert not association.is_established or association.send_c_store(images[0]).get("Status") is None
        assert not list((tmp_path / "other" / "incoming").glob("*/*"))


def test_exceeded_limits_are_reported_to_the_sender_and_nothing_partial_is_stored(tmp_path):
    images = study(tmp_path / "in", 6)
    limits = IntakeLimits(quiet_s=60, images=4, studies=1, free_mb=0)
    with running(tmp_path / "node", limits=limits) as node:
        assert send(node.port, images) == [0] * 4 + [0xA700] * 2
        assert send(node.port, study(tmp_path / "other", 1)) == [0xA700]
        assert len(list((tmp_path / "node" / "incoming").glob("*/*.dcm"))) == 4
    limits = IntakeLimits(free_mb=10**9)
    with running(tmp_path / "full", limits=limits) as node:
        assert send(node.port, images) == [0xA700] * 6
        assert not list((tmp_path / "full" / "incoming").iterdir())


def test_twenty_associations_at_once_are_served(tmp_path, archive):
    from concurrent.futures import ThreadPoolExecutor

    studies = [study(tmp_path / f"in{i}", 3) for i in range(20)]
    with running(tmp_path / "node", archive.peer) as node:
        with ThreadPoolExecutor(20) as pool:
            codes = list(pool.map(lambda images: send(node.port, images), studies))
        assert codes == [[0] * 3] * 20
        final(node, 20)
    assert len(archive.kept) == 60
    assert set(archive.times.values()) == {1}


@pytest.fixture
def certificate(tmp_path):
    """Paths of one that trusts itself alone, as `tls_context` wants them."""
    openssl = shutil.which("openssl") or pytest.skip("needs openssl")
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run([openssl, *words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key, certificate


def test_tls_requires_a_client_certificate(tmp_path, certificate):
    images = study(tmp_path / "in", 1)
    gate = Gate(tls=tls_context(*certificate, server=True))
    with running(tmp_path / "node", gate=gate) as node:
        assert not call(node.port).is_established
        association = call(node.port, tls=tls_context(*certificate, server=False))
        assert association.send_c_store(images[0]).Status == 0
        association.release()


@pytest.mark.parametrize("shown", [True, False])
def test_a_certificate_is_sent_to_a_peer_that_requires_one(tmp_path, certificate, shown):
    archive = Archive()
    archive.tls = tls_context(*certificate, server=True)
    archive.start()
    caller = Caller(tls=tls_context(*certificate, server=False) if shown else None, timeout_s=20)
    try:
        with running(tmp_path / "node", archive.peer, caller=caller) as node:
            send(node.port, study(tmp_path / "in", 1))
            (delivery,) = until(lambda: [d for one in node.cases.records() for d in told(node, one) if d.tries])
            assert delivery.state == ("sent" if shown else "waiting")
    finally:
        archive.stop()
    assert len(archive.kept) == (3 if shown else 0)


def told(node, record):
    return node.outbox.deliveries(record).values()


def test_an_invalid_network_is_rejected_at_once():
    with pytest.raises(InputError, match="networks"):
        Gate(networks=("anywhere",))
