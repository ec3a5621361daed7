"""Where a model would lie in memory: by part, by device, and what other contexts and cache types would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual.content import Content

from ollama_engine.types import JSON, DevicePlan, Fit, MemoryPlan
from ollama_tui import figures
from ollama_tui.panes.library.columns import FIT_WORDS
from ollama_tui.panes.library.details import fact
from ollama_tui.text import one_line
from ollama_tui.widgets.bar import bar

WORDS: dict[Fit, str] = {
    "gpu": "whole on the GPU",
    "partial": "partly on GPU",
    "cpu": "in RAM, on the CPU",
    "none": "does not fit",
}
_COLORS: dict[Fit, str] = {"gpu": "$success", "partial": "$warning", "cpu": "$foreground", "none": "$error"}
_BAR = 10

CONTEXTS = (2048, 8192, 32768, 131072)
CACHE_TYPES = ("f16", "q8_0")
KNOWN_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")


@dataclass(frozen=True)
class Wish:
    """What a plan is to be made for; None is what the model and the server say."""

    context: int | None = None
    cache_type: str | None = None

    @property
    def options(self) -> JSON | None:
        wanted = {"num_ctx": self.context, "kv_cache_type": self.cache_type}
        return {key: value for key, value in wanted.items() if value is not None} or None

    @property
    def text(self) -> str:
        return " ".join(str(word) for word in (self.context, self.cache_type) if word is not None) or "default"

    @classmethod
    def read(cls, text: str) -> Wish:
        """`8192`, `q8_0`, `32k q8_0`, `default`; ValueError says in words what is none of these."""
        context: int | None = None
        cache_type: str | None = None
        for word in text.lower().split():
            if word in KNOWN_CACHE_TYPES:
                cache_type = word
            elif word != "default":
                context = _tokens(word)
        return cls(context, cache_type)


def _tokens(word: str) -> int:
    number, scale = (word[:-1], 1024) if word.endswith("k") else (word, 1)
    if not (number.isascii() and number.isdigit()) or not 0 < int(number) * scale < 1 << 31:
        raise ValueError(f"'{word}' is no number of tokens and no cache type ({', '.join(KNOWN_CACHE_TYPES)})")
    return int(number) * scale


def contexts(most: int) -> list[int]:
    """The contexts to compare for a model that was trained for `most` tokens."""
    if not most:
        return [*CONTEXTS[:3]]
    return [*(context for context in CONTEXTS if context < most), most]


def plan_lines(plan: MemoryPlan, wish: Wish) -> Content:
    layers = f" ({plan.gpu_layers}/{plan.layers} layers)" if plan.fit == "partial" else ""
    how = "now, as it lies" if plan.loaded else "as measured before" if plan.calibrated else "by estimate"
    cache = "/".join(one_line(one) for one in dict.fromkeys((plan.kv_cache_type_k, plan.kv_cache_type_v)) if one)
    slots = f" ×{plan.slots}" if plan.slots > 1 else ""
    lines = [
        Content.styled(f"{'fits':<14}", "$muted") + Content.styled(f"{WORDS[plan.fit]}{layers}", _COLORS[plan.fit]),
        fact("with", f"{plan.context_length} tokens{slots}{', KV ' + cache if cache else ''}"),
        fact("in all", f"{figures.size(plan.size) or '?'}, {how}"),
    ]
    parts = {"weights": plan.weights, "KV cache": plan.kv_cache, "compute": plan.compute, "runner": plan.other}
    lines += [fact(name, figures.size(size)) for name, size in parts.items() if size]
    if plan.cpu_moe:
        lines.append(fact("experts", f"of {plan.cpu_moe} layers in RAM"))
    lines += [_device(device, plan) for device in plan.devices if device.layers or device.name == "CPU"]
    lines += [Content.styled(one_line(text), "$warning") for text in (plan.reason, plan.hint) if text]
    asked = "" if wish == Wish() else f" (asked for: {wish.text})"
    lines.append(Content.styled(f"o plans for another context or cache type{asked}", "$muted"))
    return Content("\n").join(lines)


def _device(device: DevicePlan, plan: MemoryPlan) -> Content:
    size = device.weights + device.kv_cache + device.compute + device.other
    filled, rest = bar(size / device.free if device.free else 1.0, _BAR)
    layers = f" {device.layers}/{plan.layers}" if device.layers and plan.fit == "partial" else ""
    free = f" of {figures.size(device.free)}" if device.free else ""
    return (
        Content.styled(f"{(one_line(device.name) + layers)[:13]:<14}", "$muted")
        + Content.styled(filled, "$error" if device.free and size > device.free else "$primary")
        + Content.styled(rest, "$muted")
        + Content(f" {figures.size(size) or '0 B'}{free}")
    )


def comparison(plans: Mapping[tuple[int, str], MemoryPlan | None], rows: Sequence[int]) -> Content:
    """A line for each context, a column for each type of the KV cache; "–" where there is no plan."""
    head = Content.styled(f"{'context':<10}" + "".join(f"{kind:<16}" for kind in CACHE_TYPES), "$muted bold")
    lines = [head]
    for context in rows:
        line = Content.styled(f"{figures.tokens(context):<10}", "$muted")
        for kind in CACHE_TYPES:
            plan = plans.get((context, kind))
            if plan is None:
                line += Content(f"{'–':<16}")
            else:
                line += Content(f"{figures.size(plan.size):<8}")
                line += Content.styled(f"{FIT_WORDS[plan.fit]:<8}", _COLORS[plan.fit])
        lines.append(line)
    return Content("\n").join(lines)
