"""Conversations go into files and come back whole, and out of the list and back; a stranger's file is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.errors import InvalidRequest
from ollama_tui.chats import ChatStore
from ollama_tui.chats.records import Attachment, ChatSettings, ToolCall

DAY = 86400.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChatStore]:
    store = ChatStore(tmp_path / "chats.db")
    yield store
    await store.aclose()


async def branching(store: ChatStore) -> int:
    """A question with a picture, and two answers to it, of which the first is shown and calls a tool."""
    conversation = await store.start("bard", "", 1.0)
    await store.save_title(conversation, "Of kings")
    await store.save_settings(conversation, ChatSettings(system="Be brief.", options={"temperature": 0.5}))
    picture = Attachment("cat.png", "image", 3, await store.add_file(b"cat"))
    asked = await store.add_message(
        conversation, "user", "Who is it?", status="done", model="", now=1.0, attachments=(picture,)
    )
    for text in ("Lear", "Hal"):
        await store.add_message(conversation, "assistant", text, status="done", model="bard", now=2.0, parent_id=asked)
    [_, first, _] = await store.messages(conversation)
    await store.save_message(replace(first, tool_calls=(ToolCall("look", '{"at": "him"}', "c1"),)))
    await store.save_head(conversation, first.id)
    return conversation


async def test_json_has_every_branch_and_is_read_again(store: ChatStore, tmp_path: Path) -> None:
    exported = await store.export(await branching(store), markdown=False)
    other = ChatStore(tmp_path / "other.db")
    added = await other.add_document(exported, 9.0)
    conversation = await other.conversation(added)
    assert conversation is not None
    assert (conversation.title, conversation.settings.system) == ("Of kings", "Be brief.")
    question, lear, hal = await other.messages(added)
    assert (lear.content, hal.content, conversation.head_id) == ("Lear", "Hal", lear.id)
    assert (lear.parent_id, hal.parent_id) == (question.id, question.id)
    assert lear.tool_calls == (ToolCall("look", '{"at": "him"}', "c1"),)
    [digest] = [one.digest for one in question.attachments]
    assert await other.files([digest]) == {digest: b"cat"}
    await other.aclose()


async def test_markdown_has_the_branch_that_is_shown(store: ChatStore) -> None:
    text = (await store.export(await branching(store), markdown=True)).decode()
    assert text.startswith("# Of kings\n")
    assert "Lear" in text
    assert "Hal" not in text
    assert "look(" in text


def broken(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: b"\xff" + data,
        broken(lambda document: document.update(format="another")),
        broken(lambda document: document.update(version=2)),
        broken(lambda document: document["messages"].reverse()),
        broken(lambda document: document["messages"][1]["tool_calls"][0].update(arguments="{not json")),
        broken(lambda document: document["messages"][1]["tool_calls"][0].update(arguments="[1]")),
        broken(lambda document: document["files"].update(x="no base64!")),
    ],
)
async def test_a_file_that_is_none_of_ours_is_refused_and_adds_nothing(
    store: ChatStore, damage: Callable[[bytes], bytes]
) -> None:
    exported = await store.export(await branching(store), markdown=False)
    with pytest.raises(InvalidRequest, match="no conversation exported as JSON"):
        await store.add_document(damage(exported), 9.0)
    assert len(await store.conversations()) == 1


async def test_what_was_deleted_comes_back_for_a_month(store: ChatStore) -> None:
    conversation = await branching(store)
    await store.delete(conversation, 10.0)
    assert await store.conversations() == []
    assert await store.search("Lear") == []
    back = await store.undelete()
    assert back is not None
    assert (back.id, len(await store.messages(conversation))) == (conversation, 3)
    await store.delete(conversation, 10.0)
    await store.purge(10.0 + 29 * DAY)
    assert await store.undelete() is not None
    await store.delete(conversation, 10.0)
    await store.purge(10.0 + 31 * DAY)
    assert await store.undelete() is None
