"""Events forced to happen between two steps of a node: nothing is lost, and nothing is sent twice."""

import os
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest

pytest.importorskip("pynetdicom")
from pydicom import Dataset
from pydicom.uid import generate_uid

from adn.errors import OutputError
from adn.io.atomic import atomic_folder
from adn.node import priors
from adn.node.intake import IntakeLimits
from adn.node.outbox import Delivery, read_deliveries
from adn.node.peers import Peer, Sent
from adn.node.service import Node
from adn.report.dicom_seg import SEG_NAME
from adn.server.models import Failure
from given import given, loose
from node import stub_node
from node.strangers import FAST, LIMITS, call, final, running, send, study, until

NOW = IntakeLimits(quiet_s=0, free_mb=0)
NOBODY = Peer("PACS", "PACS", "127.0.0.1", 9)


@pytest.fixture
def node(tmp_path):
    """One that does nothing by itself, with a peer that is never there."""
    made = resting(tmp_path)
    yield made
    made.close()


def resting(folder, peers=(NOBODY,), **settings):
    return Node(folder / "node", peers=peers, limits=NOW, predict=stub_node.predict, sending=FAST, **settings)


@pytest.fixture
def images(tmp_path):
    return study(tmp_path / "in", 8)


def take(node, images):
    for image in images:
        node.intake.take(image.SOPInstanceUID.encode(), image.StudyInstanceUID, image.SOPInstanceUID)


def handed_over(node, images):
    take(node, images)
    (key,) = node.intake.due()
    return node.intake.hand_over(key)


def ended(node, record, state="done"):
    node.cases.finish(record.id, state, Failure(title="", detail="") if state == "failed" else None)
    return node.cases.record(record.id)


def with_results(node, record):
    first = Dataset()
    first.StudyInstanceUID, first.PatientName, first.PatientID = generate_uid(), "", ""
    with atomic_folder(node.cases.results(record)) as folder:
        stub_node.write_object(first, stub_node.CLASSES[SEG_NAME], 1, folder / SEG_NAME)


def kept(node):
    return len(list(node.intake.folder.glob("*/*.dcm")))


def test_an_image_that_arrives_after_a_study_seemed_complete_keeps_it_open(node, images):
    take(node, images[:5])
    (key,) = node.intake.due()
    last = images[5]
    node.intake.take(b"x", last.StudyInstanceUID, last.SOPInstanceUID, association=7)
    assert node.intake.hand_over(key) is None
    node.intake.ended(7)
    assert node.intake.hand_over(key) is not None
    assert not node.intake.due()


def test_images_resent_after_a_failure_survive_a_crash_before_processing(tmp_path, node, images):
    ended(node, handed_over(node, images), "failed")
    os.utime(next(node.intake.folder.glob("*/study.json")), ns=(0, 0))  # it was long ago
    take(node, images)
    after = resting(tmp_path)
    assert after.intake.waiting() == 1
    after.close()


def test_a_crash_between_removing_the_failed_case_and_creating_the_new_one_loses_nothing(
    tmp_path, node, images, monkeypatch
):
    ended(node, handed_over(node, images), "failed")
    take(node, images)
    monkeypatch.setattr(node.cases, "add", lambda *_, **__: (_ for _ in ()).throw(OutputError("killed here")))
    with pytest.raises(OutputError):
        node.intake.hand_over(*node.intake.due())
    assert not node.cases.records()
    for path in node.intake.folder.glob("*/*.dcm"):
        os.utime(path, ns=(0, 0))  # files as old as can be
    after = resting(tmp_path)
    assert given(after.intake.hand_over(*after.intake.due())).state == "queued"
    after.close()


def test_images_are_kept_while_the_second_set_of_results_is_made(tmp_path, images):
    node = resting(tmp_path, ())
    ended(node, handed_over(node, images[:5]))
    node.tidy()
    assert kept(node) == 0
    second = handed_over(node, images)
    node.tidy()  # the first set has arrived
    assert kept(node) == 8
    ended(node, second)
    node.tidy()
    assert kept(node) == 0
    node.close()


def test_without_a_peer_late_images_alone_do_not_replace_results(tmp_path, images):
    node = resting(tmp_path, ())
    first = ended(node, handed_over(node, images[:5]))
    node.tidy()
    second = handed_over(node, images[5:])
    assert {one.id for one in node.cases.records()} == {given(first).id, given(second).id}
    node.close()


def test_results_being_sent_are_never_withdrawn(node, images, monkeypatch):
    first = handed_over(node, images[:5])
    queued = node.cases.record(first.id)
    ended(node, first)
    node.outbox._sending.add(first.id)
    monkeypatch.setattr(node.intake, "_cases_of", lambda key: [queued])  # as it was a moment ago
    take(node, images)
    second = node.intake.hand_over(*node.intake.due())
    assert {one.id for one in node.cases.records()} == {given(first).id, given(second).id}


def test_the_rest_of_a_partly_sent_set_is_sent_too(tmp_path, archive):
    sent = study(tmp_path / "in", 8)
    taken = archive.store
    archive.store = lambda event: 0xA700 if archive.kept else taken(event)
    archive.stop()
    archive.start()
    with running(tmp_path / "node", archive.peer) as node:
        send(node.port, sent[:5])
        until(lambda: any(d.begun for one in node.cases.records() for d in node.outbox.deliveries(one).values()))
        send(node.port, sent)
        until(lambda: len(node.cases.records()) == 2)
        archive.kept.clear()
        archive.store = taken
        archive.stop()
        archive.start()
        final(node, 2)
        until(lambda: len(archive.kept) == 6)
    assert sorted(data.ImageComments for data in archive.kept.values()) == ["5"] * 3 + ["8"] * 3


