"""Where results go: a DICOM peer by C-STORE, with storage commitment if offered, or DICOMweb by STOW-RS."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adn.errors import InputError

_PEER = re.compile(r"(?P<title>[^@\s\\]{1,16})@(?P<host>\[[^\]]+\]|[^:\s]+):(?P<port>\d{1,5})")
_TIMEOUT_S = 30.0
_GOOD = {0x0000, 0xB000, 0xB006, 0xB007}  # success, and warnings after which the object is still stored
COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"


@dataclass(frozen=True)
class Peer:
    """A DICOM node by title, host and port, or a DICOMweb service by `url`."""

    name: str
    title: str = ""
    host: str = ""
    port: int = 0
    url: str = ""


@dataclass(frozen=True)
class Sent:
    """The outcome of one try. error: a sentence if not all objects were taken; otherwise ''.

    refused: kinds of object that the peer does not take; trying again would not help. transaction: UID of the storage
    commitment that was requested. begun: some may have arrived.
    """

    error: str = ""
    refused: tuple[str, ...] = ()
    transaction: str = ""
    begun: bool = False


@dataclass(frozen=True)
class Caller:
    """Who sends. tls: for DICOM peers; None: unencrypted. commit: ask for storage commitment."""

    title: str = "ADN"
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    commit: bool = True
    timeout_s: float = _TIMEOUT_S


def parse_peer(text: str) -> Peer:
    """'TITLE@host:port', or an http(s) address of DICOMweb. Raises InputError for anything else."""
    if text.startswith(("http://", "https://")):
        return Peer(re.sub("//[^/@]*@", "//", text), url=text.rstrip("/"))  # keeps passwords out of logs
    match = _PEER.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InputError(f"`forward` needs TITLE@host:port or a DICOMweb address, but got '{text}'.")
    return Peer(text, match["title"], match["host"].strip("[]"), int(match["port"]))


def send(files: Sequence[Path], peer: Peer, caller: Caller) -> Sent:
    """Try once to send DICOM files. Whatever happens is described in what is returned, without names."""
    try:
        return _store_by_web(files, peer, caller) if peer.url else _store(files, peer, caller)
    except Exception as error:  # whatever a network or a stranger's answer brings; the files are still there
        return Sent(f"{peer.name}: sending failed ({type(error).__name__}).", begun=not _never_connected(error))


def _never_connected(error: Exception) -> bool:
    """True if nothing can have arrived."""
    from requests import ConnectionError as NoConnectionError

    return isinstance(error, NoConnectionError)


def _store(files: Sequence[Path], peer: Peer, caller: Caller) -> Sent:
    from pydicom import dcmread
    from pydicom.uid import UID
    from pynetdicom import AE

    objects = [dcmread(path) for path in files]
    ae = AE(ae_title=caller.title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = caller.timeout_s
    for sop_class, syntax in sorted({(o.SOPClassUID, o.file_meta.TransferSyntaxUID) for o in objects}):
        ae.add_requested_context(sop_class, syntax)
    if caller.commit:
        ae.add_requested_context(COMMITMENT)
    tls = (caller.tls, peer.host) if caller.tls else None
    association = ae.associate(peer.host, peer.port, ae_title=peer.title, tls_args=tls)
    if not association.is_established:
        return Sent(f"{peer.name}: {'refused the association' if association.is_rejected else 'does not answer'}.")
    try:
        taken = {context.abstract_syntax for context in association.accepted_contexts}
        refused = {UID(str(o.SOPClassUID)).name for o in objects if o.SOPClassUID not in taken}
        stored = []
        for data in objects:
            if data.SOPClassUID not in taken:
                continue
            status = association.send_c_store(data)
            if not status or status.Status not in _GOOD:
                code = f"status {status.Status:04X}" if status else "no answer"
                told = f"{peer.name}: did not take {UID(str(data.SOPClassUID)).name} ({code})."
                return Sent(told, begun=bool(stored) or not status)
            stored.append(data)
        if not stored:
            return Sent(f"{peer.name}: accepts none of {', '.join(sorted(refused))}.", tuple(sorted(refused)))
        transaction = _ask_commitment(association, stored) if COMMITMENT in taken else ""
        return Sent(refused=tuple(sorted(refused)), transaction=transaction)
    finally:
        association.release()


def _ask_commitment(association: Any, stored: Sequence[Any]) -> str:
    """Request storage commitment for what a peer took; the answer comes later. '' if it does not accept the request."""
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    asked = Dataset()
    asked.TransactionUID = generate_uid()
    asked.ReferencedSOPSequence = []
    for data in stored:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
        asked.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(asked, 1, COMMITMENT, COMMITMENT_INSTANCE)
    return str(asked.TransactionUID) if status and status.Status == 0 else ""


def _store_by_web(files: Sequence[Path], peer: Peer, caller: Caller) -> Sent:
    from pydicom import dcmread

    client = web_client(peer.url, caller.timeout_s)
    answer = client.store_instances([dcmread(path) for path in files])
    failed = answer.get("FailedSOPSequence", []) if answer is not None else []
    told = f"{peer.name}: did not take {len(failed)} of {len(files)} objects."
    return Sent(told, begun=len(failed) < len(files)) if failed else Sent()


def web_client(url: str, timeout_s: float) -> Any:
    """A DICOMweb client that neither waits forever nor retries by itself."""
    from dicomweb_client.api import DICOMwebClient

    client = DICOMwebClient(url, timeout=timeout_s)
    client.set_http_retry_params(retry=False)
    return client
