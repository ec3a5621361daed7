"""A model's markers, inferred from its template alone: what stands around sentinels is what the model will write.

`dialects.markers_for` calls this for every model that its table does not cover.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import takewhile

from ollama_engine.output import probe as sentinel
from ollama_engine.output.probe import Probe
from ollama_engine.output.syntax import CallSyntax, Markers, ThinkTags
from ollama_engine.output.values import NAME_KEYS
from ollama_engine.prompt.render import ChatTemplate

_TOKEN = re.compile(r"<[^<>\s]+>|\[/?[A-Z][A-Z _]*\]|\s+|\w+|.", re.DOTALL)
_MARKER = re.compile(r"<[^<>\s]+>|\[/?[A-Z][A-Z _]*\]")
_SOURCE_CLOSE = re.compile(r"</((?:[\w-]+:)?(?:think|thinking|thought|thoughts|reason|reasoning|reflection))>")
_NAME_PREFIX = re.compile(r"(?<=[>\]])\s*([\w.]+[.:])$")


def infer_markers(template: ChatTemplate) -> Markers:
    """The markers that `template` shows; empty ones where it knows neither thinking nor tools.

    Renders a dozen short conversations, which takes milliseconds; call it in a worker thread, once for a model.
    """
    probe = Probe(template)
    thinking = _thinking(probe, template.source)
    call = _call(probe, thinking)
    wrappers = _wrappers(probe, thinking)
    markers = Markers(thinking, (call,) if call else (), wrappers)
    return replace(markers, opens_thinking=markers.starts_in_thinking(probe.prompt(True) or ""))


# Thinking


def _thinking(probe: Probe, source: str) -> ThinkTags | None:
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
        ends.append(_tokens(by_content.partition(sentinel.REASON)[2].partition(sentinel.CONTENT)[0]))
    if by_call:
        ends.append(_tokens(by_call.partition(sentinel.REASON)[2].partition(sentinel.NAMES[0])[0]))
    if len(ends) == 2 and (common := "".join(_common(*(_lstrip(end) for end in ends))).strip()):
        close = common
    else:
        first = _MARKER.search("".join(ends[0]))
        close = first.group() if first else "".join(ends[0]).strip().partition("\n")[0]
    if not close:
        return None
    opener = _opener(probe, before, close)
    return ThinkTags(opener, close) if opener else None


def _opener(probe: Probe, before: str, close: str) -> str:
    """What stands between the assistant's header and its reasoning, or at the end of the prompt if nothing does."""
    header = (probe.content or "").partition(sentinel.CONTENT)[0]
    if close in header:  # an empty thinking block: its opening tag is the last word before the closing one
        tokens = [token for token in _tokens(header.rpartition(close)[0]) if token.strip()]
        return tokens[-1] if tokens else ""
    opener = "".join(_tokens(before)[len(_common(_tokens(before), _tokens(header))) :]).strip()
    if opener:
        return opener
    prompt = probe.prompt(True) or ""
    return prompt[len(header) :].strip() if header and prompt.startswith(header) else ""


def _prompted_thinking(probe: Probe) -> ThinkTags | None:
    """Tags of a prompt that opens the thinking block when asked to think, and closes it at once when not to."""
    on, off = probe.prompt(True), probe.prompt(False)
    if on is None or off is None or on.rstrip() == off.rstrip():
        return None
    for longer, shorter in ((off, on), (on, off)):
        rest = longer.rstrip().removeprefix(shorter.rstrip())
        if len(rest) < len(longer.rstrip()):
            markers = _MARKER.findall(rest)
            openers = _MARKER.findall(shorter)
            if len(markers) == 1 and openers and longer is off:
                return ThinkTags(openers[-1], markers[0])
            if len(markers) == 2 and markers[0] != markers[1]:
                return ThinkTags(markers[0], markers[1])
    return None


def _mentioned_thinking(source: str) -> ThinkTags | None:
    """Tags that the template only takes out of earlier answers, or tells the model about."""
    found = _SOURCE_CLOSE.search(source)
    return ThinkTags(f"<{found.group(1)}>", found.group()) if found else None


