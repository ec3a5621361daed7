"""Conversations cut to the context: what goes, what stays, and how few tokenizer calls it takes."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_engine.prompt.truncate import Fitted, fit_messages
from ollama_engine.types import Message, ToolCall, ToolCallFunction


class Tokenizer:
    """Counts words, and calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, texts: list[str]) -> list[int]:
        self.calls += 1
        return [len(text.split()) for text in texts]


def render(messages: list[Message]) -> str:
    return " ".join(f"<{message.role}> {message.content}" for message in messages) + " <assistant>"


async def fit(messages: list[Message], n_ctx: int, tokenizer: Tokenizer | None = None) -> Fitted:
    return await fit_messages(messages, n_ctx, tokenizer or Tokenizer(), render=render)


def talk(turns: int, words: int = 10) -> list[Message]:
    return [
        message
        for number in range(turns)
        for message in (
            Message("user", f"q{number} " + "w " * words),
            Message("assistant", f"a{number} " + "w " * words),
        )
    ] + [Message("user", "last")]


async def test_what_fits_stays_whole_for_one_tokenizer_call() -> None:
    tokenizer = Tokenizer()
    messages = talk(3)
    assert await fit(messages, 1000, tokenizer) == Fitted(messages, 0)
    assert tokenizer.calls == 1


async def test_the_oldest_turns_go_first_and_whole() -> None:
    messages = talk(3)
    assert await fit(messages, 60) == Fitted(messages[2:], 2)
    assert await fit(messages, 51) == Fitted(messages[2:], 2)
    assert await fit(messages, 50) == Fitted(messages[4:], 4)


async def test_system_messages_and_the_last_message_always_stay() -> None:
    first, middle = Message("system", "be brief"), Message("system", "and kind")
    messages = [first, *talk(2), middle, Message("user", "now")]
    assert await fit(messages, 1) == Fitted([first, middle, messages[-1]], 5)


async def test_a_tool_result_never_stands_without_its_call_unless_nothing_else_fits() -> None:
    call = Message("assistant", "w " * 20, tool_calls=[ToolCall(ToolCallFunction("f"))])
    messages = [*talk(2)[:-1], Message("user", "ask"), call, Message("tool", "result"), Message("tool", "more")]
    assert (await fit(messages, 40)).messages == messages[4:]
    assert (await fit(messages, 20)).messages == messages[-1:]


async def test_images_count() -> None:
    messages = [Message("user", "see", images=["x"]), Message("assistant", "ok"), Message("user", "and now")]
    assert (await fit(messages, 700)).dropped == 2
    assert (await fit(messages, 800)).dropped == 0


async def test_a_long_conversation_takes_few_tokenizer_calls() -> None:
    messages = [Message("system", "s"), *talk(1000)]
    for n_ctx in (20, 500, 5_000, 20_000):
        tokenizer = Tokenizer()
        fitted = await fit(messages, n_ctx, tokenizer)
        assert len(render(fitted.messages).split()) <= n_ctx
        assert tokenizer.calls <= 4


_ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
_MESSAGE = st.builds(Message, _ROLES, st.integers(0, 12).map(lambda words: "w " * words))


@settings(max_examples=200, deadline=None)
@given(st.lists(_MESSAGE, min_size=1, max_size=25), st.integers(1, 200))
def test_nothing_that_would_fit_is_dropped(messages: list[Message], n_ctx: int) -> None:
    """Against the plain search: drop one more turn until it fits."""
    fitted = asyncio.run(fit(messages, n_ctx))
    kept = fitted.messages
    assert kept[-1] is messages[-1]
    assert [m for m in messages if m.role == "system"] == [m for m in kept if m.role == "system"]
    assert len(messages) - len(kept) == fitted.dropped
    users = [at for at, message in enumerate(messages) if message.role == "user"]
    for start in [0, *users]:
        rest = [m for at, m in enumerate(messages) if at >= start or m.role == "system"]
        if len(render(rest).split()) <= n_ctx:
            assert len(kept) >= len(rest)
            break
