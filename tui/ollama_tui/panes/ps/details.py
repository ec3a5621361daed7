"""The selected model under the table: who it is, how fast it goes, what it holds where.

A line each, as `label  figure  words  bar or trend`. What stands still is at the right: see LiveLines.
"""

from __future__ import annotations

from textual.content import Content

from ollama_engine.types import DeviceShare, RunningModel
from ollama_tui import figures
from ollama_tui.panes.ps.columns import time_left
from ollama_tui.services.history import Samples
from ollama_tui.text import one_line
from ollama_tui.widgets.bar import FILLED, REST, bar, divided
from ollama_tui.widgets.sparkline import sparkline

LABEL, FIGURE = 9, 13
WORDS = 46
"""Cells of what stands before a device's bar, without what its driver tells."""
DRIVER = 22
SHORTEST_BAR, LONGEST_BAR = 8, 40
LONGEST_TREND = 30
PARTS = (("weights", "$primary"), ("KV", "$success"), ("compute", "$warning"))


def details(model: RunningModel, width: int, now: float, *, generation: Samples, prompts: Samples) -> list[Content]:
    """Only what was measured, in lines `width` cells long."""
    room = width - (LABEL + FIGURE + 4) - WORDS
    told_by_driver = any(share.measured for share in model.devices) and room >= DRIVER + SHORTEST_BAR
    page = _Page(
        words=WORDS + DRIVER * told_by_driver,
        bar=max(0, min(LONGEST_BAR, room - DRIVER * told_by_driver)),
        told_by_driver=told_by_driver,
    )
    lines = [Content.styled(f" {one_line(model.name)}", "$accent bold") + Content.styled(_facts(model, now), "$muted")]
    lines += [Content.styled(f" ! {one_line(notice)}", "$warning") for notice in model.notices]
    if model.state == "loading":
        lines.append(page.part("loading", f"{model.load_progress:.0%}", "", model.load_progress, "$warning"))
    for label, speed, samples in (
        ("generates", model.tokens_per_second, generation),
        ("reads", model.prompt_tokens_per_second, prompts),
    ):
        if any(samples):
            lines.append(page.trend(label, speed, samples))
    if model.context_total:
        used = model.context_used / model.context_total
        words = f"{model.context_used:,} of {model.context_total:,} tokens"
        lines.append(page.part("context", f"{used:.0%}", words, used, "$success"))
    largest = max(map(_held, model.devices), default=0)
    lines += [page.device(share, largest) for share in model.devices if _held(share)]
    if model.rss:
        words = f"resident; {figures.size(model.pss)} is its share (PSS)" if model.pss else "resident"
        lines.append(page.line("process", figures.size(model.rss), Content(words)))
    return lines


def _facts(model: RunningModel, now: float) -> str:
    left = time_left(model, now)
    facts = [
        f"{model.slots_busy} of {model.slots} slots busy" if model.slots else "",
        f"{model.queued} waiting" if model.queued else "",
        left if model.pinned else f"stays {left}" if left and model.state == "busy" else "",
        model.details.quantization_level,
        f"pid {model.pid}" if model.pid else "",
    ]
    return "".join(f" · {one_line(fact)}" for fact in facts if fact)


def _held(share: DeviceShare) -> int:
    return share.weights + share.kv_cache + share.compute


class _Page:
    """The places of a line, in cells."""

    def __init__(self, *, words: int, bar: int, told_by_driver: bool) -> None:
        self._words = words
        self._bar = bar
        self._told_by_driver = told_by_driver

    def line(self, label: str, figure: str, words: Content, end: Content | None = None) -> Content:
        start = Content.styled(f" {label[:LABEL]:<{LABEL}}", "$muted") + Content(f" {figure:>{FIGURE}}  ") + words
        if end is None:
            return start
        return start + Content(" " * max(1, self._words - words.cell_length)) + end

    def part(self, label: str, figure: str, words: str, part: float, color: str) -> Content:
        filled, rest = bar(part, self._bar)
        end = Content.assemble((filled, color), (rest, "$border-blurred"))
        return self.line(label, figure, Content(words), end)

    def trend(self, label: str, speed: float, samples: Samples) -> Content:
        most = max(value for value in samples if value is not None)
        drawn = sparkline(samples, min(self._bar, LONGEST_TREND))
        words = Content(f"at most {figures.per_second(most)} lately")
        return self.line(label, f"{figures.per_second(speed) or '0'} tok/s", words, Content.styled(drawn, "$primary"))

    def device(self, share: DeviceShare, largest: int) -> Content:
        """Its part of the model as one bar in three colours, and what each colour stands for."""
        parts = (share.weights, share.kv_cache, share.compute)
        told = [
            (f"{name} {figures.size(part)}", color) for part, (name, color) in zip(parts, PARTS, strict=True) if part
        ]
        if share.measured and self._told_by_driver:
            told.append((f"{figures.size(share.measured)} by its driver", "$muted"))
        words = Content("  ").join(Content.styled(text, color) for text, color in told)
        cells = divided([part / largest for part in parts], self._bar)
        drawn = [(FILLED * n, color) for n, (_, color) in zip(cells, PARTS, strict=True)]
        rest = (REST * (self._bar - sum(cells)), "$border-blurred")
        return self.line(one_line(share.name), figures.size(_held(share)), words, Content.assemble(*drawn, rest))