def _wrappers(probe: Probe, thinking: ThinkTags | None) -> tuple[str, ...]:
    """A pair of markers around plain content, between the end of the prompt and the end of the turn."""
    prompt, content = probe.prompt(False), probe.content
    if prompt is None or content is None:
        return ()
    before, _, after = content.partition(sentinel.CONTENT)
    tokens, asked = _tokens(before), _tokens(prompt)
    opener = "".join(tokens[len(_common(tokens, asked)) :]).strip()
    closer = _MARKER.match(after.strip())
    if not _MARKER.fullmatch(opener) or not closer or (thinking and opener in (thinking.open, thinking.close)):
        return ()
    pairs = {opener.replace("START", "END"), opener.replace("start", "end"), opener.replace("<", "</", 1)}
    pairs |= {opener.replace("begin", "end"), opener.replace("BEGIN", "END")}
    return (opener, closer.group()) if closer.group() in pairs - {opener} else ()


# Tool calls


def _call(probe: Probe, thinking: ThinkTags | None) -> CallSyntax | None:
    one = probe.calls(1)
    if one is None:
        return None
    two = probe.calls(2)
    text = two or one
    name = text.find(sentinel.NAMES[0])
    form = _json_form(text, name) or _named_form(text, name) or _tagged_form(text, name) or _python_form(text, name)
    form = form or _loose_form(text, name)
    if form is None:
        return None
    syntax, start, end = form
    before = _own_words(probe, text[:start], thinking)
    between: str | None = None
    after = text[end:]
    if two:
        other = two.find(sentinel.NAMES[1], end)
        second = _unit(syntax, two, other, end)
        if second:
            between, after = two[end : second[0]], two[second[1] :]
    return _around(syntax, before, between, _turn_end(probe, after))


Shape = tuple[CallSyntax, int, int]
"""A syntax without what stands around it, and where the call itself begins and ends."""


def _unit(syntax: CallSyntax, text: str, name: int, floor: int) -> tuple[int, int] | None:
    """Where another call of the same syntax begins and ends."""
    if name < 0:
        return None
    readers = {"json": _json_form, "named": _named_form, "tagged": _tagged_form, "loose": _loose_form}
    reader = readers.get(syntax.form)
    shape = reader(text, name, floor) if reader else None
    return shape[1:] if shape else None


def _json_form(text: str, name: int, floor: int = 0) -> Shape | None:
    """The smallest JSON object that holds the name as a value and the arguments."""
    start = name
    while (start := text.rfind("{", floor, start)) >= 0:
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            continue
        written = json.dumps(value)
        if end > name and sentinel.TEXT in written and any(f'"{key}": "' in written for key in NAME_KEYS):
            return CallSyntax("json"), start, end
    return None


def _named_form(text: str, name: int, floor: int = 0) -> Shape | None:
    end = _name_end(text, name)
    start = text.find("{", end)
    if start < 0:
        return None
    try:
        value, close = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        return None
    if not isinstance(value, dict) or sentinel.TEXT_KEY not in value:
        return None
    between = text[end:start].strip()
    markers = _MARKER.findall(between)
    return CallSyntax("named", name_end=markers[-1] if markers else between), name, close


def _tagged_form(text: str, name: int, floor: int = 0) -> Shape | None:
    name_end = _name_end(text, name)
    places = [
        text.find(word, name_end)
        for word in (sentinel.TEXT_KEY, sentinel.TEXT, sentinel.NUMBER_KEY, str(sentinel.NUMBER))
    ]
    if -1 in places or places != sorted(places):
        return None
    key, value, other_key, other_value = places
    to_key = text[name_end:key]
    to_value = text[key + len(sentinel.TEXT_KEY) : value]
    to_other = text[value + len(sentinel.TEXT) : other_key]
    opener = "".join(_common_end(_tokens(to_key), _tokens(to_other))).lstrip(">|]}) \n\t\"'")
    if not opener.strip():
        return None
    close = to_other.removesuffix(opener).strip()
    close = (_MARKER.match(close) or re.match(r"\S+", close) or re.match("", close)).group()  # type: ignore[union-attr]
    if not close:
        return None
    end = text.find(close, other_value) + len(close)
    syntax = CallSyntax(
        "tagged",
        name_end=to_key.removesuffix(opener).strip(),
        param_open=opener.strip(),
        param_mid=to_value.strip(),
        param_close=close,
        padded=to_value.endswith("\n"),
    )
    return (syntax, name, end) if end >= len(close) else None


