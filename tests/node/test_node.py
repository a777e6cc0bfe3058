"""A node between two strangers of pynetdicom: each study ends with one set of results or one clear failure."""

import logging
import shutil
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

pytest.importorskip("pynetdicom")
import stub_node
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from adn.errors import InputError
from adn.node.intake import IntakeLimits
from adn.node.outbox import Sending
from adn.node.peers import COMMITMENT, Caller, parse_peer
from adn.node.receiver import Gate, tls_context
from adn.node.service import Keep, Node
from adn.node.status import status
from phantoms import PATIENT_ID, PATIENT_NAME, head, write_dicom_series

LIMITS = IntakeLimits(quiet_s=0.6, longest_s=20, free_mb=0)
FAST = Sending(first_pause=timedelta(seconds=0.3), longest_pause=timedelta(seconds=1))


class Archive:
    """A peer that keeps what it is sent. down: it refuses; dies_after: stops answering after so many objects."""

    def __init__(self, port=0):
        self.kept, self.times, self.commit, self.answer_to = {}, Counter(), False, 0
        self.port = port
        self.server = None
        self.fail = False

    def start(self):
        ae = AE("ARCHIVE")
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax)
        if self.commit:
            ae.add_supported_context(COMMITMENT)
        handlers = [(evt.EVT_C_STORE, self.store), (evt.EVT_N_ACTION, self.asked)]
        self.server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = self.server.server_address[1]
        return self

    def stop(self):
        self.server.shutdown()

    def store(self, event):
        if self.fail:
            return 0xA700
        data = event.dataset
        self.kept[data.SOPInstanceUID] = data
        self.times[data.SOPInstanceUID] += 1
        return 0

    def asked(self, event):
        self.transaction = event.action_information.TransactionUID
        if self.answer_to:
            self.answer(self.answer_to)
        return 0, None

    def answer(self, port, kind=1):
        """Tell a node on an association of its own what became of the storage commitment. kind: 2 where it failed."""
        ae = AE("ARCHIVE")
        ae.add_requested_context(COMMITMENT)
        association = ae.associate("127.0.0.1", port, ext_neg=[build_role(COMMITMENT, scp_role=True)])
        told = Dataset()
        told.TransactionUID = self.transaction
        association.send_n_event_report(told, kind, COMMITMENT, "1.2.840.10008.1.20.1.1")
        association.release()

    @property
    def peer(self):
        return parse_peer(f"ARCHIVE@127.0.0.1:{self.port}")

    def of_study(self, uid):
        return [data for data in self.kept.values() if data.StudyInstanceUID == uid]


@pytest.fixture
def archive():
    made = Archive().start()
    yield made
    made.stop()


@contextmanager
def running(folder, *peers, gate=None, limits=LIMITS, **settings):
    settings = {"sending": FAST, "pauses_s": (0.2, 0.2), "caller": Caller(timeout_s=5), **settings}
    node = Node(folder, peers=peers, limits=limits, predict=stub_node.predict, **settings)
    receiver = node.listen("ADN", "127.0.0.1", 0, gate)
    node.start()
    node.port = receiver.port
    try:
        yield node
    finally:
        receiver.close()
        node.close()


def study(folder, slices=6, **tags):
    """A series of a small head, as data sets."""
    tags = {"StudyInstanceUID": generate_uid(), **tags}
    write_dicom_series(head((slices, 16, 16), (5.0, 12.0, 12.0)), folder, tags=tags)
    return [dcmread(path) for path in sorted(folder.iterdir())]


def call(port, title="SCANNER", contexts=(CTImageStorage, Verification), tls=None):
    ae = AE(title)
    for context in contexts:
        ae.add_requested_context(context)
    ae.connection_timeout = ae.acse_timeout = 5
    return ae.associate("127.0.0.1", port, ae_title="ADN", tls_args=(tls, "localhost") if tls else None)


def send(port, images, title="SCANNER"):
    association = call(port, title)
    assert association.is_established
    codes = [association.send_c_store(image).Status for image in images]
    association.release()
    return codes


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def final(node, count=1):
    def look():
        records = node.cases.records()
        over = [one for one in records if one.state in ("done", "failed")]
        return over if len(over) >= count and all(map(node.outbox.delivered, over)) else None

    return until(look)


