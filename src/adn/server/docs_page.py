"""The API's description as a plain page of our own: no scripts, nothing loaded from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>adn: HTTP API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>"""


def docs_page(openapi: dict[str, Any]) -> str:
    """An OpenAPI description as HTML."""
    about = openapi["info"]
    parts = [_HEAD, f"<h1>adn {escape(about['version'])}: HTTP API</h1><p>{escape(about['description'])}</p>"]
    parts.append(
        '<p>As OpenAPI: <a href="/api/openapi.json">openapi.json</a>. Errors are RFC 9457 problems '
        "(application/problem+json). With a token: <code>Authorization: Bearer TOKEN</code>.</p><h2>Operations</h2>"
    )
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(method, path, operation))
    parts.append("<h2>Models</h2>")
    parts += [_model(name, schema) for name, schema in openapi["components"]["schemas"].items()]
    return "\n".join([*parts, "</body></html>"])


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [(one["name"], one["in"], one.get("description", "")) for one in operation.get("parameters", ())]
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        properties = body["schema"].get("properties", {})
        rows += [(name, kind, about.get("description", "")) for name, about in properties.items()]
    answers = ", ".join(
        f"{status} {escape(answer.get('description', ''))}{_returned(answer)}"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<h3><code>{method.upper()} {escape(path)}</code></h3><p>{escape(operation.get('summary', ''))}</p>"
        f"{_table(('Parameter', 'In', 'Meaning'), rows) if rows else ''}<p>Answers: {answers}</p>"
    )


def _returned(answer: dict[str, Any]) -> str:
    kinds = [_kind(body.get("schema", {})) for kind, body in answer.get("content", {}).items() if "problem" not in kind]
    return f" ({', '.join(kinds)})" if kinds else ""


def _model(name: str, schema: dict[str, Any]) -> str:
    rows = [
        (field, _kind(about), about.get("description", "")) for field, about in schema.get("properties", {}).items()
    ]
    return f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>' + _table(
        ("Field", "Type", "Meaning"), rows, raw=1
    )


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]], raw: int | None = None) -> str:
    """A table as HTML. raw: the column that is HTML already."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{c if i == raw else escape(c)}</td>" for i, c in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<table border="1"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _kind(schema: dict[str, Any]) -> str:
    """A schema's type in words, models linked."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(escape(str(value)) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type") or "any"))
