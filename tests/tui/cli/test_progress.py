"""Progress on stderr: a line a status in a pipe; at a terminal a line a layer, counted in place."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyte

from ollama_engine.types import Progress
from ollama_tui.cli.progress import ProgressLines, left

STEPS = [
    Progress("pulling manifest"),
    Progress("pulling aaa", "sha256:aaa", 4_000_000_000, 0),
    Progress("pulling bbb", "sha256:bbb", 1_000, 500),
    Progress("pulling aaa", "sha256:aaa", 4_000_000_000, 1_000_000_000),
    Progress("pulling bbb", "sha256:bbb", 1_000, 1_000),
    Progress("writing manifest"),
    Progress("success"),
]


def ticks() -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += 1.0


def printed(steps: list[Progress], *, terminal: bool, columns: int = 80, lines: int = 24) -> str:
    out, time = io.StringIO(), ticks()
    with ProgressLines(out, terminal=terminal, columns=columns, lines=lines, clock=lambda: next(time)) as progress:
        for step in steps:
            progress.show(step)
    return out.getvalue()


def screen(text: str, columns: int = 80, lines: int = 24) -> list[str]:
    display = pyte.Screen(columns, lines)
    pyte.Stream(display).feed(text.replace("\n", "\r\n"))
    return [line.rstrip() for line in display.display if line.strip()]


def test_in_a_pipe_each_status_is_one_line_and_nothing_is_erased() -> None:
    text = printed(STEPS, terminal=False)
    assert text == "pulling manifest\npulling aaa\npulling bbb\nwriting manifest\nsuccess\n"


def test_at_a_terminal_each_layer_has_a_line_that_counts_in_place() -> None:
    assert screen(printed(STEPS, terminal=True)) == [
        "pulling manifest",
        "pulling aaa [====            ]  25% (1 GB/4 GB)  500 MB/s  6s",
        "pulling bbb [================] 100% (1 KB/1 KB)",
        "writing manifest",
        "success",
    ]


def test_a_narrow_terminal_loses_the_bar_then_the_speed_before_the_count() -> None:
    assert screen(printed(STEPS[:4], terminal=True, columns=60), 60)[1] == "pulling aaa  25% (1 GB/4 GB)  500 MB/s  6s"
    assert screen(printed(STEPS[:4], terminal=True, columns=34), 34)[1] == "pulling aaa  25% (1 GB/4 GB)"
    assert screen(printed(STEPS[:4], terminal=True, columns=24), 24)[1] == "pullin  25% (1 GB/4 GB)"


def test_a_line_that_has_scrolled_away_is_not_painted_over_another() -> None:
    many = [Progress(f"pulling {number}", f"{number}", 10, 1) for number in range(9)]
    text = printed(
        [*many, Progress("pulling 0", "0", 10, 10), Progress("pulling 8", "8", 10, 10)],
        terminal=True,
        columns=40,
        lines=4,
    )
    assert screen(text, 40, lines=4) == [
        "pulling 6  10% (1 B/10 B)",
        "pulling 7  10% (1 B/10 B)",
        "pulling 8 100% (10 B/10 B)",
    ]


def test_what_a_stranger_calls_its_steps_cannot_steer_the_terminal() -> None:
    assert "\x1b[2J" not in printed([Progress("\x1b[2Jboo")], terminal=True)


def test_times_left_are_short() -> None:
    assert [left(42), left(185), left(7620)] == ["42s", "3m05s", "2h07m"]
