"""Holds what a server answers against its own /openapi.json: statuses, media types, bodies, every piece of a stream."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

OPEN_OBJECTS = ("ResponseEvent",)
"""What has more fields than the document names: it says so."""


class APIDocument:
    """Knows the document of one app."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._paths = [
            (re.compile(re.sub(r"\\{\w+\\}", "(.+)", re.escape(path))), methods)
            for path, methods in document["paths"].items()
        ]
        # Most exact first: a parameter may hold slashes.
        self._paths.sort(key=lambda entry: entry[0].pattern.count("(.+)"))
        self._components = {
            name: schema
            if name in OPEN_OBJECTS or "properties" not in schema
            else {**schema, "additionalProperties": False}
            for name, schema in document["components"]["schemas"].items()
        }
        self._validator = cache(self._make_validator)

    def check(self, response: httpx.Response) -> None:
        """AssertionError where the answer is none that the document tells of."""
        request = response.request
        operation = self._operation(request.method, request.url.path)
        if operation is None or (response.status_code == 403 and not response.content):
            return
        status = str(response.status_code)
        assert status in operation["responses"] or response.status_code >= 400, f"{status} is not told of"
        content = operation["responses"].get(status, operation["responses"]["default"]).get("content", {})
        if not response.content:
            assert not content or response.status_code >= 400, "a body is told of, and there is none"
            return
        media = response.headers["content-type"].partition(";")[0]
        assert media in content, f"{media} is not told of, {list(content)} is"
        errors = operation["responses"]["default"]["content"]["application/json"]["schema"]
        for schema, value in _values(content[media], media, response.text, errors):
            self._validate(schema, value)

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for pattern, methods in self._paths:
            if pattern.fullmatch(path) and method.lower() in methods:
                return methods[method.lower()]
        return None

    def _validate(self, schema: dict[str, Any], value: Any) -> None:
        problems = [
            f"{error.json_path}: {error.message}" for error in self._validator(json.dumps(schema)).iter_errors(value)
        ]
        assert not problems, f"{value} is not as told: {problems[:3]}"

    def _make_validator(self, schema: str) -> Draft202012Validator:
        return Draft202012Validator({**json.loads(schema), "components": {"schemas": self._components}})


def _values(content: dict[str, Any], media: str, text: str, errors: dict[str, Any]) -> list[tuple[dict[str, Any], Any]]:
    """What is to be validated, each with its schema."""
    piece = content.get("x-piece")
    if media == "application/json":
        return [(content["schema"], json.loads(text))]
    if piece is None:
        return []
    values = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if _is_value(line)]
    return [(errors if set(value) <= {"error", "hint"} else piece, value) for value in values]


def _is_value(line: str) -> bool:
    return bool(line) and not line.startswith("event: ") and line != "data: [DONE]"
