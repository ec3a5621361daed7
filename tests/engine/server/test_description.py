"""`/openapi.json` and `/docs`: valid, complete, and of what the server really does. (What it answers is held against
the document in every test of this folder: conftest.py.)"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.routing import Route

from ollama_engine.server.description.field_docs import field_docs
from ollama_engine.types import GenerateRequest
from tests.support.api_document import APIDocument

WRONG = {"string": [], "integer": "x", "number": "x", "boolean": "x", "array": 3, "object": 3}


def test_the_document_is_valid_openapi(api: APIDocument) -> None:
    validate(api.document)
    assert api.document["openapi"].startswith("3.1.")


def test_every_route_is_in_the_document_and_the_other_way_round(app: Starlette, api: APIDocument) -> None:
    served = {
        (method, re.sub(r"{(\w+):\w+}", r"{\1}", route.path))
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    told = {(method.upper(), path) for path, methods in api.document["paths"].items() for method in methods}
    assert served == told
    assert len(app.routes) == len([route for route in app.routes if isinstance(route, Route)])
    ids = [operation["operationId"] for methods in api.document["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)


def test_the_parameters_of_a_path_are_told(api: APIDocument) -> None:
    for path, methods in api.document["paths"].items():
        for operation in methods.values():
            named = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"]
            assert named == re.findall(r"{(\w+)}", path)


def bodies(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Method and path of each endpoint that takes JSON, and what it takes."""
    return [
        (method.upper(), path, content["application/json"]["schema"]["$ref"].rpartition("/")[2])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "application/json" in (content := operation.get("requestBody", {}).get("content", {}))
        and not path.startswith("/api/experimental/")  # whose bodies nobody reads
    ]


async def test_an_endpoint_reads_the_type_that_the_document_says(http: httpx.AsyncClient, api: APIDocument) -> None:
    wanted = bodies(api.document)
    assert len(wanted) >= 25
    for method, path, name in wanted:
        properties = api.document["components"]["schemas"][name]["properties"]
        field, kind = next((key, schema["type"]) for key, schema in properties.items() if "type" in schema)
        answer = await http.request(method, path.replace("{id}", "x"), json={field: WRONG[kind]})
        assert answer.status_code == 400, path
        assert f"Go struct field {name}.{field} of type" in answer.text, path


def test_every_field_of_a_request_has_its_type(api: APIDocument) -> None:
    """But for those that take anything: JSON Schemas and the like."""
    untyped = {
        f"{name}.{field}"
        for _, _, name in bodies(api.document)
        for field, schema in api.document["components"]["schemas"][name]["properties"].items()
        if not {"type", "anyOf", "$ref"} & set(schema)
    }
    assert untyped == {"ChatRequest.format", "ChatRequest.tool_choice", "EmbedRequest.input", "GenerateRequest.format"}


def test_what_the_source_says_of_a_field_is_its_description(api: APIDocument) -> None:
    assert field_docs(GenerateRequest)["grammar"].startswith("GBNF")
    schema = api.document["components"]["schemas"]["GenerateRequest"]["properties"]["grammar"]
    assert schema["description"] == field_docs(GenerateRequest)["grammar"]
    inherited = api.document["components"]["schemas"]["CreateModelRequest"]["properties"]["imatrix"]
    assert "importance matrix" in inherited["description"]


class Page(HTMLParser):
    """The text, the anchors and the links of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        self.ids += [value for name in ("id",) if (value := found.get(name))]
        self.links += [value for name in ("href", "src") if (value := found.get(name))]

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_the_page_tells_of_everything_and_needs_nothing_from_elsewhere(
    http: httpx.AsyncClient, api: APIDocument
) -> None:
    answer = await http.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = Page(answer.text)
    assert all(path in page.text for path in api.document["paths"])
    assert all(name in page.text for name in api.document["components"]["schemas"])
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert not {"script", "link", "img", "iframe"} & page.tags
    assert "url(" not in answer.text
    assert "@import" not in answer.text


async def test_the_document_is_served_as_json(http: httpx.AsyncClient, api: APIDocument) -> None:
    answer = await http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json() == api.document


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_other_verbs_are_refused(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.post(path)).status_code == 405
