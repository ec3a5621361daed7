"""What stands around thinking and tool calls in a model's text: the data between inference, dialects and parser.

All markers are literal text. Whitespace inside or beside a marker is free: models do not keep to the template's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Form = Literal["json", "named", "tagged", "loose", "python"]
"""How a call is written.

    json    {"name": "f", "arguments": {"a": 1}}, also under other keys, also in a list
    named   f{"a": 1}, the name first and the arguments as JSON
    tagged  f<p=a>1</p>, the name first and each argument between markers of its own
    loose   f{a:1,b:<q>text<q>}, keys without quotes, text between quote markers
    python  [f(a=1), g()]
"""

MARKER = re.compile(r"<[^<>\s]+>|\[/?[A-Z][A-Z _]*\]")
"""What looks like a marker of its own, and may be a single special token."""
_PIECE = re.compile(rf"{MARKER.pattern}|(?:(?!{MARKER.pattern})\S)+")
_SIGNS = re.compile(r"[<>|]|\[/?[A-Z]")


def pieces(marker: str) -> list[str]:
    """A marker text as the literal pieces between which whitespace is free."""
    return _PIECE.findall(marker)


@dataclass(frozen=True)
class CallSyntax:
    """One way to write tool calls. `block_*` stand around all calls, `call_*` around each one."""

    form: Form = "json"
    block_open: str = ""
    call_open: str = ""
    call_close: str = ""
    block_close: str = ""
    name_prefix: str = ""
    """Text before the name that is no part of it (`functions.`)."""
    name_end: str = ""
    """Text between the name and its arguments."""
    param_open: str = ""
    param_mid: str = ""
    param_close: str = ""
    """Around an argument of the tagged form: `param_open` key `param_mid` value `param_close`."""
    padded: bool = False
    """Tagged values stand on lines of their own."""
    quote: str = ""
    """Stands on both sides of text in the loose form."""
    json_values: bool = False
    """Tagged values are JSON, text in quotes."""
    listed: bool = False
    """Calls stand in a JSON list inside the block, also a single one."""
    name_key: str = ""
    arguments_key: str = ""
    """Keys of the JSON form; they are tried before all the usual ones."""
    ignored: tuple[str, ...] = ()
    """Names that are no tools but the model's way of saying that it calls none."""

    @property
    def bare(self) -> bool:
        """Nothing announces a call: it can only be told by being the first thing in the answer."""
        return not self.openers

    @property
    def unmistakable(self) -> bool:
        """Nobody writes the opening marker by chance: what follows it is a call whatever its name."""
        return any(_SIGNS.search(opener) for opener in self.openers)

    @property
    def openers(self) -> tuple[str, ...]:
        """The first unbroken piece of each way in which a call can begin."""
        ways = (self.block_open, self.call_open)
        return tuple(dict.fromkeys(pieces(way)[0] for way in ways if way.strip()))


@dataclass(frozen=True)
class ThinkTags:
    open: str
    close: str


@dataclass(frozen=True)
class Markers:
    """All that an `OutputParser` looks for."""

    thinking: ThinkTags | None = None
    calls: tuple[CallSyntax, ...] = ()
    wrappers: tuple[str, ...] = ()
    """Markers around plain content, taken out of it."""
    harmony: bool = False
    """The answer is a sequence of channel messages; the other fields say nothing then."""
    opens_thinking: bool = False
    """The prompt of a thinking request ends inside the thinking block."""

    def starts_in_thinking(self, prompt: str) -> bool:
        """Whether `prompt`, as rendered, leaves the thinking block open for the answer to go on in."""
        return self.thinking is not None and prompt.rstrip().endswith(self.thinking.open)

    @property
    def preserved(self) -> tuple[str, ...]:
        """Pieces that may be special tokens of the vocabulary, which the runner has to write out as text."""
        if self.harmony:
            return HARMONY_TOKENS
        parts = [*self.wrappers]
        if self.thinking:
            parts += [self.thinking.open, self.thinking.close]
        for call in self.calls:
            parts += [call.block_open, call.call_open, call.call_close, call.block_close, call.quote]
            parts += [call.name_end, call.param_open, call.param_mid, call.param_close]
        return tuple(dict.fromkeys(token for part in parts for token in MARKER.findall(part)))


HARMONY_TOKENS = ("<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|return|>", "<|call|>")
HARMONY_STOPS = ("<|end|>", "<|return|>", "<|call|>", "<|start|>")
"""What ends a message."""
