"""The OpenAPI 3.1 document of a table of routes: schemas by msgspec, of the types that the endpoints read and write."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ollama_engine import __version__
from ollama_engine.server.anthropic.objects import AnthropicError
from ollama_engine.server.description.field_docs import describe_fields
from ollama_engine.server.openai.objects import OpenAIError
from ollama_engine.server.operations import Body, Group, Operation, Query
from ollama_engine.server.routing import ExactRoute
from ollama_engine.types import JSON

INTRODUCTION = (
    "One server, three dialects: Ollama's API, OpenAI's and Anthropic's, and what is ours beside them. Requests are "
    "read as Go's JSON decoder would: names of fields whatever their case, unknown fields and Content-Type passed "
    "over, null for a field that is left out. Streams say what their pieces are under `x-piece`."
)
_GROUPS: dict[Group, str] = {
    "Ollama": "Ollama's own API. Durations are nanoseconds, sizes bytes, times RFC 3339.",
    "ollama-tui": "What this server has beside the others.",
    "OpenAI": "OpenAI's API. Options of Ollama's are taken as extra keys.",
    "Anthropic": "Anthropic's API. Options of Ollama's are taken as extra keys.",
}
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_PARAMETERS = {
    "digest": "`sha256:` and 64 hexadecimal digits.",
    "model": "A model's name; slashes in it may stand as they are.",
    "id": "As an earlier answer had it.",
    "key": "Not looked at.",
}
_REFERENCE = "#/components/schemas/{name}"


class Error(Struct, omit_defaults=True):
    """What went wrong, in Ollama's words where it has any."""

    error: str
    hint: str = ""
    """What to do about it (ours)."""


_ERRORS: dict[Group, type[Struct]] = {
    "Ollama": Error,
    "ollama-tui": Error,
    "OpenAI": OpenAIError,
    "Anthropic": AnthropicError,
}


def openapi(routes: Sequence[ExactRoute]) -> JSON:
    """The document, as JSON is made of it."""
    schemas = _Schemas(routes)
    paths: dict[str, JSON] = {}
    for route, method, operation in operations(routes):
        path = paths.setdefault(plain_path(route.path), {})
        path[method.lower()] = _operation(plain_path(route.path), method, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ollama-tui",
            "version": __version__,
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        # From this machine no key is needed, and a key is a bearer token or, as Anthropic has it, a header of its own.
        "security": [{}, {"bearer": []}, {"header": []}],
        "tags": [{"name": name, "description": text} for name, text in _GROUPS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def operations(routes: Sequence[ExactRoute]) -> Iterator[tuple[ExactRoute, str, Operation]]:
    """Each route with each of its methods."""
    for route in routes:
        for method in sorted(route.methods):
            yield route, method, route.operation


def plain_path(path: str) -> str:
    """A route's path as OpenAPI writes it: `{model:name}` is `{model}`."""
    return _PARAMETER.sub(r"{\1}", path)


class _Schemas:
    """JSON Schemas of all types of a table, each Struct once."""

    def __init__(self, routes: Sequence[ExactRoute]) -> None:
        bodies = [body for _, _, operation in operations(routes) for body in _bodies(operation)]
        kinds = list({repr(kind): kind for kind in (*(body.kind for body in bodies), *_ERRORS.values())}.values())
        kinds = [kind for kind in kinds if kind is not None]
        schemas, self.components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
        describe_fields(self.components, kinds)
        self._of = {repr(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}

    def of(self, kind: Any) -> JSON:
        return {} if kind is None else self._of[repr(kind)]


def _bodies(operation: Operation) -> list[Body]:
    return [*operation.gives, *([operation.takes] if operation.takes else [])]


def _operation(path: str, method: str, operation: Operation, schemas: _Schemas) -> JSON:
    told: JSON = {
        "operationId": f"{method.lower()}{re.sub('[^a-zA-Z0-9]+', '_', path).rstrip('_')}",
        "tags": [operation.group],
        "summary": operation.summary,
    }
    if operation.details:
        told["description"] = operation.details
    if operation.deprecated:
        told["deprecated"] = True
    if parameters := [*_path_parameters(path), *map(_query_parameter, operation.query)]:
        told["parameters"] = parameters
    if operation.takes is not None:
        told["requestBody"] = {"required": True, "content": {operation.takes.media: _media(operation.takes, schemas)}}
    told["responses"] = _responses(method, operation, schemas)
    return told


def _responses(method: str, operation: Operation, schemas: _Schemas) -> JSON:
    has_body = method != "HEAD"
    success: JSON = {"description": operation.summary}
    if has_body and operation.gives:
        success["content"] = {body.media.partition(";")[0]: _media(body, schemas) for body in operation.gives}
    failure: JSON = {"description": "What went wrong."}
    if has_body:
        # A 403 for a page of another origin is empty, a 405 is text: no client of an endpoint meets them.
        failure["content"] = {"application/json": {"schema": schemas.of(_ERRORS[operation.group])}}
    return {**{str(status): success for status in operation.statuses}, "default": failure}


def _media(body: Body, schemas: _Schemas) -> JSON:
    schema = schemas.of(body.kind)
    return {"schema": {"type": "string"}, "x-piece": schema} if body.pieces else {"schema": schema}


def _path_parameters(path: str) -> list[JSON]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in _PARAMETER.findall(path)
    ]


def _query_parameter(query: Query) -> JSON:
    schema = {"type": "string", "enum": list(query.values)}
    return {"name": query.name, "in": "query", "description": query.meaning, "schema": schema}