def test_a_study_comes_in_and_its_results_go_out_once(tmp_path, archive, caplog):
    caplog.set_level(logging.DEBUG, "adn")
    images = study(tmp_path / "in")
    with running(tmp_path / "node", archive.peer) as node:
        assert send(node.port, images) == [0] * 6
        (record,) = final(node)
        assert record.state == "done"
        found = archive.of_study(images[0].StudyInstanceUID)
        assert len(found) == 3
        assert {data.ImageComments for data in found} == {"6"}
        assert {(str(data.PatientName), data.PatientID) for data in found} == {(PATIENT_NAME, PATIENT_ID)}
        until(lambda: not list((tmp_path / "node" / "incoming").glob("*/*.dcm")))  # its results have arrived
        assert send(node.port, images) == [0] * 6  # once more, all of it
        time.sleep(2)
        assert [one.id for one in node.cases.records()] == [record.id]
        told = status(tmp_path / "node")
        assert told["cases"] == {"done": 1}
        assert told["deliveries"] == {archive.peer.name: {"sent": 1}}
    assert set(archive.times.values()) == {1}
    words = caplog.text + "".join(str(path) for path in (tmp_path / "node").rglob("*"))
    for name in (*PATIENT_NAME.split("^"), PATIENT_ID, images[0].StudyInstanceUID):
        assert name not in words


def test_a_study_that_comes_in_parts_is_one(tmp_path, archive):
    images = study(tmp_path / "in", 8)
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images[:3])
        time.sleep(0.3)
        send(node.port, images[2:])
        final(node)
        found = archive.of_study(images[0].StudyInstanceUID)
        assert [data.ImageComments for data in found] == ["8"] * 3


def test_a_study_that_grows_before_its_results_have_left_gives_those_of_the_whole(tmp_path, archive):
    archive.fail = True
    images = study(tmp_path / "in", 8)
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images[:5])
        until(lambda: any(one.state == "done" for one in node.cases.records()))
        send(node.port, images[5:])
        until(lambda: len(node.cases.records()) == 1 and node.cases.records()[0].content and node.intake.waiting() == 0)
        archive.fail = False
        final(node)
        time.sleep(1)
        assert {data.ImageComments for data in archive.kept.values()} == {"8"}


def test_a_study_that_grows_later_and_is_sent_whole_gives_a_second_set_of_the_whole(tmp_path, archive):
    images = study(tmp_path / "in", 8)
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images[:5])
        final(node)
        until(lambda: not list((tmp_path / "node" / "incoming").glob("*/*.dcm")))  # its results have arrived
        send(node.port, images)
        until(lambda: len(archive.kept) == 6)
        assert sorted(data.ImageComments for data in archive.kept.values()) == ["5"] * 3 + ["8"] * 3


def test_an_open_association_keeps_a_study_open(tmp_path, archive):
    images = study(tmp_path / "in")
    with running(tmp_path / "node", archive.peer) as node:
        association = call(node.port)
        for image in images[:3]:
            association.send_c_store(image)
        time.sleep(1.5)
        assert not node.cases.records()
        for image in images[3:]:
            association.send_c_store(image)
        association.abort()  # as a cable that is pulled
        final(node)
        assert {data.ImageComments for data in archive.kept.values()} == {"6"}


def test_what_cannot_be_processed_is_one_clear_failure(tmp_path, archive):
    images = study(tmp_path / "in", SeriesDescription="bad")
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images)
        (record,) = final(node)
        assert record.state == "failed"
        assert not archive.kept
        (line,) = status(tmp_path / "node")["look"]
        assert "not a head CT" in line["problem"]


@pytest.mark.parametrize(("order", "ends"), [("crash once", "done"), ("crash", "failed")])
def test_a_worker_that_dies_is_tried_again_and_then_given_up(tmp_path, archive, order, ends):
    images = study(tmp_path / "in", SeriesDescription=order)
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images)
        (record,) = final(node)
        assert record.state == ends
        assert len(archive.kept) == (3 if ends == "done" else 0)


def test_a_peer_that_is_down_gets_its_results_when_it_is_back(tmp_path):
    archive = Archive().start()
    archive.stop()
    images = study(tmp_path / "in")
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images)
        until(lambda: status(tmp_path / "node")["look"])
        assert "does not answer" in status(tmp_path / "node")["look"][0]["problem"]
        archive.start()
        try:
            final(node)
        finally:
            archive.stop()
    assert len(archive.kept) == 3


