"""The API's description: complete, our own, and accurate even for requests that nobody sensible sends."""

import re
from contextlib import asynccontextmanager

import pytest
import torch

from given import loose
from server.stub_server import nifti, server, upload

schemathesis = pytest.importorskip("schemathesis")
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis.errors import Unsatisfiable  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

OPERATIONS = {
    "GET /api/info", "POST /api/cases", "GET /api/cases", "GET /api/cases/{case_id}", "DELETE /api/cases/{case_id}",
    "POST /api/cases/{case_id}/cancel", "POST /api/cases/{case_id}/aspects", "POST /api/cases/{case_id}/corrections",
    "GET /api/cases/{case_id}/events", "GET /api/cases/{case_id}/files/{name}",
}  # fmt: skip
CHECKS = [not_a_server_error, response_schema_conformance, status_code_conformance, content_type_conformance]
SETTINGS = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a failing request is not made smaller: it tells enough, and that takes minutes
    suppress_health_check=loose(list(HealthCheck)),
)


@asynccontextmanager
async def _no_life(app):
    yield


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The application without its life: what is uploaded stays in the queue."""
    app = server(tmp_path_factory.mktemp("api"), waiting=5)
    app.router.lifespan_context = _no_life  # schemathesis would begin it anew for each operation
    return schemathesis.openapi.from_asgi("/api/openapi.json", app, headers={"Host": "127.0.0.1"})


@pytest.fixture
def _small_numbers():
    """Libraries that other tests loaded may have set the processor to flush them, which hypothesis refuses."""
    torch.set_flush_denormal(False)


@pytest.mark.usefixtures("_small_numbers")
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_no_request_breaks_the_server(mode, operation, api):
    method, path = operation.split()

    @settings(SETTINGS)
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    def ask(case):
        response = case.call(headers={"Host": "127.0.0.1"})
        case.validate_response(response, checks=CHECKS)

    try:
        ask()
    except Unsatisfiable:  # nothing can be wrong in a request without parameters
        assert mode.is_negative


def test_every_operation_is_described(client):
    described = client.get("/api/openapi.json").json()
    found = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert found == OPERATIONS
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], f"{method} {path}"
            errors = {
                kind for code, answer in operation["responses"].items() if code >= "4" for kind in answer["content"]
            }
            assert errors == {"application/problem+json"}


def test_the_documentation_page_lists_all_operations_and_loads_nothing_external(client):
    text = client.get("/api/docs").text
    for operation in OPERATIONS:
        assert f"<code>{operation}</code>" in text
    assert not re.search(r"https?://|<script|<link|<img", text)
    assert "research use only" in text


def test_all_errors_have_the_same_shape(client):
    for response in (
        client.get("/api/nothing"),
        client.put("/api/info"),
        upload(client, b"x"),
        client.get("/api/cases/x"),
    ):
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert set(problem) == {"type", "title", "status", "detail"}
        assert problem["status"] == response.status_code
    assert upload(client, nifti()).headers["content-type"] == "application/json"
