"""The selected pull under the queue: how far it is, layer by layer, or why it failed and what to do."""

from __future__ import annotations

import textwrap

from textual.content import Content

from ollama_engine.types import PullLayer
from ollama_tui import figures
from ollama_tui.panes.pulls.columns import percent, speed
from ollama_tui.panes.pulls.typed import rate_text
from ollama_tui.services.pull_progress import Pull
from ollama_tui.services.pulls import PullsView
from ollama_tui.text import one_line
from ollama_tui.widgets.bar import bar
from ollama_tui.widgets.sparkline import sparkline

LABEL, AMOUNT = 12, 18
LONGEST_BAR, LONGEST_TREND = 60, 60
DIGEST = 12
"""Letters of a digest, as in the status lines of a pull."""

NEXT = {
    "paused": "space lets it go on.",
    "failed": "r tries again: what came stays.",
    "elsewhere": "Another program pulls it; its bar stands still here.",
    "queued": "It waits for its turn; K moves it up.",
    "done": "enter chats with it; c takes what is done off the queue.",
}


def details(pull: Pull, width: int, room: int) -> list[Content]:
    """Lines `width` cells long, `room` of them at the most."""
    view = pull.view
    lines = [Content.styled(f" {one_line(view.name)}", "$accent bold") + Content.styled(_facts(pull), "$muted")]
    if view.error:
        lines += [Content.styled(line, "$error") for line in _wrapped(f" ! {one_line(view.error)}", width)]
        lines += [Content(line) for line in _wrapped(f"   {one_line(view.hint)}", width) if view.hint]
    cells = max(0, min(LONGEST_BAR, width - LABEL - AMOUNT - 10))
    if view.total:
        lines.append(_line("all", view.completed, view.total, pull.part, cells))
    if any(pull.history) and view.state == "running":
        lines.append(_trend(pull, cells))
    layers = sorted(view.layers, key=lambda layer: -layer.total)
    free = max(1, room - len(lines) - (view.state in NEXT))
    shown = layers if len(layers) <= free else layers[: free - 1]
    lines += [_layer(layer, cells) for layer in shown]
    if rest := layers[len(shown) :]:
        total, came = sum(layer.total for layer in rest), sum(layer.completed for layer in rest)
        lines.append(_line(f"{len(rest)} others", came, total, came / max(total, 1), cells))
    if view.state in NEXT:
        lines.append(Content.styled(f" {NEXT[view.state]}", "$muted"))
    return lines[:room]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width - 1), subsequent_indent="   ")


def _facts(pull: Pull) -> str:
    view = pull.view
    facts = [one_line(view.status) if view.state == "running" else ""]
    if pull.eta is not None:
        facts.append(f"{figures.clock(pull.eta)} left")
    return "".join(f" · {fact}" for fact in facts if fact)


def _layer(layer: PullLayer, cells: int) -> Content:
    part = layer.completed / layer.total if layer.total else 1.0
    name = layer.digest.partition(":")[2] or layer.digest
    return _line(one_line(name)[:DIGEST], layer.completed, layer.total, part, cells)


def _line(label: str, completed: int, total: int, part: float, cells: int) -> Content:
    amount = f"{figures.size(completed) or '0'} of {figures.size(total)}"
    filled, rest = bar(min(1.0, part), cells)
    return Content.assemble(
        (f" {label:<{LABEL}}", "$muted"),
        f" {percent(min(1.0, part)):>4}  {amount:<{AMOUNT}} ",
        (filled, "$success" if part >= 1 else "$primary"),
        (rest, "$border-blurred"),
    )


def _trend(pull: Pull, cells: int) -> Content:
    most = max(value for value in pull.history if value is not None)
    drawn = sparkline(pull.history, min(cells, LONGEST_TREND))
    return Content.assemble(
        (f" {'speed':<{LABEL}}", "$muted"),
        f" {'':>4}  {speed(pull.speed) or '0':<{AMOUNT}} ",
        (drawn, "$primary"),
        (f"  at most {speed(most)}" if cells >= LONGEST_TREND else "", "$muted"),
    )


def summary(view: PullsView, width: int) -> Content:
    """The last line: how fast all go together and what they may take, what is still to come and what is free."""
    active = [pull for pull in view.pulls if pull.active]
    running = [pull for pull in active if pull.view.state == "running"]
    together = sum(pull.speed for pull in running)
    facts: list[Content] = []
    if active:
        waiting = len(active) - len(running)
        facts.append(Content(f"{len(running)} pulling" + (f", {waiting} waiting" if waiting else "")))
    if running and together:
        facts.append(Content(speed(together)))
    limits = view.limits
    if limits is not None and limits.bandwidth:
        facts.append(Content.styled(f"limit {rate_text(limits.bandwidth)}/s", "$warning"))
    left = sum(max(0, pull.view.total - pull.view.completed) for pull in active)
    if left:
        facts.append(Content(f"{figures.size(left)} to come"))
    if limits is not None:
        short = left > limits.free
        words = f"{figures.size(limits.free) or 'nothing'} free"
        facts.append(Content.styled(words + (": too little" if short else ""), "$error" if short else ""))
    if not view.kept:
        facts.append(Content.styled("this server keeps no queue: it ends with the workstation", "$muted"))
    return Content(" ") + Content(" · ").join(facts)
