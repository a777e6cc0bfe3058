"""The application: routes of the HTTP API, the page, startup and shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.staticfiles import StaticFiles

from adn.results import DISCLAIMER
from adn.server import problems, uploads
from adn.server.cases import Cases
from adn.server.docs_page import docs_page
from adn.server.guard import REPORT_POLICY, Guard
from adn.server.jobs import Jobs
from adn.server.models import FINAL, Case, Correction, Info, Limits, LiveScore, Problem, Weights
from adn.server.problems import ProblemError, documented

STATIC = FilePath(__file__).with_name("static")
VIEWER = STATIC / "vendor" / "niivue.min.js"  # made by `make viewer`, in every wheel
_LOOK_S, _HEARTBEAT_S = 0.2, 15.0
_NO_PAGE = (
    "<!doctype html><meta charset=utf-8><title>adn</title><h1>The page is not built yet</h1>"
    f"<p>In this source checkout, run <code>make viewer</code>, and load this page again. {DISCLAIMER}</p>"
    "<p>The <a href=/api/docs>HTTP API</a> works without it.</p>"
)
_OCTETS = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_MULTIPART = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "One NIfTI file, one zip, or all files of a DICOM series.",
                        }
                    },
                }
            }
        },
    }
}
CaseId = Annotated[str, Path(description="A case's id.", pattern=r"^[0-9a-f]{16}$")]


def create_app(
    cases: Cases,
    jobs: Jobs | None,
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    limits: Limits | None = None,
    weights: list[Weights] | None = None,
) -> FastAPI:
    """The application for uvicorn. jobs: works on uploads; None if there are none (`adn view`).

    host: what the server is bound to. token: required of every request, unless None. weights: listed by /api/info.
    """
    from adn import __version__

    limits = limits or Limits()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        if jobs:
            jobs.start()
        yield
        app.state.closing = True
        if jobs:
            await run_in_threadpool(jobs.close)
        cases.close()

    app = FastAPI(
        title="adn",
        version=__version__,
        description=f"Acute ischemic infarcts in non-contrast head CT. {DISCLAIMER}",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=life,
        responses=documented(401, 403, 421),
    )
    app.state.closing = False
    problems.install(app)
    _add_upload_route(app, cases, limits)
    _add_case_routes(app, cases, jobs)
    _add_file_routes(app, cases)
    info = Info(
        version=__version__,
        disclaimer=DISCLAIMER,
        weights=weights or [],
        limits=limits,
        viewer=VIEWER.is_file(),
        uploads=jobs is not None,
    )
    _add_page_routes(app, info)
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")
    app.add_middleware(Guard, host=host, token=token, upload_bytes=limits.upload_mb * 2**20)
    _name_problem(app)
    return app


def _add_page_routes(app: FastAPI, info: Info) -> None:
    @app.get("/api/info", summary="What this server is, and its limits")
    def read_info() -> Info:
        return info.model_copy(update={"viewer": VIEWER.is_file()})

    @app.get("/api/docs", include_in_schema=False)
    def read_docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()))

    @app.get("/", include_in_schema=False)
    def read_page() -> Response:
        index = STATIC / "index.html"
        return FileResponse(index) if index.is_file() else HTMLResponse(_NO_PAGE)


def _add_upload_route(app: FastAPI, cases: Cases, limits: Limits) -> None:
    @app.post(
        "/api/cases",
        status_code=201,
        summary="Upload one scan; it is queued",
        responses=documented(400, 413, 415, 422, 503, 507),
        openapi_extra=_MULTIPART,
    )
    async def add_case(
        request: Request,
        dicom_seg: Annotated[bool, Query(description="Also write DICOM SEG and SR; for DICOM uploads.")] = False,
    ) -> Case:
        await run_in_threadpool(cases.check_room)
        try:
            async with request.form(max_files=limits.files, max_fields=10) as form:
                files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
                return cases.case(await run_in_threadpool(_take, cases, files, dicom_seg, limits))
        except OSError as error:
            raise ProblemError(507, f"The upload could not be stored ({error.strerror}): free some space.") from error


def _add_case_routes(app: FastAPI, cases: Cases, jobs: Jobs | None) -> None:
    @app.get("/api/cases", summary="All cases, newest first")
    def list_cases() -> list[Case]:
        return [cases.case(record) for record in cases.records()]

    @app.get("/api/cases/{case_id}", summary="One case", responses=documented(404, 422))
    def read_case(case_id: CaseId) -> Case:
        return cases.case(cases.record(case_id))

    @app.delete(
        "/api/cases/{case_id}",
        status_code=204,
        summary="Delete a case with its files; work on it is cancelled first",
        responses=documented(404, 422, 503),
    )
    def delete_case(case_id: CaseId) -> None:
        record = cases.record(case_id)
        jobs.delete(record) if jobs else cases.delete(record)

    @app.post(
        "/api/cases/{case_id}/cancel",
        summary="Cancel a waiting or running case; any other is left unchanged",
        responses=documented(404, 422),
    )
    def cancel_case(case_id: CaseId) -> Case:
        record = cases.record(case_id)
        return cases.case(jobs.cancel(record) if jobs else record)

    @app.post(
        "/api/cases/{case_id}/aspects",
        summary="ASPECTS of a mask that is being painted, encoded as for corrections; nothing is stored",
        responses=documented(400, 404, 413, 422),
        openapi_extra=_OCTETS,
    )
    async def score_mask(case_id: CaseId, request: Request) -> LiveScore:
        record = cases.record(case_id)
        return await run_in_threadpool(cases.score, record, await request.body())

    @app.post(
        "/api/cases/{case_id}/corrections",
        status_code=201,
        summary="Save a corrected mask beside the original: gzip of a byte a voxel, 0 or 1, RAS order, x fastest",
        responses=documented(400, 404, 413, 422, 507),
        openapi_extra=_OCTETS,
    )
    async def correct_case(case_id: CaseId, request: Request) -> Correction:
        record = cases.record(case_id)
        packed = await request.body()
        try:
            return await run_in_threadpool(cases.correct, record, packed)
        except OSError as error:
            raise ProblemError(507, f"The mask could not be stored ({error.strerror}): free some space.") from error


def _add_file_routes(app: FastAPI, cases: Cases) -> None:
    @app.get(
        "/api/cases/{case_id}/events",
        summary="The case at each change, until it is final, as server-sent events named 'case'",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}, **documented(404, 422)},
    )
    async def follow_case(case_id: CaseId) -> StreamingResponse:
        cases.record(case_id)  # 404 before the stream begins
        return StreamingResponse(_events(app, cases, case_id), media_type="text/event-stream")

    @app.get(
        "/api/cases/{case_id}/files/{name}",
        summary="The bytes of one file or layer",
        response_class=FileResponse,
        responses={
            200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
            **documented(404, 422),
        },
    )
    def read_file(
        case_id: CaseId,
        name: str,
        download: Annotated[bool, Query(description="As an attachment, for saving.")] = False,
    ) -> FileResponse:
        path, media_type = cases.file(cases.record(case_id), name)
        headers = {"Content-Security-Policy": REPORT_POLICY}
        attached: dict[str, Any] = {"filename": name} if download else {}
        return FileResponse(path, media_type=media_type, headers=headers, **attached)


def _take(cases: Cases, files: list[UploadFile], dicom_seg: bool, limits: Limits):
    """Store an upload and queue it."""
    if not files:
        raise ProblemError(422, "The upload needs one or more files in the form field 'files'.")
    with cases.staging() as folder:
        staged = folder / "case"
        staged.mkdir()
        kind = uploads.store(files, staged, limits)
        if dicom_seg and kind == "nifti":
            raise ProblemError(415, "DICOM SEG needs the scan as DICOM, but it came as NIfTI: leave out dicom_seg.")
        return cases.add(staged, kind, dicom_seg)


async def _events(app: FastAPI, cases: Cases, case_id: str) -> AsyncIterator[str]:
    seen, quiet_s = None, 0.0
    while not app.state.closing:
        try:
            record = cases.record(case_id)
        except ProblemError:  # deleted
            return
        if record is not seen:
            case = await run_in_threadpool(cases.case, record)
            yield f"event: case\ndata: {case.model_dump_json()}\n\n"
            seen, quiet_s = record, 0.0
            if record.state in FINAL:
                return
        elif quiet_s >= _HEARTBEAT_S:
            yield ": still here\n\n"
            quiet_s = 0.0
        await asyncio.sleep(_LOOK_S)
        quiet_s += _LOOK_S


def _name_problem(app: FastAPI) -> None:
    """Put the model of errors into OpenAPI: no route returns it, but all may."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        made = make()
        made.setdefault("components", {}).setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        return made

    app.openapi = openapi
