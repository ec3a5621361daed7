"""The selected model under the table: who it is, how fast it goes, what it holds where."""

from __future__ import annotations

from textual.content import Content

from ollama_engine.types import DeviceShare, RunningModel
from ollama_tui import figures
from ollama_tui.panes.ps.columns import time_left
from ollama_tui.services.history import Samples
from ollama_tui.text import one_line
from ollama_tui.widgets.bar import FILLED, REST, bar, divided
from ollama_tui.widgets.sparkline import sparkline

LABEL = 9
FIGURE = 14
LONGEST_BAR = 48
PARTS = (("weights", "$primary"), ("KV", "$success"), ("compute", "$warning"))


def details(model: RunningModel, width: int, now: float, *, generation: Samples, prompts: Samples) -> list[Content]:
    """Only what was measured; a line each, as `label  figure  bar or trend  more`."""
    room = max(8, min(LONGEST_BAR, width - LABEL - FIGURE - 40))
    lines = [Content.styled(one_line(model.name), "$accent bold") + Content.styled(_facts(model, now), "$muted")]
    lines += [Content.styled(f"! {one_line(notice)}", "$warning") for notice in model.notices]
    for label, speed, samples in (
        ("generates", model.tokens_per_second, generation),
        ("reads", model.prompt_tokens_per_second, prompts),
    ):
        if any(samples):
            lines.append(_speed(label, speed, samples, room))
    if model.context_total:
        filled, rest = bar(model.context_used / model.context_total, room)
        text = f"{model.context_used:,} of {model.context_total:,} tokens"
        lines.append(_line("context", f"{model.context_used / model.context_total:.0%}", _bar(filled, rest), text))
    held = [(share, _held(share)) for share in model.devices]
    largest = max([size for _, size in held], default=0)
    lines += [_device(share, size, largest, room) for share, size in held if size]
    if model.rss:
        share = f"{figures.size(model.pss)} without what others share" if model.pss else ""
        lines.append(_line("process", figures.size(model.rss), Content(""), share))
    return lines


def _facts(model: RunningModel, now: float) -> str:
    left = time_left(model, now)
    facts = [
        "pinned" if model.pinned else "",
        f"{model.slots_busy} of {model.slots} slots busy" if model.slots else "",
        f"{model.queued} waiting" if model.queued else "",
        f"stays {left}" if left and model.state == "busy" else "",
        model.details.quantization_level,
        f"pid {model.pid}" if model.pid else "",
    ]
    return "".join(f" · {one_line(fact)}" for fact in facts if fact)


def _speed(label: str, speed: float, samples: Samples, room: int) -> Content:
    most = max(value for value in samples if value is not None)
    trend = Content.styled(sparkline(samples, room), "$primary")
    return _line(label, f"{figures.per_second(speed) or '0'} tok/s", trend, f"at most {figures.per_second(most)}")


def _device(share: DeviceShare, size: int, largest: int, room: int) -> Content:
    """Its part of the model as one bar in three colours, and what each colour stands for."""
    parts = (share.weights, share.kv_cache, share.compute)
    cells = divided([part / largest for part in parts], room)
    drawn = Content.assemble(
        *((FILLED * n, color) for n, (_, color) in zip(cells, PARTS, strict=True)),
        (REST * (room - sum(cells)), "$border-blurred"),
    )
    told = [(f"{name} {figures.size(part)}", color) for part, (name, color) in zip(parts, PARTS, strict=True) if part]
    if share.measured:
        told.append((f"{figures.size(share.measured)} by its driver", "$muted"))
    legend = Content("  ").join(Content.styled(text, color) for text, color in told)
    return _line(one_line(share.name), figures.size(size), drawn, "") + Content(" ") + legend


def _held(share: DeviceShare) -> int:
    return share.weights + share.kv_cache + share.compute


def _line(label: str, figure: str, middle: Content, text: str) -> Content:
    start = Content.styled(f"{label[:LABEL]:<{LABEL}} ", "$muted") + Content(f"{figure:>{FIGURE}} ")
    return start + middle + Content(f" {text}" if text else "")


def _bar(filled: str, rest: str) -> Content:
    return Content.assemble((filled, "$success"), (rest, "$border-blurred"))
