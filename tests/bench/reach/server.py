"""A server behind real HTTP that says prose, code or a list at a steady pace, whatever model is asked.

    python -m tests.bench.reach.server [--models 200] [--loaded 3]

Prints its address. The prompt says what is wanted: `prose 400 50` is 400 tokens at 50 a second; `code` and `list`
likewise, with as many lines or items as it takes.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import re
import sys
from collections.abc import AsyncGenerator, Iterator

from ollama_engine.server.serve import serve
from ollama_engine.settings import HostAddress, Settings
from ollama_engine.types import ChatChunk, ChatRequest, Message
from tests.bench.ps_pane import MovingEngine
from tests.support.demo_engine import summary

WORDS = [
    "the",
    "of",
    "and",
    "a",
    "to",
    "in",
    "is",
    "that",
    "it",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "be",
    "at",
    "one",
    "have",
    "this",
    "from",
    "or",
    "had",
    "by",
    "but",
    "some",
    "what",
    "there",
    "we",
    "can",
    "out",
    "other",
    "were",
    "all",
    "your",
    "when",
    "up",
    "use",
    "word",
    "how",
    "said",
    "an",
    "each",
    "she",
    "which",
    "do",
    "their",
    "time",
    "if",
    "will",
    "way",
    "about",
    "many",
]
TOKEN = re.compile(r"\s*\S{1,5}")


def prose() -> Iterator[str]:
    """Paragraphs of five sentences, without end."""
    chance = random.Random(1)
    while True:
        for _ in range(5):
            words = [chance.choice(WORDS) for _ in range(chance.randrange(8, 22))]
            words[2] = f"**{words[2]}**"
            yield " ".join(words).capitalize() + ". "
        yield "\n\n"


def code() -> Iterator[str]:
    """One fence of Python, its functions ten lines long."""
    yield "Here it is:\n\n```python\n"
    for number in itertools.count():
        yield f"def step_{number}(values: list[int], limit: int = {number}) -> int:\n"
        yield f'    """Add what is below the limit, step {number}."""\n    total = 0\n    for value in values:\n'
        yield f"        if value < limit and value % {number + 2} == 0:\n            total += value * 3  # weighed\n"
        yield '        elif value == 0:\n            raise ValueError(f"nothing to add: {value}")\n    return total\n\n'


def items() -> Iterator[str]:
    """A list, its items of one line and a half."""
    chance = random.Random(2)
    yield "These are the points:\n\n"
    for number in itertools.count(1):
        words = " ".join(chance.choice(WORDS) for _ in range(28))
        yield f"{number}. **Point {number}**: {words} and `code`.\n"


KINDS = {"prose": prose, "code": code, "list": items}


def tokens(kind: str) -> Iterator[str]:
    """The text cut as a tokenizer would, four characters on average."""
    for piece in KINDS[kind]():
        end = 0
        for match in TOKEN.finditer(piece):
            yield match[0]
            end = match.end()
        if end < len(piece):
            yield piece[end:]


class PacedEngine(MovingEngine):
    """Some models are in memory, their figures moving; every chat is answered as its prompt says."""

    def __init__(self, models: int, loaded: int) -> None:
        super().__init__(loaded)
        names = [one.name for one in self.in_memory] + [f"model-{number:03}:7b" for number in range(models)]
        self.stored = [summary(name, 4_680_000_000, "7.6B", "Q4_K_M", 32768, "completion") for name in names[:models]]

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        kind, count, rate = request.messages[-1].content.split()[:3]
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, token in enumerate(itertools.islice(tokens(kind), int(count))):
            due = began + number / float(rate) - loop.time()
            if due > 0:
                await asyncio.sleep(due)
            yield ChatChunk(model=request.model, created_at="", message=Message("assistant", token), done=False)
        yield ChatChunk(
            model=request.model,
            created_at="",
            message=Message("assistant"),
            done=True,
            done_reason="stop",
            prompt_eval_count=26,
            prompt_eval_duration=50_000_000,
            eval_count=int(count),
            eval_duration=int((loop.time() - began) * 1e9),
        )


async def main(models: int, loaded: int) -> int:
    def announce(address: HostAddress) -> None:
        sys.stdout.write(f"{address.url}\n")
        sys.stdout.flush()

    return await serve(Settings(host=HostAddress(port=0)), PacedEngine(models, loaded), on_ready=announce)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--loaded", type=int, default=3)
    arguments = parser.parse_args()
    sys.exit(asyncio.run(main(arguments.models, arguments.loaded)))
