"""The Library's service asks the engine for plans, anew each time, and keeps its list of models for the next time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_engine.errors import NotSupported
from ollama_tui.services import EngineLink, LibraryService
from ollama_tui.services.listing import ListingFile
from tests.support.demo_engine import DemoEngine, demo_models
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


async def test_the_models_are_remembered_until_the_engine_answers(tmp_path: Path) -> None:
    file = tmp_path / "state" / "models.json"
    engine = DemoEngine()
    before = LibraryService(EngineLink.to(engine, "here"), ListingFile(file, "here"))
    before.recall()
    assert before.view.value.listed == ()
    await before.refresh()
    engine.stored = demo_models()[1:]
    after = LibraryService(EngineLink.to(engine, "here"), ListingFile(file, "here"))
    after.recall()
    assert after.view.value.listed == tuple(demo_models())
    assert not after.view.value.known
    await after.refresh()
    assert after.view.value.listed == tuple(demo_models()[1:])
    assert ListingFile(file, "here").read() == tuple(demo_models()[1:])


def test_a_listing_of_another_place_or_a_broken_one_is_none(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    ListingFile(file, "here").write(demo_models())
    assert ListingFile(file, "there").read() == ()
    for broken in (b"", b"[1]", b'{"place": "here", "models": [1]}', b"\xff"):
        file.write_bytes(broken)
        assert ListingFile(file, "here").read() == ()


def test_a_listing_that_cannot_be_written_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    ListingFile(tmp_path / "file" / "models.json", "here").write(demo_models())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_listing_that_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    ListingFile(file, "here").write(demo_models())
    first = file.stat().st_ino
    again = ListingFile(file, "here")
    again.write(again.read())
    assert file.stat().st_ino == first
