"""Who is let in: names, origins, tokens; and what every answer carries."""

import pytest

from adn.server.app import create_app
from adn.server.cases import Cases
from adn.server.guard import is_loopback
from server.stub_server import ADDRESS, client_of, nifti, upload

TOKEN = "correct horse"


@pytest.fixture
def view(tmp_path):
    """`adn view` without results on a machine that others reach."""
    return create_app(Cases(None), None, host="0.0.0.0", token=TOKEN)


@pytest.mark.parametrize(
    ("host", "inside"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.5", False), ("scanner.example", False), ("localhost.example", False), ("", False)],
)  # fmt: skip
def test_local_addresses_are_recognised(host, inside):
    assert is_loopback(host) is inside


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8765", 200), ("localhost:1", 200), ("[::1]:8765", 200), ("evil.example", 421),
     ("evil.example:8765", 421), ("192.168.1.5", 421), ("127.0.0.1.evil.example", 421), ("[", 421), ("", 421)],
)  # fmt: skip
def test_a_local_server_answers_to_local_host_names_only(host, status, client):
    assert client.get("/api/info", headers={"Host": host}).status_code == status


def test_an_open_server_answers_to_its_host_names(view):
    client = client_of(view, "http://192.168.1.5:8765")
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/info", headers=bearer).status_code == 200
    assert client.get("/api/info", headers=bearer | {"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 404), ({"Origin": ADDRESS}, 404), ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
     ({"Origin": "https://127.0.0.1:8765"}, 403), ({"Origin": "http://127.0.0.1:9999"}, 403),
     ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-origin"}, 404)],
)  # fmt: skip
def test_only_the_servers_own_page_may_change_something(headers, status, client):
    assert client.delete(f"/api/cases/{'0' * 16}", headers=headers).status_code == status
    assert client.post(f"/api/cases/{'0' * 16}/cancel", headers=headers).status_code == status


def test_without_the_token_nothing_is_revealed(view):
    client = client_of(view)
    for path in ("/", "/api/info", "/api/cases", "/api/docs", "/api/openapi.json", "/static/app.js", "/?token=wrong"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        assert TOKEN not in answer.text
    for value in ("Bearer wrong", "Bearer ", TOKEN, f"Basic {TOKEN}", "Bearer tökên".encode()):
        assert client.get("/api/info", headers={"Authorization": value}).status_code == 401
    assert client.get("/api/info", headers={"Cookie": "a=; b=\x80;;; =".encode()}).status_code == 401


def test_the_token_is_accepted_as_bearer_or_once_in_the_address(view):
    client = client_of(view)
    assert client.get("/api/info", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    answer = client.get("/", params={"token": TOKEN}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/api/info").status_code == 200  # the client keeps cookies, as browsers do


def test_every_response_has_a_security_policy(client):
    for path in ("/", "/api/info", "/api/docs", "/api/cases/0000000000000000", "/static/nothing.js"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'"), path
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_a_viewing_server_accepts_no_uploads(view):
    client = client_of(view)
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    assert client.get("/api/info").json()["uploads"] is False
    refused = upload(client, nifti())
    assert (refused.status_code, "adn serve" in refused.json()["detail"]) == (403, True)
