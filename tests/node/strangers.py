"""Other systems that send to a node and receive from it, and the node between them."""

import socket
import ssl
import time
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import UID, CTImageStorage, generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt

from adn.node.intake import IntakeLimits
from adn.node.outbox import Sending
from adn.node.peers import COMMITMENT, Caller, parse_peer
from adn.node.service import Node
from given import given
from node import stub_node
from phantoms import head, write_dicom_series

VERIFICATION = UID("1.2.840.10008.1.1")
LIMITS = IntakeLimits(quiet_s=0.4, longest_s=20, free_mb=0)
FAST = Sending(first_pause=timedelta(seconds=0.2), longest_pause=timedelta(seconds=1))


class Archive:
    """A peer that keeps what it is sent. down: it refuses; dies_after: stops answering after so many objects."""

    def __init__(self, port=0):
        self.kept, self.times, self.commit, self.answer_to = {}, Counter(), False, 0
        self.tls: ssl.SSLContext | None = None
        self.port = port
        self.server: Any = None
        self.fail = False

    def start(self):
        ae = AE("ARCHIVE")
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(given(context.abstract_syntax))
        if self.commit:
            ae.add_supported_context(COMMITMENT)
        handlers = [(evt.EVT_C_STORE, self.store), (evt.EVT_N_ACTION, self.asked)]
        self.server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=self.tls
        )
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


class Listening(Node):
    """A node that knows the port it listens on."""

    port = 0


@contextmanager
def running(folder, *peers, gate=None, limits=LIMITS, **settings):
    settings = {"sending": FAST, "pauses_s": (0.2, 0.2), "caller": Caller(timeout_s=5), **settings}
    node = Listening(folder, peers=peers, limits=limits, predict=stub_node.predict, **settings)
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


def call(port, title="SCANNER", contexts=(CTImageStorage, VERIFICATION), tls=None, timeout_s=5):
    ae = AE(title)
    for context in contexts:
        ae.add_requested_context(context)
    ae.connection_timeout = ae.acse_timeout = timeout_s
    return ae.associate("127.0.0.1", port, ae_title="ADN", tls_args=(tls, "localhost") if tls else None)


def send(port, images, title="SCANNER"):
    association = call(port, title, timeout_s=60)
    assert association.is_established
    codes = [association.send_c_store(image).Status for image in images]
    association.release()
    return codes


def until(what, seconds=120):
    """What it returns when that is true; what fails for the system is asked again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = what()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come")


def final(node, count=1):
    def look():
        records = node.cases.records()
        over = [one for one in records if one.state in ("done", "failed")]
        return over if len(over) >= count and all(map(node.outbox.delivered, over)) else None

    return until(look)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
