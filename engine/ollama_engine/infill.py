"""The prompt of a model that fills a hole between two texts, in its own tokens, as llama-server's /infill builds it.

inference.py comes here where a request has a suffix and the model's template no form for one.
"""

from __future__ import annotations

import asyncio

from ollama_engine.runner.client import Runner

ANSWER_SHARE = 4
"""A quarter of the context is left for what is filled in."""


async def infill_prompt(
    runner: Runner, around: tuple[int, int, int], prefix: str, suffix: str, n_ctx: int
) -> tuple[list[int], int]:
    """Tokens of the prompt, and how many of the two texts' tokens were cut off, far from the hole, to fit `n_ctx`.

    Nothing in the texts counts as a special token. Where both are too long, three quarters of the room are the
    prefix's, as in llama.cpp.
    """
    before, behind = await asyncio.gather(
        runner.tokenize(prefix, add_special=False, parse_special=False),
        runner.tokenize(suffix, add_special=False, parse_special=False),
    )
    special = runner.info.special
    bos = [special.bos] if special.add_bos and special.bos >= 0 else []
    room = max(2, n_ctx - n_ctx // ANSWER_SHARE - len(bos) - len(around))
    take_before = min(len(before), max(room - len(behind), room * 3 // 4))
    take_behind = min(len(behind), room - take_before)
    cut = len(before) - take_before + len(behind) - take_behind
    kept = before[len(before) - take_before :]
    return [*bos, around[0], *kept, around[1], *behind[:take_behind], around[2]], cut
