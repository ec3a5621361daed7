"""Thinking tags and content wrappers, inferred from what a template renders. `markers.py` calls this."""

from __future__ import annotations

import re

from ollama_engine.output import probe as sentinel
from ollama_engine.output.probe import Probe
from ollama_engine.output.syntax import MARKER, ThinkTags
from ollama_engine.output.tokens import common_start, tokens_of, without_space

_SOURCE_CLOSE = re.compile(r"</((?:[\w-]+:)?(?:think|thinking|thought|thoughts|reason|reasoning|reflection))>")


def infer_thinking(probe: Probe, source: str) -> ThinkTags | None:
    return _shown_thinking(probe) or _prompted_thinking(probe) or _mentioned_thinking(source)


def _shown_thinking(probe: Probe) -> ThinkTags | None:
    """Tags around the reasoning of an answer, where the template writes it."""
    by_content, by_call = probe.reason_then_content, probe.reason_then_call
    text = by_content or by_call
    if text is None:
        return None
    before = text.partition(sentinel.REASON)[0]
    ends: list[list[str]] = []
    if by_content:
        ends.append(tokens_of(by_content.partition(sentinel.REASON)[2].partition(sentinel.CONTENT)[0]))
    if by_call:
        ends.append(tokens_of(by_call.partition(sentinel.REASON)[2].partition(sentinel.NAMES[0])[0]))
    if len(ends) == 2 and (common := "".join(common_start(*(without_space(end) for end in ends))).strip()):
        close = common
    else:
        first = MARKER.search("".join(ends[0]))
        close = first.group() if first else "".join(ends[0]).strip().partition("\n")[0]
    if not close:
        return None
    opener = _opener(probe, before, close)
    return ThinkTags(opener, close) if opener else None


def _opener(probe: Probe, before: str, close: str) -> str:
    """What stands between the assistant's header and its reasoning, or at the end of the prompt if nothing does."""
    header = (probe.content or "").partition(sentinel.CONTENT)[0]
    if close in header:  # an empty thinking block: its opening tag is the last word before the closing one
        tokens = [token for token in tokens_of(header.rpartition(close)[0]) if token.strip()]
        return tokens[-1] if tokens else ""
    prompt, tokens = probe.prompt(True) or "", tokens_of(before)
    openers = ["".join(tokens[len(common_start(tokens, tokens_of(known))) :]).strip() for known in (header, prompt)]
    if any(openers):  # a prompt may differ by what it says about thinking, or end with the tag itself
        return min(filter(None, openers), key=len)
    return prompt[len(header) :].strip() if header and prompt.startswith(header) else ""


def _prompted_thinking(probe: Probe) -> ThinkTags | None:
    """Tags of a prompt that opens the thinking block when asked to think, and closes it at once when not to."""
    on, off = probe.prompt(True), probe.prompt(False)
    if on is None or off is None or on.rstrip() == off.rstrip():
        return None
    for longer, shorter in ((off, on), (on, off)):
        rest = longer.rstrip().removeprefix(shorter.rstrip())
        if len(rest) < len(longer.rstrip()):
            markers = MARKER.findall(rest)
            openers = MARKER.findall(shorter)
            if len(markers) == 1 and openers and longer is off:
                return ThinkTags(openers[-1], markers[0])
            if len(markers) == 2 and markers[0] != markers[1]:
                return ThinkTags(markers[0], markers[1])
    return None


def _mentioned_thinking(source: str) -> ThinkTags | None:
    """Tags that the template only takes out of earlier answers, or tells the model about."""
    found = _SOURCE_CLOSE.search(source)
    return ThinkTags(f"<{found.group(1)}>", found.group()) if found else None


def infer_wrappers(probe: Probe, thinking: ThinkTags | None) -> tuple[str, ...]:
    """A pair of markers around plain content, between the end of the prompt and the end of the turn."""
    prompt, content = probe.prompt(False), probe.content
    if prompt is None or content is None:
        return ()
    before, _, after = content.partition(sentinel.CONTENT)
    tokens, asked = tokens_of(before), tokens_of(prompt)
    opener = "".join(tokens[len(common_start(tokens, asked)) :]).strip()
    closer = MARKER.match(after.strip())
    if not MARKER.fullmatch(opener) or not closer or (thinking and opener in (thinking.open, thinking.close)):
        return ()
    pairs = {opener.replace("START", "END"), opener.replace("start", "end"), opener.replace("<", "</", 1)}
    pairs |= {opener.replace("begin", "end"), opener.replace("BEGIN", "END")}
    return (opener, closer.group()) if closer.group() in pairs - {opener} else ()