def test_an_unsolicited_commitment_is_ignored(node, images):
    record = ended(node, handed_over(node, images))
    with_results(node, record)
    node.outbox.attempt(record, NOBODY)
    for failed in (False, True):
        node.outbox.committed("", failed)
    assert node.outbox.deliveries(record)["PACS"].state == "waiting"
    node.outbox.attempt(record, NOBODY)
    assert node.outbox.deliveries(record)["PACS"].state == "waiting"


def test_a_commitment_failure_during_the_check_for_unsent_results_is_noticed(node, images, monkeypatch):
    record = ended(node, handed_over(node, images))
    node.outbox._write(record, "PACS", Delivery(state="sent", due=record.finished, transaction="1.2"))
    answer = threading.Thread(target=node.outbox.committed, args=("1.2", True))
    read = node.outbox.deliveries

    def interrupted(record):
        found = read(record)
        answer.start()
        answer.join(0.5)
        return found

    monkeypatch.setattr(node.outbox, "deliveries", interrupted)
    node.outbox.delivered(record)
    monkeypatch.setattr(node.outbox, "deliveries", read)
    answer.join()
    assert not node.outbox.delivered(record)


def test_a_peer_that_never_commits_is_asked_with_growing_pauses_and_then_given_up(node, images):
    record = ended(node, handed_over(node, images))
    sent = Delivery(state="sent", due=record.finished, transaction="1.2", tries=2, begun=True)
    told = node.outbox._answered(record, "PACS", sent, True)
    assert told.state == "waiting"
    assert told.due - record.finished > 2.5 * FAST.first_pause
    assert "did not confirm" in told.error
    node.outbox.sending = replace(FAST, give_up=timedelta(0))
    assert node.outbox._answered(record, "PACS", sent, True).state == "failed"


def test_a_peer_that_is_down_delays_others_at_most_once_per_round(tmp_path, monkeypatch):
    peers = [Peer("DOWN", "DOWN", "127.0.0.1", 9), Peer("UP", "UP", "127.0.0.1", 9)]
    node = resting(tmp_path, peers)
    for number in range(4):
        with_results(node, ended(node, handed_over(node, study(tmp_path / f"in{number}", 1))))
    asked = []

    def fake(files, peer, caller):
        asked.append(peer.name)
        return Sent("DOWN: does not answer." if peer.name == "DOWN" else "")

    monkeypatch.setattr("adn.node.outbox.send", fake)
    node.deliver()
    assert sorted(asked) == ["DOWN"] + 4 * ["UP"]
    node.close()


def test_a_study_that_cannot_become_a_case_does_not_block_others(tmp_path, node, images, monkeypatch):
    take(node, images)
    take(node, study(tmp_path / "other", 2))
    first, _ = node.intake.due()
    make = node.intake._as_case

    def broken(key, *rest):
        if key == first:
            raise OSError
        return make(key, *rest)

    monkeypatch.setattr(node.intake, "_as_case", broken)
    node.gather()
    assert len(node.cases.records()) == 1
    assert node.intake.due() == [first]


def test_deleting_a_case_deletes_its_images_for_good(tmp_path, node, images):
    record = handed_over(node, images)
    node.tidy()
    node.jobs.delete(record)
    again = resting(tmp_path)  # a crash right after
    assert again.intake.waiting() == 0
    assert kept(again) == 0
    record = handed_over(again, images)
    again.tidy()
    again.jobs.delete(given(record))
    again.tidy()
    assert not list(again.intake.folder.iterdir())
    again.close()


def test_priors_fetched_for_a_deleted_case_leave_nothing(node, images, monkeypatch):
    record = ended(node, handed_over(node, images))

    def fetch(results, target, *_):
        node.jobs.delete(record)
        with atomic_folder(target / "1") as folder:
            (folder / "image.dcm").touch()
        return 1

    monkeypatch.setattr(priors, "fetch", fetch)
    priors.Priors(node.cases, "http://127.0.0.1:9").look()
    assert not node.cases.home(record).exists()


def test_losing_the_connection_while_storing_an_image_closes_the_study(tmp_path):
    sent = study(tmp_path / "in", 1)
    with running(tmp_path / "node", limits=replace(LIMITS, longest_s=900)) as node:
        keep, began = node.intake.take, threading.Event()

        def slowly(*words):
            began.set()
            time.sleep(1.0)
            keep(*words)

        loose(node.intake).take = slowly
        association = call(node.port)
        threading.Thread(target=association.send_c_store, args=(sent[0],), daemon=True).start()
        began.wait(30)
        association.abort()
        until(lambda: [one for one in node.cases.records() if one.state == "done"], 30)


def test_kinds_that_a_peer_does_not_accept_are_reported(tmp_path, node, images):
    from adn.node.status import status

    record = ended(node, handed_over(node, images))
    node.outbox._write(record, "PACS", Delivery(state="sent", due=record.finished, refused=("Segmentation Storage",)))
    assert status(tmp_path / "node")["not_taken"] == {"PACS": ["Segmentation Storage"]}
    assert read_deliveries(node.cases.home(record))["PACS"].over


def test_a_study_that_grows_while_its_results_are_sent_waits_for_the_outcome(node, images):
    record = ended(node, handed_over(node, images[:5]))
    node.outbox._sending.add(record.id)
    take(node, images)
    node.gather()
    assert node.cases.records() == [record]
    node.outbox._sending.clear()  # it was not taken
    node.gather()
    assert record.id not in [one.id for one in node.cases.records()]
    assert len(node.cases.records()) == 1