def _python_form(text: str, name: int) -> Shape | None:
    end = name + len(sentinel.NAMES[0])
    if text[end : end + 1] != "(":
        return None
    last = text.rfind(str(sentinel.NUMBER))
    close = text.find(")", last) + 1
    if close <= 0:
        return None
    start, close = (
        (name - 1, close + 1) if text[name - 1 : name] == "[" and text[close : close + 1] == "]" else (name, close)
    )
    return CallSyntax("python"), start, close


def _loose_form(text: str, name: int, floor: int = 0) -> Shape | None:
    start = text.find("{", name)
    key = text.find(sentinel.TEXT_KEY, name)
    value = text.find(sentinel.TEXT, key)
    other = text.find(str(sentinel.NUMBER), value)
    end = text.find("}", other) + 1
    if start < 0 or not start < key < value < other < end or text[start + 1 : key].strip():
        return None
    quote = text[key + len(sentinel.TEXT_KEY) : value].strip().removeprefix(":").strip()
    return CallSyntax("loose", quote=quote, name_end=text[_name_end(text, name) : start].strip()), name, end


def _name_end(text: str, name: int) -> int:
    match = re.compile(r"\w+").match(text, name)
    return match.end() if match else name


def _own_words(probe: Probe, before: str, thinking: ThinkTags | None) -> str:
    """`before` without the turn's header and an empty thinking block: what the assistant itself would write."""
    if thinking and thinking.close in before:
        return before.rpartition(thinking.close)[2]
    tokens = _tokens(before)
    headers = [probe.prompt(None) or "", (probe.content or "").partition(sentinel.CONTENT)[0]]
    return "".join(tokens[max(len(_common(tokens, _tokens(header))) for header in headers) :])


def _turn_end(probe: Probe, after: str) -> str:
    """`after` up to where the turn ends: the end marker of a turn with content, or the next turn's header."""
    prompt = probe.prompt(None) or ""
    ending = _MARKER.search((probe.content or "").partition(sentinel.CONTENT)[2])
    turns = {*_MARKER.findall(prompt), *([ending.group()] if ending else [])}
    places = [after.find(marker) for marker in turns if marker in after]
    if places:
        return after[: min(places)]
    following = "".join(_common_end(_tokens(after), _tokens(prompt)))
    return after.removesuffix(following) if following.strip() else after


def _around(syntax: CallSyntax, before: str, between: str | None, after: str) -> CallSyntax:
    """`syntax` with its openers and closers, told apart by what comes again between two calls."""
    if between is None:
        opener, closer, block_open, block_close = before, after, "", ""
    else:
        opener = "".join(_common_end(_tokens(before), _tokens(between)))
        closer = "".join(_common(_tokens(between.removesuffix(opener)), _tokens(after)))
        block_open, block_close = before.removesuffix(opener), after.removeprefix(closer)
    prefix = ""
    if syntax.form in ("named", "loose") and (match := _NAME_PREFIX.search(opener)):
        opener, prefix = opener[: match.start()], match.group(1)
    return replace(
        syntax,
        block_open=_without_list(block_open),
        call_open=_without_list(opener) if not block_open.strip() else opener.strip(),
        call_close=closer.strip().removeprefix("]").strip(),
        block_close=block_close.strip().removeprefix("]").strip(),
        name_prefix=prefix,
    )


def _without_list(opener: str) -> str:
    """A list's bracket is read by itself, unless a plain word needs it to be a marker."""
    opener = opener.strip()
    shorter = opener.removesuffix("[").strip()
    return shorter if opener.endswith("[") and (not shorter or not re.search(r"\w\[$", opener)) else opener


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _common(left: list[str], right: list[str]) -> list[str]:
    """The tokens with which both begin."""
    return [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))]


def _common_end(left: list[str], right: list[str]) -> list[str]:
    """The tokens with which both end."""
    return _common(left[::-1], right[::-1])[::-1]


def _lstrip(tokens: list[str]) -> list[str]:
    return tokens[1:] if tokens and tokens[0].isspace() else tokens
