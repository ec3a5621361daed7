"""Template text as tokens, so that what two texts share is cut between markers and never inside one."""

from __future__ import annotations

import re
from itertools import takewhile

from ollama_engine.output.syntax import MARKER

_TOKEN = re.compile(rf"{MARKER.pattern}|\s+|\w+|.", re.DOTALL)


def tokens_of(text: str) -> list[str]:
    return _TOKEN.findall(text)


def common_start(left: list[str], right: list[str]) -> list[str]:
    """The tokens with which both begin."""
    return [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))]


def common_end(left: list[str], right: list[str]) -> list[str]:
    """The tokens with which both end."""
    return common_start(left[::-1], right[::-1])[::-1]


def without_space(tokens: list[str]) -> list[str]:
    return tokens[1:] if tokens and tokens[0].isspace() else tokens