def test_a_node_that_stops_goes_on_where_it_was(tmp_path, archive):
    images = study(tmp_path / "in")
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images)  # and at once the end
    with running(tmp_path / "node", archive.peer) as node:
        final(node)
    assert len(archive.kept) == 3


def test_a_peer_that_never_takes_them_is_a_failure_that_is_told(tmp_path):
    images = study(tmp_path / "in")
    nobody = parse_peer("NOBODY@127.0.0.1:9")
    sending = replace(FAST, give_up=timedelta(seconds=1))
    with running(tmp_path / "node", nobody, sending=sending) as node:
        send(node.port, images)
        final(node)
        assert status(tmp_path / "node")["deliveries"] == {nobody.name: {"failed": 1}}


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


def test_who_may_not_call_is_not_heard(tmp_path):
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


def test_limits_are_told_to_the_sender_and_nothing_is_half_kept(tmp_path):
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


def test_cases_and_images_stay_as_long_as_is_asked(tmp_path, archive):
    images = study(tmp_path / "in")
    keep = Keep(images=timedelta(hours=1), cases=timedelta(days=1))
    with running(tmp_path / "node", archive.peer, keep=keep) as node:
        send(node.port, images)
        final(node)
        time.sleep(1.2)
        assert len(list((tmp_path / "node" / "incoming").glob("*/*.dcm"))) == 6
        node.keep = Keep(cases=timedelta(0))
        until(lambda: not node.cases.records())
        until(lambda: not list((tmp_path / "node" / "incoming").iterdir()))


def test_twenty_associations_at_a_time(tmp_path, archive):
    from concurrent.futures import ThreadPoolExecutor

    studies = [study(tmp_path / f"in{i}", 3) for i in range(20)]
    with running(tmp_path / "node", archive.peer) as node:
        with ThreadPoolExecutor(20) as pool:
            codes = list(pool.map(lambda images: send(node.port, images), studies))
        assert codes == [[0] * 3] * 20
        final(node, 20)
    assert len(archive.kept) == 60
    assert set(archive.times.values()) == {1}


def test_an_address_is_read_or_refused_in_words():
    assert parse_peer("PACS@10.1.2.3:104").port == 104
    assert parse_peer("PACS@[::1]:104").host == "::1"
    assert parse_peer("https://pacs/dicom-web/").url == "https://pacs/dicom-web"
    assert parse_peer("https://me:secret@pacs/web").name == "https://pacs/web"  # names are logged
    for text in ("PACS", "PACS@host", "PACS@host:0", "A-TITLE-THAT-IS-TOO-LONG@host:104"):
        with pytest.raises(InputError, match="TITLE@host:port"):
            parse_peer(text)


def test_a_study_that_failed_and_is_sent_again_is_tried_again(tmp_path, archive):
    images = study(tmp_path / "in", SeriesDescription="bad")
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images)
        (first,) = final(node)
        send(node.port, images)
        until(lambda: [one for one in node.cases.records() if one.id != first.id])
        (second,) = final(node)
        assert second.state == "failed"


def test_a_peer_that_is_no_longer_named_is_not_waited_for(tmp_path):
    images = study(tmp_path / "in")
    with running(tmp_path / "node", parse_peer("NOBODY@127.0.0.1:9")) as node:
        send(node.port, images)
        until(lambda: status(tmp_path / "node")["look"])
    with running(tmp_path / "node") as node:
        final(node)


def test_tls_asks_callers_for_a_certificate(tmp_path):
    openssl = shutil.which("openssl") or pytest.skip("needs openssl")
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run([openssl, *words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    images = study(tmp_path / "in", 1)
    gate = Gate(tls=tls_context(certificate, key, certificate, server=True))
    with running(tmp_path / "node", gate=gate) as node:
        assert not call(node.port).is_established
        association = call(node.port, tls=tls_context(certificate, key, certificate, server=False))
        assert association.send_c_store(images[0]).Status == 0
        association.release()


def test_what_is_no_network_is_said_at_once():
    with pytest.raises(InputError, match="networks"):
        Gate(networks=("anywhere",))
