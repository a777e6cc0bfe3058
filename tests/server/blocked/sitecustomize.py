"""Loaded by every Python whose path holds this folder: refuses, and notes, any way out of this machine."""

import ipaddress
import os
import sys

NOTES = os.environ["ADN_TEST_REFUSED"]


def guard(event, arguments):
    """Audit hook: what Python's own socket module tells of before it acts."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        target = arguments[1]
    elif event == "socket.getaddrinfo":
        target = arguments[:1]
    else:
        return
    if isinstance(target, tuple) and not local(target[0]):
        with open(NOTES, "a", encoding="utf-8") as file:
            file.write(f"{event} {target!r}\n")
        raise OSError("the network is blocked")


def local(host):
    if host in (None, "", b"", "localhost", "0.0.0.0"):  # the last to bind to
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


sys.addaudithook(guard)
