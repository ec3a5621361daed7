"""The page at `/docs`: the OpenAPI document to read, in one file with no scripts and nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from ollama_engine.server.description.style import STYLE
from ollama_engine.types import JSON

_CODE = re.compile(r"`([^`]+)`")
_METHODS = ("get", "post", "delete", "head")


def page(document: JSON) -> str:
    """The whole page, of a document of `document.openapi`."""
    info = document["info"]
    groups = [(tag["name"], tag["description"], list(_operations(document, tag["name"]))) for tag in document["tags"]]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>{escape(info['title'])}: API</title><style>{STYLE}</style>",
        f"<nav><h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        f"{_contents(groups)}</nav><main>",
        f"<p>{_text(info['description'])} As a document: <a href=openapi.json>openapi.json</a>.</p>",
    ]
    for name, description, operations in groups:
        parts.append(f"<h2 id={_anchor(name)}>{escape(name)}</h2><p>{_text(description)}</p>")
        parts += [_operation(*operation) for operation in operations]
    parts.append("<h2 id=objects>Objects</h2>")
    parts += [_object(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return "".join((*parts, "</main></html>"))


def _operations(document: JSON, group: str) -> Iterator[tuple[str, str, JSON]]:
    """Path, methods and operation. HEAD beside GET is the same operation."""
    for path, methods in document["paths"].items():
        for method in _METHODS:
            operation = methods.get(method)
            if operation is None or group not in operation["tags"] or (method == "head" and "get" in methods):
                continue
            yield path, "GET, HEAD" if method == "get" and "head" in methods else method.upper(), operation


def _contents(groups: list[tuple[str, str, list[tuple[str, str, JSON]]]]) -> str:
    parts: list[str] = []
    for name, _, operations in groups:
        entries = "".join(
            f"<li><a href=#{operation['operationId']}><b>{methods}</b> {escape(path)}</a>"
            for path, methods, operation in operations
        )
        parts.append(f"<a href=#{_anchor(name)}>{escape(name)}</a><ul>{entries}</ul>")
    return "".join((*parts, "<a href=#objects>Objects</a>"))


def _operation(path: str, methods: str, operation: JSON) -> str:
    old = " <em>older form</em>" if operation.get("deprecated") else ""
    parts = [
        f"<section id={operation['operationId']}>",
        f"<h3><b>{methods}</b> <code>{escape(path)}</code>{old}</h3>",
        f"<p>{_text(operation['summary'])}. {_text(operation.get('description', ''))}</p><dl>",
    ]
    for parameter in operation.get("parameters", ()):
        meaning = _text(parameter["description"])
        parts.append(f"<dt><code>{escape(parameter['name'])}</code> in the {parameter['in']}<dd>{meaning}")
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<dt>Takes<dd>{_body(media, content)}")
    for status, response in operation["responses"].items():
        bodies = [_body(media, content) for media, content in response.get("content", {}).items()]
        parts.append(f"<dt>{'Errors' if status == 'default' else status}<dd>{'<br>'.join(bodies) or 'no body'}")
    return "".join((*parts, "</dl></section>"))


def _body(media: str, content: JSON) -> str:
    if "x-piece" in content:
        return f"<code>{escape(media)}</code>, each piece {_type(content['x-piece'])}"
    kind = "" if not content["schema"] else f", {_type(content['schema'])}"
    return f"<code>{escape(media)}</code>{kind}"


def _object(name: str, schema: JSON) -> str:
    parts = [f"<section id=object-{escape(name)}><h3><code>{escape(name)}</code></h3>"]
    if "description" in schema:
        parts.append(f"<p>{_text(schema['description'])}</p>")
    required = set(schema.get("required", ()))
    rows = [_row(field, kind, field in required) for field, kind in schema.get("properties", {}).items()]
    if rows:
        parts.append(f"<div><table>{''.join(rows)}</table></div>")
    return "".join((*parts, "</section>"))


def _row(name: str, schema: JSON, required: bool) -> str:
    mark = " <strong title=required>*</strong>" if required else ""
    default = schema.get("default")
    said = f" = {escape(str(default))}" if default not in (None, "", [], {}, False) else ""
    meaning = _text(schema.get("description", ""))
    return f"<tr><td><code>{escape(name)}</code>{mark}<td>{_type(schema)}{said}<td>{meaning}"


def _type(schema: JSON) -> str:
    """A type in a few words, with links to the objects that it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href=#object-{name}>{name}</a>"
    if "anyOf" in schema:
        kinds = [part for part in schema["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(map(_type, kinds)))
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"] if value is not None)
    match schema.get("type"):
        case "array":
            items = _type(schema.get("items", {}))
            return f"list of {items}"
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return f"object of {_type(schema['additionalProperties'])}"
        case str(kind):
            return escape(kind)
        case _:
            return "any"


def _text(text: Any) -> str:
    """Text with `code` in it."""
    return _CODE.sub(r"<code>\1</code>", escape(str(text)))


def _anchor(name: str) -> str:
    return "group-" + re.sub(r"\W+", "-", name).lower()
