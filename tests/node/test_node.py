"""A node between two pynetdicom peers: each study ends with one set of results or one clear failure."""

import logging
import time
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatch

import pytest

pytest.importorskip("pynetdicom")
from adn.errors import InputError
from adn.node.outbox import PATTERNS
from adn.node.peers import parse_peer
from adn.node.service import Retention
from adn.node.status import status
from node import stub_node
from node.strangers import FAST, Archive, call, final, running, send, study, until
from phantoms import PATIENT_ID, PATIENT_NAME


def test_results_of_a_received_study_are_sent_once(tmp_path, archive, caplog):
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
        time.sleep(1)
        assert [one.id for one in node.cases.records()] == [record.id]
        told = status(tmp_path / "node")
        assert told["cases"] == {"done": 1}
        assert told["deliveries"] == {archive.peer.name: {"sent": 1}}
    assert set(archive.times.values()) == {1}
    words = caplog.text + "".join(str(path) for path in (tmp_path / "node").rglob("*"))
    for name in (*PATIENT_NAME.split("^"), PATIENT_ID, images[0].StudyInstanceUID):
        assert name not in words


def test_a_study_received_in_parts_is_one_case(tmp_path, archive):
    images = study(tmp_path / "in", 8)
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images[:3])
        time.sleep(0.1)
        send(node.port, images[2:])
        final(node)
        found = archive.of_study(images[0].StudyInstanceUID)
        assert [data.ImageComments for data in found] == ["8"] * 3


def test_a_study_that_grows_before_its_results_are_sent_gives_one_set_for_the_whole_study(tmp_path, archive):
    archive.fail = True
    images = study(tmp_path / "in", 8)
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images[:5])
        until(lambda: any(one.state == "done" for one in node.cases.records()))
        send(node.port, images[5:])
        until(lambda: len(node.cases.records()) == 1 and node.cases.records()[0].content and node.intake.waiting() == 0)
        archive.fail = False
        final(node)
        time.sleep(0.7)
        assert {data.ImageComments for data in archive.kept.values()} == {"8"}


def test_a_study_that_is_resent_whole_after_its_results_gives_a_second_set(tmp_path, archive):
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
        time.sleep(0.9)
        assert not node.cases.records()
        for image in images[3:]:
            association.send_c_store(image)
        association.abort()  # as a cable that is pulled
        final(node)
        assert {data.ImageComments for data in archive.kept.values()} == {"6"}


def test_a_study_that_cannot_be_processed_is_one_clear_failure(tmp_path, archive):
    images = study(tmp_path / "in", SeriesDescription="bad")
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images)
        (record,) = final(node)
        assert record.state == "failed"
        assert not archive.kept
        (line,) = status(tmp_path / "node")["look"]
        assert "not a head CT" in line["problem"]


@pytest.mark.parametrize(("order", "ends"), [("crash once", "done"), ("crash", "failed")])
def test_a_case_whose_worker_dies_is_retried_and_then_given_up(tmp_path, archive, order, ends):
    images = study(tmp_path / "in", SeriesDescription=order)
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images)
        (record,) = final(node)
        assert record.state == ends
        assert len(archive.kept) == (3 if ends == "done" else 0)


def test_results_are_sent_when_a_peer_that_was_down_is_back(tmp_path):
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


def test_a_restarted_node_continues_where_it_stopped(tmp_path, archive):
    images = study(tmp_path / "in")
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images)  # and at once the end
    with running(tmp_path / "node", archive.peer) as node:
        final(node)
    assert len(archive.kept) == 3


def test_results_that_a_peer_never_accepts_are_reported_as_a_failure(tmp_path):
    images = study(tmp_path / "in")
    nobody = parse_peer("NOBODY@127.0.0.1:9")
    sending = replace(FAST, give_up=timedelta(seconds=1))
    with running(tmp_path / "node", nobody, sending=sending) as node:
        send(node.port, images)
        final(node)
        assert status(tmp_path / "node")["deliveries"] == {nobody.name: {"failed": 1}}


def test_cases_and_images_are_kept_for_the_configured_time(tmp_path, archive):
    images = study(tmp_path / "in")
    keep = Retention(images=timedelta(hours=1), cases=timedelta(days=1))
    with running(tmp_path / "node", archive.peer, keep=keep) as node:
        send(node.port, images)
        final(node)
        time.sleep(0.5)
        assert len(list((tmp_path / "node" / "incoming").glob("*/*.dcm"))) == 6
        node.keep = Retention(cases=timedelta(0))
        until(lambda: not node.cases.records())
        until(lambda: not list((tmp_path / "node" / "incoming").iterdir()))


def test_addresses_are_parsed_or_refused_with_a_reason():
    assert parse_peer("PACS@10.1.2.3:104").port == 104
    assert parse_peer("PACS@[::1]:104").host == "::1"
    assert parse_peer("https://pacs/dicom-web/").url == "https://pacs/dicom-web"
    assert parse_peer("https://me:secret@pacs/web").name == "https://pacs/web"  # names are logged
    for text in ("PACS", "PACS@host", "PACS@host:0", "A-TITLE-THAT-IS-TOO-LONG@host:104"):
        with pytest.raises(InputError, match="TITLE@host:port"):
            parse_peer(text)


def test_a_failed_study_is_processed_again_when_it_is_resent(tmp_path, archive):
    images = study(tmp_path / "in", SeriesDescription="bad")
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, images)
        (first,) = final(node)
        send(node.port, images)
        until(lambda: [one for one in node.cases.records() if one.id != first.id])
        (second,) = final(node)
        assert second.state == "failed"


def test_a_peer_that_was_removed_from_the_settings_is_not_waited_for(tmp_path):
    images = study(tmp_path / "in")
    with running(tmp_path / "node", parse_peer("NOBODY@127.0.0.1:9")) as node:
        send(node.port, images)
        until(lambda: status(tmp_path / "node")["look"])
    with running(tmp_path / "node") as node:
        final(node)


@pytest.mark.parametrize("kind", stub_node.CLASSES)
def test_each_kind_of_result_can_be_sent_alone(tmp_path, archive, kind):
    (wanted,) = [name for name, pattern in PATTERNS.items() if fnmatch(kind, pattern)]
    with running(tmp_path / "node", archive.peer, sending=replace(FAST, kinds=(wanted,))) as node:
        send(node.port, study(tmp_path / "in", 2))
        final(node)
    assert [data.SOPClassUID for data in archive.kept.values()] == [stub_node.CLASSES[kind]]
