"""The Library's service asks the engine for plans, anew each time."""

from __future__ import annotations

import pytest

from ollama_engine.errors import NotSupported
from ollama_tui.services import EngineLink, LibraryService
from tests.support.demo_engine import DemoEngine
from tests.support.scripted_engine import ScriptedEngine


async def test_a_plan_is_asked_for_each_time() -> None:
    engine = ScriptedEngine()
    library = LibraryService(EngineLink.to(engine, "here"))
    bard, *_ = await engine.models()
    for options in (None, {"num_ctx": 512}):
        plan = await library.plan(bard, options)
        assert (plan.model, plan.fit) == (bard.name, "cpu")
    assert [asked.options for asked in engine.planned] == [None, {"num_ctx": 512}]


async def test_an_engine_that_does_not_plan_says_so() -> None:
    engine = DemoEngine()
    engine.failures["plan"] = NotSupported("plans no memory")
    library = LibraryService(EngineLink.to(engine, "there"))
    bard, *_ = await engine.models()
    with pytest.raises(NotSupported, match="plans no memory"):
        await library.plan(bard)
