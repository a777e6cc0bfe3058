"""What the node receives: C-ECHO, C-STORE and storage commitment results, from callers that are allowed."""

from __future__ import annotations

import ipaddress
import logging
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adn.errors import AdnError, InputError
from adn.node.intake import Intake, NoRoomError, identify
from adn.node.outbox import Outbox
from adn.node.peers import COMMITMENT

_OUT_OF_RESOURCES, _CANNOT_UNDERSTAND, _SUCCESS = 0xA700, 0xC000, 0x0000
_PATIENCE_S = 10.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gate:
    """Who may call. titles: AE titles, none: any. networks: addresses or networks, none: any. tls: required if given.

    associations: at once. Raises InputError for anything that is neither an address nor a network.
    """

    titles: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    associations: int = 20

    def __post_init__(self) -> None:
        for network in self.networks:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError as error:
                raise InputError(f"`networks` needs addresses or networks as 10.1.0.0/16, got '{network}'.") from error

    def lets_in(self, address: str) -> bool:
        """True for an address in one of the networks."""
        if not self.networks:
            return True
        caller = ipaddress.ip_address(address)
        return any(caller in ipaddress.ip_network(network, strict=False) for network in self.networks)


def tls_context(certificate: str, key: str, trusted: str, *, server: bool) -> ssl.SSLContext:
    """TLS 1.2 or later, where both sides must show a certificate signed by `trusted`; host names are not checked.

    Raises InputError where a file cannot be used.
    """
    try:
        purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
        context = ssl.create_default_context(purpose, cafile=trusted)
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"The certificates cannot be used ({error}); give PEM files.") from error
    context.check_hostname = False
    context.minimum_version, context.verify_mode = ssl.TLSVersion.TLSv1_2, ssl.CERT_REQUIRED
    return context


class Receiver:
    """Listens on host and port under an AE title. Raises InputError where it cannot."""

    def __init__(
        self, intake: Intake, outbox: Outbox, title: str, host: str, port: int, gate: Gate | None = None
    ) -> None:
        from pynetdicom import AE, AllStoragePresentationContexts, evt
        from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

        self.intake, self.outbox, self.gate = intake, outbox, gate or Gate()
        ae = AE(ae_title=title)
        ae.maximum_associations = self.gate.associations
        ae.require_called_aet = False
        ae.require_calling_aet = list(self.gate.titles)
        ae.network_timeout = 60
        ae.add_supported_context(Verification)
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(str(context.abstract_syntax), _syntaxes())
        ae.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
        handlers: Sequence[Any] = [
            (evt.EVT_REQUESTED, self._asked),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, lambda event: _SUCCESS),
            (evt.EVT_N_EVENT_REPORT, self._commitment),
            (evt.EVT_RELEASED, self._ended),
            (evt.EVT_ABORTED, self._ended),
            (evt.EVT_CONN_CLOSE, self._ended),
        ]
        try:
            self.server = ae.start_server(
                (host, port), block=False, evt_handlers=list(handlers), ssl_context=self.gate.tls
            )
        except OSError as error:
            raise InputError(
                f"{host} port {port}: cannot be listened on ({error.strerror or error}); choose another `port`."
            ) from error
        assert self.server is not None
        self.port: int = self.server.server_address[1]

    def close(self) -> None:
        """Stop listening."""
        ending = threading.Thread(target=self.server.shutdown, daemon=True)  # type: ignore[union-attr]
        ending.start()
        ending.join(_PATIENCE_S)  # an association that broke off at the wrong moment may never end

    def _asked(self, event: Any) -> None:
        address = str(event.assoc.requestor.address)
        if not self.gate.lets_in(address):
            log.warning("refused an association from an address that may not call")
            event.assoc.abort()

    def _store(self, event: Any) -> int:
        try:
            data = event.encoded_dataset()
            found = identify(data)
        except Exception as error:
            log.warning("refused an object that cannot be read (%s)", type(error).__name__)
            return _CANNOT_UNDERSTAND
        if found is None:
            return _SUCCESS
        try:
            self.intake.take(data, *found, id(event.assoc))
        except NoRoomError as error:
            log.warning("refused an image: %s", error)
            return _OUT_OF_RESOURCES
        except (AdnError, OSError) as error:
            log.warning("an image could not be kept (%s)", type(error).__name__)
            return _OUT_OF_RESOURCES
        return _SUCCESS

    def _commitment(self, event: Any) -> tuple[int, None]:
        told = event.event_information
        self.outbox.committed(str(told.get("TransactionUID", "")), failed=event.event_type != 1)
        return _SUCCESS, None

    def _ended(self, event: Any) -> None:
        self.intake.ended(id(event.assoc))


def _syntaxes() -> list[str]:
    """Transfer syntaxes that images may come in; compressed ones are kept as they are."""
    from pydicom.uid import AllTransferSyntaxes

    return [uid for uid in AllTransferSyntaxes if not uid.is_private]
