"""schemathesis, unchanged, against a live server: requests made up from /openapi.json, answers held against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ollama_engine.settings import HostAddress, Settings
from tests.clients.conftest import TEXT
from tests.support.command_line import CommandLine
from tests.support.gguf_models import scripted_model
from tests.support.live_server import threaded_server

schemathesis = pytest.importorskip("schemathesis", reason="the extra `clients` is not installed")

ELSEWHERE = r"^/api/(pull|push|updates|create)"
"""Endpoints that would ask a registry."""
UNCHECKED = ("/api/embeddings",)
"""Where Ollama has a 500 for what is wrong with a request, too."""
EXAMPLES = 8


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HostAddress]:
    """In a thread, since schemathesis blocks; with the model `story`."""
    models = tmp_path / "models"
    scripted_model(tmp_path / "story.gguf", TEXT)
    (tmp_path / "Modelfile").write_text("FROM story.gguf\n")
    command_line = CommandLine(tmp_path, "127.0.0.1:1", {"OLLAMA_MODELS": str(models)})
    assert command_line.run("create", "story").returncode == 0
    with threaded_server(Settings(models=models, context_length=256)) as address:
        yield address


def test_every_endpoint_answers_as_the_document_says(server: HostAddress) -> None:
    from schemathesis import checks

    document = schemathesis.openapi.from_url(f"{server.url}/openapi.json").exclude(path_regex=ELSEWHERE)
    names = ["content_type_conformance", "response_schema_conformance", "status_code_conformance"]
    tried = 0
    for result in document.get_all_operations():
        operation = result.ok()
        wanted = names if operation.path in UNCHECKED else [*names, "not_a_server_error"]
        fuzz(operation, checks.CHECKS.get_by_names(wanted))
        tried += 1
    assert tried > 30


def fuzz(operation: Any, checks: list[Any]) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), known=st.booleans())
    def run(case: Any, known: bool) -> None:
        if known and isinstance(case.body, dict) and "model" in case.body and operation.path != "/api/delete":
            case.body["model"] = "story"
        case.call_and_validate(checks=checks, timeout=60)

    run()
