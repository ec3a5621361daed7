"""The prompt of a model that fills a hole between two texts: in its own tokens, as llama-server's /infill builds it,
or by its template's form for a suffix.

inference.py comes here where a request has a suffix. A prompt that is too long is cut far from the hole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ollama_engine.gguf.infill import Infill
from ollama_engine.runner.client import Runner

ANSWER_SHARE = 4
"""A quarter of the context is left for what is filled in, where the request does not want less."""
PROBE = ("x", "x")
"""Two texts of a token each."""


def prompt_room(n_ctx: int, num_predict: int) -> int:
    """Tokens that the prompt may have. `num_predict` as in the options: not positive where nobody set a limit."""
    share = n_ctx // ANSWER_SHARE
    return n_ctx - max(1, min(share, num_predict) if num_predict > 0 else share)


def infill_text(around: Infill, prefix: str, suffix: str) -> str:
    """The prompt in the model's own tokens as text, to be shown."""
    before, behind, hole = around.texts
    return f"{before}{prefix}{behind}{suffix}{hole}"


async def infill_prompt(runner: Runner, around: Infill, prefix: str, suffix: str, room: int) -> tuple[list[int], int]:
    """The prompt in the model's own tokens, and how many of the two texts' tokens were cut off to fit `room`.

    Nothing in the texts counts as a special token.
    """
    special = runner.info.special
    bos = [special.bos] if special.add_bos and special.bos >= 0 else []
    before, behind, cut = await _cut_around(runner, prefix, suffix, room - len(bos) - 3)
    return [*bos, around.prefix, *before, around.suffix, *behind, around.middle], cut


async def insert_prompt(
    runner: Runner, render: Callable[[str, str], str], prefix: str, suffix: str, room: int
) -> tuple[list[int], int]:
    """The same by a template: `render(prefix, suffix)` is the prompt's text, and runs in a thread."""

    async def tokens_of(prefix: str, suffix: str) -> list[int]:
        return await runner.tokenize(await asyncio.to_thread(render, prefix, suffix))

    tokens = await tokens_of(prefix, suffix)
    if len(tokens) <= room:
        return tokens, 0
    added = len(await tokens_of(*PROBE)) - len(PROBE)  # an empty text might be another branch of the template
    before, behind, cut = await _cut_around(runner, prefix, suffix, room - added)
    return await tokens_of(*await asyncio.gather(runner.detokenize(before), runner.detokenize(behind))), cut


async def _cut_around(runner: Runner, prefix: str, suffix: str, room: int) -> tuple[list[int], list[int], int]:
    """The end of `prefix` and the beginning of `suffix` in `room` tokens, and how many tokens were left out.

    Where both are too long, three quarters of the room are the prefix's, as in llama.cpp.
    """
    before, behind = await asyncio.gather(
        runner.tokenize(prefix, add_special=False, parse_special=False),
        runner.tokenize(suffix, add_special=False, parse_special=False),
    )
    room = max(room, 0)
    take_before = min(len(before), max(room - len(behind), room * 3 // 4))
    take_behind = min(len(behind), room - take_before)
    cut = len(before) - take_before + len(behind) - take_behind
    return before[len(before) - take_before :], behind[:take_behind], cut
