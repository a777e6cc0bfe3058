"""Checks on every request: the names this server answers to, where requests come from, the token, the limits.

The Host check stops DNS rebinding, the Origin check stops foreign pages, and the token stops other machines.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adn.server.problems import ProblemError, response

COOKIE = "adn-token"
_READING = {"GET", "HEAD"}
PAGE_POLICY = (  # NiiVue keeps its font as a data: image, and needs no worker
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# Reports are whole pages with their own script, from folders that may be anybody's, so they get none of our rights.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
_HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def is_loopback(host: str) -> bool:
    """True if only this machine can reach a host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware.

    host: what the server is bound to. token: required of every request, unless None. upload_bytes: limit for one body.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None, upload_bytes: int) -> None:
        self.app, self.host, self.token, self.upload_bytes = app, host, token, upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websockets here
            await send({"type": "websocket.close", "code": 1008})
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api") or scope["path"] == "/":
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, answer)
            return
        await self.app(scope, self._limited(scope, receive), answer)

    def _refusal(self, scope: Scope):
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._answers_to(host):
            return response(421, "This server does not answer to the name in the request's Host header.")
        if scope["method"] not in _READING and not _same_origin(headers, scope["scheme"], host):
            return response(403, "Requests that change something are accepted from this server's own page only.")
        if int_or_zero(headers.get("content-length")) > self.upload_bytes:
            return response(413, self._too_large())
        return None if self.token is None else self._ask_token(scope, headers, self.token)

    def _answers_to(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if is_loopback(self.host):
            return is_loopback(name)
        try:
            ipaddress.ip_address(name)  # a rebinding attack needs a name
        except ValueError:
            return name in {"localhost", self.host.lower(), socket.gethostname().lower()}
        return True

    def _ask_token(self, scope: Scope, headers: Headers, token: str):
        """None if the request carries the token."""
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[-1]
        if scope["path"] == "/" and _same(asked, token):
            redirect = RedirectResponse("/", 303)
            redirect.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
            return redirect
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        cookie = SimpleCookie()
        try:
            cookie.load(headers.get("cookie", ""))
        except Exception:  # any malformed header
            cookie.clear()
        brought = [morsel.value for name, morsel in cookie.items() if name == COOKIE]
        brought += [bearer.strip()] * (kind.lower() == "bearer")
        if any(_same(one, token) for one in brought):
            return None
        detail = "This server needs its token: open the address that 'adn serve' printed, or send it as a bearer token."
        return response(401, detail, {"WWW-Authenticate": "Bearer"})

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Count bodies as they arrive: their stated length may be missing or wrong."""
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self.upload_bytes:
                raise ProblemError(413, self._too_large())
            return message

        return counted

    def _too_large(self) -> str:
        return f"An upload may have at most {self.upload_bytes // 2**20} MiB. Send only the head CT series."


def int_or_zero(text: str | None) -> int:
    """The number in a header, 0 if it is not one."""
    return int(text) if text and text.isascii() and text.isdigit() else 0


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())


def _same_origin(headers: Headers, scheme: str, host: str) -> bool:
    """Browsers send Origin with what changes something; programs such as curl send none."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    return site in ("none", "same-origin") and origin in (None, f"{scheme}://{host}")
